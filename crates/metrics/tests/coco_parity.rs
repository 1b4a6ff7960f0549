//! Tokens and scores equal those of pycocoevalcap 1.2 (see `fixtures/make_fixture.py`), and behave on any input.

#![allow(clippy::unwrap_used, reason = "test utilities")]

use std::path::Path;

use metrics::tokenize::{caption_tokens, ptb_tokens};
use metrics::{DocumentFrequency, Evaluation, Metric, ScoreError, Scores, Tokens, cider_d, score};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Image {
    references: Vec<String>,
    hypothesis: String,
}

#[derive(Deserialize)]
struct Expected {
    references: Vec<Vec<String>>,
    hypotheses: Vec<String>,
    corpus: Scores,
    images: Vec<Scores>,
}

/// Our metrics by pycocoevalcap's names.
const THEIR_NAMES: [(Metric, &str); 6] = [
    (Metric::Bleu1, "Bleu_1"),
    (Metric::Bleu2, "Bleu_2"),
    (Metric::Bleu3, "Bleu_3"),
    (Metric::Bleu4, "Bleu_4"),
    (Metric::RougeL, "ROUGE_L"),
    (Metric::CiderD, "CIDEr"),
];

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Words of captions that are tokenised already.
fn words(captions: &[&str]) -> Vec<Tokens> {
    captions.iter().map(|caption| caption.split_whitespace().map(str::to_owned).collect()).collect()
}

fn assert_close(ours: &Scores, theirs: &Scores, what: &str) {
    for (metric, their) in theirs.iter() {
        assert!((ours[metric] - their).abs() <= TOLERANCE, "{what}: {ours:?} is not {theirs:?}");
    }
}

#[test]
fn captions_score_as_pycocoevalcap_scores_them() {
    let captions: Vec<Image> = serde_json::from_str(&fixture("captions.json")).unwrap();
    let expected: Expected = serde_json::from_str(&fixture("expected.json")).unwrap();
    let tokens = |caption: &String| caption_tokens(caption);
    let references: Vec<Vec<Tokens>> =
        captions.iter().map(|image| image.references.iter().map(tokens).collect()).collect();
    let hypotheses: Vec<Tokens> = captions.iter().map(|image| tokens(&image.hypothesis)).collect();

    let joined = |tokens: &Tokens| tokens.join(" ");
    assert_eq!(hypotheses.iter().map(joined).collect::<Vec<_>>(), expected.hypotheses);
    for (ours, theirs) in references.iter().zip(&expected.references) {
        assert_eq!(&ours.iter().map(joined).collect::<Vec<_>>(), theirs);
    }

    let evaluation = score(&references, &hypotheses).unwrap();
    assert_close(&evaluation.corpus, &expected.corpus, "corpus");
    assert_eq!(evaluation.images.len(), expected.images.len());
    for (index, (ours, theirs)) in evaluation.images.iter().zip(&expected.images).enumerate() {
        assert_close(ours, theirs, &format!("image {index}"));
    }

    // The reward form: document frequency made once, images scored a few at a time.
    let frequency = DocumentFrequency::new(&references).unwrap();
    let rewards = cider_d(&references[3..5], &hypotheses[3..5], &frequency).unwrap();
    for (reward, image) in rewards.iter().zip(&expected.images[3..5]) {
        assert!((reward - image[Metric::CiderD]).abs() <= TOLERANCE);
    }
}

#[test]
fn hard_captions_tokenise_as_the_java_tool_does() {
    let pairs: Vec<(String, Tokens)> = serde_json::from_str(&fixture("tokenizer.json")).unwrap();
    assert!(pairs.len() > 40);
    for (text, tokens) in pairs {
        assert_eq!(ptb_tokens(&text), tokens, "{text}");
    }
}

#[test]
fn shared_hard_captions_tokenise_as_the_java_tool_does() {
    let (Some(text), Some(tokens)) =
        (needs::shared("metrics-oracle/tricky.txt"), needs::shared("metrics-oracle/tricky.out"))
    else {
        return;
    };
    let text = std::fs::read_to_string(text).unwrap();
    let tokens = std::fs::read_to_string(tokens).unwrap();
    for (text, tokens) in text.lines().zip(tokens.lines()) {
        let mut ours = ptb_tokens(text).join(" ");
        // That run saw the next line too: its small letter says that the sentence goes on.
        if text.ends_with(" etc.") {
            ours = ours.trim_end_matches(" .").to_owned();
        }
        assert_eq!(ours, tokens, "{text}");
    }
}

