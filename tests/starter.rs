//! The model in the box finds what must be found in photos that nobody trained on, and its card is about this file.

use std::fs;
use std::path::PathBuf;

use caption::{Captioner, Options};
use model::captioner_file::{CaptionerFile, CaptionerHeader};
use model::weights;
use serde_json::Value;

use crate::figures::at_root;

/// What a clone may weigh.
const LARGEST: u64 = 24_000_000;

fn file() -> PathBuf {
    at_root("models/starter.safetensors")
}

#[test]
fn three_photos_get_the_words_and_keywords_that_they_must() {
    let starter = Captioner::open(&file(), &Options::default()).unwrap();
    // What the caption must say, and which words are among the five likeliest.
    let photos: [(&str, &[&str], &[&str]); 3] = [
        ("camera.jpg", &["man", "black"], &["camera"]),
        ("grace_hopper.jpg", &["wearing", "hat"], &["wearing", "glasses"]),
        ("ascent.jpg", &["man", "building"], &["people", "railing"]),
    ];
    for (name, words, keywords) in photos {
        let photo = starter.photo(&fs::read(at_root("tests/photos").join(name)).unwrap()).unwrap();
        let features = starter.features(&[photo]).unwrap();
        let captioned = starter.search(&features, starter.search_settings()).unwrap().remove(0);
        let caption = &captioned.best().caption;
        let said: Vec<&str> = caption.split(' ').collect();
        assert!(words.iter().all(|word| said.contains(word)), "{name}: {caption}");
        let found = starter.keywords(&features, 5).unwrap().remove(0);
        assert!(
            keywords.iter().all(|word| found.iter().any(|found| found.word == *word)),
            "{name}: {found:?}"
        );
    }
}

/// A number as documents round it, between what stands around it.
fn stands(text: &str, before: &str, number: f64, after: &str) -> bool {
    text.contains(&format!("{before}{number:.3}{after}"))
}

#[test]
fn its_card_tells_its_size_scores_and_words() {
    let bytes = fs::metadata(file()).unwrap().len();
    assert!(bytes <= LARGEST);
    let captioner = CaptionerFile::from_arrays(weights::read(&file()).unwrap()).unwrap();
    let CaptionerHeader { vocabulary, scores, decoders, features, .. } = &captioner.header;
    let card = fs::read_to_string(at_root("models/README.md")).unwrap();
    assert!(card.contains(&format!("{:.1} MB", bytes as f64 / 1e6)), "{bytes}");
    for (key, name) in
        [("bleu_1", "BLEU-1"), ("bleu_4", "BLEU-4"), ("rouge_l", "ROUGE-L"), ("cider_d", "CIDEr-D")]
    {
        let bound = |index: usize| scores["intervals"][key][index].as_f64().unwrap();
        let interval = format!(" ({:.3}–{:.3}) |", bound(0), bound(1));
        assert!(
            stands(&card, &format!("| {name} | "), scores["scores"][key].as_f64().unwrap(), &interval),
            "{name}"
        );
    }
    let images = scores["protocol"]["images"].as_u64().unwrap();
    assert!(card.replace(',', "").contains(&format!("{images} val images")), "{images}");
    assert!(card.contains(&format!("writes {} words", vocabulary.len())), "{}", vocabulary.len());
    let backbone = features[0].backbone.as_str();
    let tuned = captioner.tuned(backbone).unwrap().unwrap();
    assert!(stands(&card, "mean average precision of ", tuned.scores.mean_average_precision, ""));
    assert!(stands(&card, "calibration error of ", tuned.scores.calibration_error, ""));
    // The command that makes it again is that of its config, and it was made by that.
    let config = fs::read_to_string(at_root("configs/starter.toml")).unwrap();
    let config: Value = toml::from_str(&config).unwrap();
    assert!(card.contains("just pipeline configs/starter.toml"));
    for (key, value) in config["train"].as_object().unwrap() {
        let used = &decoders[0].provenance["settings"][key];
        assert!(key == "decoders" || key == "precision" || used == value, "{key}: {used}");
    }
}
