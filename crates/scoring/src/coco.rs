//! Reference and result files in COCO's caption formats, from any system.
//!
//! References: `{"annotations": [{"image_id": 1, "caption": "…"}, …]}`; hypotheses: `[{"image_id": 1, "caption": "…"}, …]`.
//! An image id is a number or a text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use artifacts::manifest::read_promised;
use metrics::Tokens;
use metrics::tokenize::caption_tokens;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Images named in an error before it says "…".
const NAMED: usize = 3;

#[derive(Deserialize)]
struct References {
    annotations: Vec<Caption>,
}

#[derive(Deserialize)]
struct Caption {
    image_id: ImageId,
    caption: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged)]
enum ImageId {
    Number(i64),
    Text(String),
}

impl std::fmt::Display for ImageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ImageId::Number(number) => number.fmt(f),
            ImageId::Text(text) => text.fmt(f),
        }
    }
}

/// The references of all images, in the order of their ids.
pub struct ReferenceFile(BTreeMap<String, Vec<String>>);

impl ReferenceFile {
    /// Reads a reference file.
    ///
    /// # Errors
    /// When the file is not there, has another shape, or no caption.
    pub fn read(path: &Path) -> anyhow::Result<ReferenceFile> {
        let file: References = read(path, r#"{"annotations": [{"image_id": …, "caption": "…"}, …]}"#)?;
        let mut images: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for annotation in file.annotations {
            images.entry(annotation.image_id.to_string()).or_default().push(annotation.caption);
        }
        anyhow::ensure!(!images.is_empty(), "{}: no annotations", path.display());
        Ok(ReferenceFile(images))
    }

    /// The words of every caption, `[image][caption]`.
    pub fn tokens(&self) -> Vec<Vec<Tokens>> {
        let tokens = |captions: &Vec<String>| captions.iter().map(|text| caption_tokens(text)).collect();
        self.0.values().map(tokens).collect()
    }

    /// What of the references moves scores, in words.
    pub fn warnings(&self) -> Vec<String> {
        let single = self.0.values().filter(|captions| captions.len() == 1).count();
        let empty = self.0.values().flatten().filter(|text| caption_tokens(text).is_empty()).count();
        let mut warnings = Vec::new();
        if single > 0 {
            warnings.push(format!(
                "{single} of {} images have a single reference: scores are lower, and not comparable with those of five",
                self.0.len()
            ));
        }
        if empty > 0 {
            warnings.push(format!("{empty} references hold no word"));
        }
        warnings
    }
}

/// The captions of one system: one for every image that has references, in their order.
#[derive(Debug)]
pub struct HypothesisFile(Vec<String>);

impl HypothesisFile {
    /// Reads a result file.
    ///
    /// # Errors
    /// When the file is not there or has another shape; when images are missing, unknown or named twice.
    pub fn read(path: &Path, references: &ReferenceFile) -> anyhow::Result<HypothesisFile> {
        let list: Vec<Caption> = read(path, r#"[{"image_id": …, "caption": "…"}, …]"#)?;
        let mut captions: BTreeMap<String, String> = BTreeMap::new();
        let mut twice = BTreeSet::new();
        for Caption { image_id, caption } in list {
            if captions.insert(image_id.to_string(), caption).is_some() {
                twice.insert(image_id.to_string());
            }
        }
        let missing = references.0.keys().filter(|image| !captions.contains_key(*image)).cloned();
        let unknown = captions.keys().filter(|image| !references.0.contains_key(*image)).cloned();
        let problems = [
            (twice, "have more than one hypothesis: keep one"),
            (missing.collect(), "have references but no hypothesis: a score over the rest would flatter"),
            (unknown.collect(), "have a hypothesis but no references"),
        ];
        for (images, problem) in problems {
            anyhow::ensure!(images.is_empty(), "{}: {} {problem}", path.display(), listed(&images));
        }
        Ok(HypothesisFile(captions.into_values().collect()))
    }

    /// The words of every caption.
    pub fn tokens(&self) -> Vec<Tokens> {
        self.0.iter().map(|caption| caption_tokens(caption)).collect()
    }

    /// What of the captions moves scores, in words.
    pub fn warnings(&self) -> Vec<String> {
        let count = |holds: &dyn Fn(&str) -> bool| self.0.iter().filter(|caption| holds(caption)).count();
        let special = |caption: &str| SPECIAL.iter().any(|token| caption.to_lowercase().contains(token));
        let unknown = |caption: &str| {
            caption.to_lowercase().contains("<unk>") || caption.split(' ').any(|word| word == "UNK")
        };
        let found = [
            (count(&special), "hold special tokens, which count as words: remove them"),
            (count(&unknown), "hold <unk>, which counts as a word: a system should never write it"),
            (count(&|caption: &str| caption_tokens(caption).is_empty()), "are empty and score 0"),
        ];
        let warnings = found.into_iter().filter(|(count, _)| *count > 0);
        warnings.map(|(count, what)| format!("{count} of {} hypotheses {what}", self.0.len())).collect()
    }
}

/// Marks of sequence borders that systems forget to remove.
const SPECIAL: [&str; 13] = [
    "<bos>",
    "<eos>",
    "<pad>",
    "<s>",
    "</s>",
    "<start>",
    "<end>",
    "<sos>",
    "[cls]",
    "[sep]",
    "[pad]",
    "<|endoftext|>",
    "startseq",
];

fn read<T: DeserializeOwned>(path: &Path, shape: &str) -> anyhow::Result<T> {
    let bytes = read_promised(path)?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not JSON of the shape {shape}", path.display()))
}

fn listed(images: &BTreeSet<String>) -> String {
    let named: Vec<&str> = images.iter().take(NAMED).map(String::as_str).collect();
    let more = if images.len() > NAMED { ", …" } else { "" };
    format!("{} images ({}{more})", images.len(), named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCES: &str = r#"{"images": [{"id": 1}, {"id": 2}], "annotations": [
        {"image_id": 2, "id": 1, "caption": "a cat"}, {"image_id": 1, "id": 2, "caption": "A dog runs."},
        {"image_id": 1, "id": 3, "caption": "a dog\u2028outside"}]}"#;