#[test]
fn shared_small_cases_score_as_pycocoevalcap_scores_them() {
    let Some(path) = needs::shared("metrics-oracle/small_cases.json") else {
        return;
    };
    let cases: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (name, case) in cases.as_object().unwrap() {
        let captions = |key: &str| -> Vec<Vec<Tokens>> {
            let images = case[key].as_object().unwrap().values();
            let texts = |image: &Value| {
                image
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|text| text.as_str().unwrap().to_owned())
                    .collect::<Vec<_>>()
            };
            images.map(|image| words(&texts(image).iter().map(String::as_str).collect::<Vec<_>>())).collect()
        };
        let evaluation = score(&captions("refs"), &captions("hyps").concat()).unwrap();
        let expected = |value: &dyn Fn(&str) -> f64| -> Scores {
            THEIR_NAMES.iter().map(|(metric, name)| (*metric, value(name))).collect()
        };
        let scores = &case["scores"];
        assert_close(&evaluation.corpus, &expected(&|name| scores[name].as_f64().unwrap()), name);
        for (index, image) in evaluation.images.iter().enumerate() {
            let expected = expected(&|name| scores[format!("{name}_per")][index].as_f64().unwrap());
            assert_close(image, &expected, &format!("{name}, image {index}"));
        }
    }
}

#[test]
fn line_breaks_are_blanks_and_punctuation_goes() {
    let words = ["a", "dog", "runs", "fast"];
    for line_break in ["\n", "\r\n", "\r", "\u{85}", "\u{2028}", "\u{2029}", "\u{b}", "\u{c}"] {
        assert_eq!(caption_tokens(&format!("A dog{line_break}runs, \"fast\"!{line_break}")), words);
    }
    assert_eq!(caption_tokens("  \n "), Tokens::new());
    assert_eq!(caption_tokens("1 1/2 cups (full)"), ["1", "1/2", "cups", "-lrb-", "full", "-rrb-"]);
}

#[test]
fn an_empty_hypothesis_scores_nothing() {
    let references = vec![words(&["a dog runs on the grass", ""]), words(&["a cat sits on a red mat"])];
    let evaluation = score(&references, &words(&["", "a cat sits on a red mat"])).unwrap();
    assert!(evaluation.images[0].iter().all(|(_, score)| score == 0.0));
    assert!(evaluation.images[1][Metric::CiderD] > 1.0);
    let nothing = score(&[words(&[""])], &words(&[""])).unwrap();
    assert!(nothing.corpus.iter().all(|(_, score)| score == 0.0));
}

#[test]
fn a_caption_of_ten_thousand_words_scores_as_any_other() {
    let long = "a dog runs on the red mat ".repeat(1429);
    let tokens = caption_tokens(&long);
    assert_eq!(tokens.len(), 10_003);
    let others = words(&["a cat sits on a mat", "a bird flies"]);
    let references = vec![vec![tokens.clone()], others.clone()];
    let same = score(&references, &[tokens, others[0].clone()]).unwrap();
    assert!(
        (same.images[0][Metric::Bleu4] - 1.0).abs() < 1e-8
            && (same.images[0][Metric::RougeL] - 1.0).abs() < TOLERANCE
    );
    let beside_short = score(&[others], &[caption_tokens(&long)]).unwrap();
    assert!(beside_short.corpus[Metric::Bleu1] < 0.01 && beside_short.corpus[Metric::CiderD] == 0.0);
}

