//! What of the captions would spoil training without failing it.

use std::collections::BTreeSet;

/// Words that other programs put around captions, or for want of one.
const MARKERS: [&str; 18] = [
    "startseq",
    "endseq",
    "<start>",
    "<end>",
    "<s>",
    "</s>",
    "<sos>",
    "<bos>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<cls>",
    "<sep>",
    "<mask>",
    "<|startoftext|>",
    "<|endoftext|>",
    "[unk]",
    "[pad]",
];
/// The same in brackets, which the tokenizer cuts off: `[CLS]`.
const BRACKETED: [&str; 8] = ["cls", "sep", "start", "end", "bos", "eos", "pad", "unk"];
/// More letters than a word of a script has that writes no spaces between words; a caption has more.
const LONGEST_IDEOGRAPHIC: usize = 7;
const LONGEST_SOUTHEAST_ASIAN: usize = 15;
/// Fewer words than this make no captions.
const FEWEST_WORDS: usize = 10;
/// More than this share of all words unknown leaves little to learn from.
const MOST_UNKNOWN: f64 = 0.25;
/// Of fewer captions nothing is said that is said of most of them.
const FEWEST_CAPTIONS: usize = 5;

/// What may be wrong with the words of the train captions, gathered one by one.
#[derive(Default)]
pub(crate) struct Suspicion {
    captions: usize,
    markers: BTreeSet<String>,
    /// Captions that hold a marker, have a word that must be several, are a single word.
    marked: usize,
    unspaced: usize,
    single: usize,
    /// The only caption that can be that of more than half of the images, and by how many votes it leads
    /// (Boyer & Moore 1991).
    candidate: (Vec<String>, usize),
    /// How often it was found in the second reading.
    alike: usize,
}

impl Suspicion {
    /// Looks at a caption in the first reading.
    pub(crate) fn add(&mut self, words: &[String]) {
        self.captions += 1;
        let markers = markers_of(words);
        self.marked += usize::from(!markers.is_empty());
        self.markers.extend(markers);
        self.unspaced += usize::from(words.iter().any(|word| is_sentence(word)));
        self.single += usize::from(words.len() == 1);
        match &mut self.candidate {
            (_, 0) => self.candidate = (words.to_vec(), 1),
            (candidate, lead) if candidate == words => *lead += 1,
            (_, lead) => *lead -= 1,
        }
    }

    /// Looks at it again in the second.
    pub(crate) fn recount(&mut self, words: &[String]) {
        self.alike += usize::from(self.candidate.0 == words);
    }

    /// Each thing that is wrong, in a sentence that says what to do.
    pub(crate) fn said(self) -> Vec<String> {
        let Suspicion { captions, markers, marked, unspaced, single, candidate, alike } = self;
        let mut found = vec![];
        if !markers.is_empty() {
            let names: Vec<String> = markers.iter().map(|marker| format!("`{marker}`")).collect();
            found.push(format!(
                "{marked} of {captions} hold {}, which another program put there: take them out, or they are learnt as words",
                names.join(", ")
            ));
        }
        if unspaced * 10 > captions {
            found.push(format!(
                "{unspaced} of {captions} have no spaces between words, so each is one word and nothing can be learnt from it: \
                put spaces between the words, or between the characters"
            ));
        } else if captions >= FEWEST_CAPTIONS && single * 2 > captions {
            found.push(format!(
                "{single} of {captions} are one word each, as labels are: a captioner learns sentences, whose words have spaces between them"
            ));
        }
        if captions >= FEWEST_CAPTIONS && alike * 2 > captions {
            found.push(format!(
                "{alike} of {captions} are the same, `{}`: it will be written of most images",
                candidate.0.join(" ")
            ));
        }
        found
    }
}

/// The same of a vocabulary that keeps `words` words, `unknown` being the share of all that it does not keep.
pub(crate) fn of_vocabulary(words: usize, unknown: f64, min_count: u32) -> Option<String> {
    let advice = if min_count > 1 { ": lower text.min_count" } else { "" };
    if words < FEWEST_WORDS {
        return Some(format!(
            "text.min_count = {min_count} keeps {words} words, too few for captions{advice}"
        ));
    }
    (unknown > MOST_UNKNOWN).then(|| {
        let share = 100.0 * unknown;
        format!("text.min_count = {min_count} keeps {words} words, which leaves {share:.0} % of the text unknown{advice}")
    })
}