    fn references(text: impl AsRef<[u8]>) -> anyhow::Result<ReferenceFile> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        ReferenceFile::read(file.path())
    }

    fn hypotheses(text: impl AsRef<[u8]>) -> anyhow::Result<HypothesisFile> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        HypothesisFile::read(file.path(), &references(REFERENCES)?)
    }

    fn refused(text: impl AsRef<[u8]>) -> String {
        format!("{:#}", hypotheses(text).unwrap_err())
    }

    #[test]
    fn captions_pair_up_by_image_whatever_their_order() {
        let references = references(REFERENCES).unwrap();
        assert_eq!(references.tokens()[0], [vec!["a", "dog", "runs"], vec!["a", "dog", "outside"]]);
        let hypotheses = hypotheses(
            r#"[{"image_id": "2", "caption": "a\ncat"}, {"image_id": 1, "caption": "Dog!", "beam": 3}]"#,
        );
        assert_eq!(hypotheses.unwrap().tokens(), [vec!["dog"], vec!["a", "cat"]]);
    }

    #[test]
    fn images_that_do_not_fit_are_named() {
        let missing = refused(r#"[{"image_id": 1, "caption": "a dog"}]"#);
        assert!(missing.contains("1 images (2) have references but no hypothesis"), "{missing}");
        let twice = refused(
            r#"[{"image_id": 1, "caption": "a"}, {"image_id": 2, "caption": "b"}, {"image_id": 1, "caption": "a"}]"#,
        );
        assert!(twice.contains("1 images (1) have more than one hypothesis"), "{twice}");
        let unknown = refused(
            r#"[{"image_id": 1, "caption": "a"}, {"image_id": 2, "caption": "b"}, {"image_id": 7, "caption": "c"}]"#,
        );
        assert!(unknown.contains("1 images (7) have a hypothesis but no references"), "{unknown}");
    }

    #[test]
    fn files_of_another_shape_are_refused_with_the_right_one() {
        let list = references("[]").err().unwrap();
        assert!(format!("{list:#}").contains(r#"is not JSON of the shape {"annotations""#));
        assert!(
            format!("{:#}", references(r#"{"annotations": []}"#).err().unwrap()).contains("no annotations")
        );
        for text in
            [r#"{"1": "a dog"}"#, r#"[{"image_id": 1}]"#, r#"[{"image_id": 1.5, "caption": "a"}]"#, "[", ""]
        {
            assert!(refused(text).contains(r#"is not JSON of the shape [{"image_id""#), "{text}");
        }
        // NaN is no JSON, and a byte that is no UTF-8 no text.
        assert!(refused(r#"[{"image_id": 1, "caption": "a", "score": NaN}]"#).contains("line 1"));
        assert!(refused(b"[{\"image_id\": 1, \"caption\": \"a \xff dog\"}]").contains("invalid unicode"));
    }

    #[test]
    fn what_moves_scores_is_said() {
        let found = hypotheses(
            r#"[{"image_id": 1, "caption": "<bos> a dog <eos>"}, {"image_id": 2, "caption": "a <UNK> cat"}]"#,
        );
        let warnings = found.unwrap().warnings().join("\n");
        assert!(warnings.contains("1 of 2 hypotheses hold special tokens"), "{warnings}");
        assert!(warnings.contains("1 of 2 hypotheses hold <unk>"), "{warnings}");
        let empty = hypotheses(r#"[{"image_id": 1, "caption": " . "}, {"image_id": 2, "caption": "a cat"}]"#);
        assert_eq!(empty.unwrap().warnings(), ["1 of 2 hypotheses are empty and score 0"]);
        let single = references(REFERENCES).unwrap().warnings();
        assert!(single[0].starts_with("1 of 2 images have a single reference"), "{single:?}");
    }
}