#[test]
fn an_empty_reference_matches_nothing_and_harms_nothing() {
    let hypothesis = words(&["a dog runs on the grass"]);
    let with = |references: &[&str]| score(&[words(references)], &hypothesis).unwrap().corpus;
    assert!(with(&[""])[Metric::Bleu1] < 1e-12);
    assert_eq!(with(&[""])[Metric::RougeL], 0.0);
    let both = with(&["a dog runs on the grass", ""]);
    assert!((both[Metric::Bleu4] - 1.0).abs() < 1e-8 && (both[Metric::RougeL] - 1.0).abs() < TOLERANCE);
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let one = words(&["a dog"]);
    let refused =
        |references: &[Vec<Tokens>], hypotheses: &[Tokens]| score(references, hypotheses).unwrap_err();
    assert!(matches!(refused(&[], &[]), ScoreError::NoImages));
    let no_references = refused(&[one.clone(), vec![]], &words(&["a", "b"]));
    assert!(matches!(no_references, ScoreError::NoReferences { image: 1 }));
    let mismatch = refused(std::slice::from_ref(&one), &words(&["a", "b"]));
    assert!(matches!(mismatch, ScoreError::CountMismatch { references: 1, hypotheses: 2 }));
    assert!(matches!(DocumentFrequency::new(&[]), Err(ScoreError::NoImages)));
}

fn caption(words: std::ops::Range<usize>) -> impl Strategy<Value = Tokens> {
    let word = prop::sample::select(vec!["a", "dog", "cat", "runs", "on", "the", "red", "mat"]);
    prop::collection::vec(word.prop_map(str::to_owned), words)
}

/// Some images: each its references and its hypothesis.
fn run() -> impl Strategy<Value = Vec<(Vec<Tokens>, Tokens)>> {
    prop::collection::vec((prop::collection::vec(caption(0..12), 1..4), caption(0..12)), 1..6)
}

fn score_run(run: Vec<(Vec<Tokens>, Tokens)>) -> Evaluation {
    let (references, hypotheses): (Vec<_>, Vec<_>) = run.into_iter().unzip();
    score(&references, &hypotheses).unwrap()
}

proptest! {
    #[test]
    fn a_hypothesis_equal_to_a_reference_is_perfect(
        same in caption(4..15),
        others in prop::collection::vec(caption(0..15), 0..3),
    ) {
        let references = [vec![same.clone()], others].concat();
        let scores = score(&[references], &[same]).unwrap().corpus;
        for metric in [Metric::Bleu1, Metric::Bleu2, Metric::Bleu3, Metric::Bleu4] {
            prop_assert!((scores[metric] - 1.0).abs() < 1e-8);
        }
        prop_assert!((scores[Metric::RougeL] - 1.0).abs() < TOLERANCE);
    }

    #[test]
    fn order_does_not_matter(run in run()) {
        let mut reversed = run.clone();
        reversed.reverse();
        for (references, _) in &mut reversed {
            references.reverse();
        }
        let (forward, mut backward) = (score_run(run), score_run(reversed));
        backward.images.reverse();
        assert_close(&forward.corpus, &backward.corpus, "corpus");
        for (a, b) in forward.images.iter().zip(&backward.images) {
            assert_close(a, b, "image");
        }
    }

    #[test]
    fn scores_stay_in_range(run in run()) {
        let evaluation = score_run(run);
        for scores in evaluation.images.iter().chain([&evaluation.corpus]) {
            for (metric, value) in scores.iter() {
                let most = if metric == Metric::CiderD { 10.0 } else { 1.0 };
                prop_assert!((0.0..=most + TOLERANCE).contains(&value), "{metric} {value}");
            }
        }
    }

    #[test]
    fn any_text_gives_clean_tokens(text in any::<String>()) {
        for token in ptb_tokens(&text) {
            prop_assert!(!token.is_empty() && !token.contains([' ', '\n', '\r', '\t']));
        }
        for token in caption_tokens(&text) {
            prop_assert!(!token.is_empty() && !token.contains(char::is_whitespace));
        }
    }

    #[test]
    fn punctuation_heavy_text_gives_clean_tokens(text in "[a-zA-Z0-9 .,'\"’&@#<>/:;=()!?*_+é$-]{0,40}") {
        for token in ptb_tokens(&text) {
            prop_assert!(!token.is_empty() && !token.contains(' '));
        }
    }

    #[test]
    fn captions_of_plain_words_stay_as_they_are(words in prop::collection::vec("[a-z]{1,8}", 0..12)) {
        let text = words.join(" ");
        let tokens = caption_tokens(&text);
        prop_assert_eq!(caption_tokens(&tokens.join(" ")), tokens);
    }
}