fn markers_of(words: &[String]) -> BTreeSet<String> {
    let plain = words.iter().filter(|word| MARKERS.contains(&word.as_str())).cloned();
    let bracketed = words.windows(3).filter_map(|around| match around {
        [open, name, close] if open == "-lsb-" && close == "-rsb-" && BRACKETED.contains(&name.as_str()) => {
            Some(format!("[{name}]"))
        }
        _ => None,
    });
    plain.chain(bracketed).collect()
}

/// Whether a word must be several, by the number of its letters in scripts that write no spaces.
fn is_sentence(word: &str) -> bool {
    let letters = |is: fn(char) -> bool| word.chars().filter(|&c| is(c)).count();
    letters(is_ideographic) > LONGEST_IDEOGRAPHIC || letters(is_southeast_asian) > LONGEST_SOUTHEAST_ASIAN
}

/// Chinese characters and Japanese syllables.
fn is_ideographic(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}')
}

/// Thai, Lao, Burmese and Khmer.
fn is_southeast_asian(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}')
}

#[cfg(test)]
mod tests {
    use metrics::tokenize::caption_tokens;
    use proptest::prelude::*;

    use super::*;

    fn of_captions(captions: &[Vec<String>]) -> Vec<String> {
        let mut suspicion = Suspicion::default();
        captions.iter().for_each(|words| suspicion.add(words));
        captions.iter().for_each(|words| suspicion.recount(words));
        suspicion.said()
    }

    fn said(captions: &[&str]) -> String {
        let words: Vec<Vec<String>> = captions.iter().map(|caption| caption_tokens(caption)).collect();
        of_captions(&words).join("\n")
    }

    #[test]
    fn markers_of_other_programs_are_named() {
        let said = said(&[
            "startseq a dog runs endseq",
            "a cat",
            "<s> a bird </s>",
            "[CLS] two men [SEP]",
            "the end",
        ]);
        assert!(
            said.starts_with("3 of 5 hold `</s>`, `<s>`, `[cls]`, `[sep]`, `endseq`, `startseq`,"),
            "{said}"
        );
        assert!(!said.contains('\n'), "{said}");
    }

    #[test]
    fn captions_without_spaces_are_told_from_such_with_spaces() {
        let chinese = ["两只小狗在雪地里追一个球", "一个女人站在桥上，看着河水慢慢流过"];
        let thai = ["ผู้หญิงคนหนึ่งยืนอยู่บนสะพาน", "สุนัขสองตัวเล่นลูกบอล"];
        let japanese = ["犬が二匹で赤いボールを追いかけている", "橋の上に立っている女性"];
        for captions in [chinese, thai, japanese] {
            assert!(said(&captions).contains("have no spaces between words"), "{captions:?}");
        }
        for captions in [
            ["两 只 小狗 在 雪地 里 追 一个 球", "一个 女人 站 在 桥 上"],
            ["ผู้หญิง คน หนึ่ง ยืน อยู่ บน สะพาน", "สุนัข สอง ตัว เล่น ลูกบอล"],
            ["アイスクリーム を 食べる 女の子", "橋 の 上 に 立って いる 女性"],
            ["Donaudampfschifffahrtsgesellschaft auf der Donau", "una mujer en el puente"],
        ] {
            assert_eq!(said(&captions), "", "{captions:?}");
        }
    }

    #[test]
    fn labels_and_repetitions_are_no_captions() {
        assert!(said(&["dog", "cat", "bird", "red_ball", "a horse"]).starts_with("4 of 5 are one word each"));
        let same =
            said(&["a photo of a dog", "a photo of a dog", "A photo of a dog.", "a cat", "a red bird"]);
        assert!(same.starts_with("3 of 5 are the same, `a photo of a dog`"), "{same}");
    }

    #[test]
    fn a_vocabulary_of_almost_nothing_says_which_setting_made_it() {
        assert_eq!(of_vocabulary(900, 0.03, 5), None);
        let said = of_vocabulary(8, 0.6, 5).unwrap();
        assert_eq!(said, "text.min_count = 5 keeps 8 words, too few for captions: lower text.min_count");
        let said = of_vocabulary(80, 0.4, 5).unwrap();
        assert!(said.ends_with("leaves 40 % of the text unknown: lower text.min_count"), "{said}");
        assert!(!of_vocabulary(3, 0.0, 1).unwrap().contains("lower"));
    }

    proptest! {
        #[test]
        fn ordinary_captions_raise_no_suspicion(captions in prop::collection::hash_set("[a-z]{2,9}( [a-z]{2,9}){2,9}", 5..20)) {
            let words: Vec<Vec<String>> = captions.iter().map(|caption| caption_tokens(caption)).collect();
            prop_assert_eq!(of_captions(&words), Vec::<String>::new());
        }
    }
}
