//! How scores were made; a score never travels without it.

use std::collections::BTreeMap;

use artifacts::Split;
use metrics::{Metric, Tokens};
use serde::{Deserialize, Serialize};

/// What a number means beside one of another system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Protocol {
    /// The split, for images of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// How many images were scored.
    pub images: usize,
    /// Fewest and most references of an image.
    pub references_per_image: [usize; 2],
    /// How captions became words.
    pub tokenizer: String,
    /// How each metric was computed.
    pub metrics: BTreeMap<Metric, String>,
    /// How intervals were drawn.
    pub intervals: String,
}

impl Protocol {
    /// The protocol of `metrics` of captions that were scored against `references[image][caption]`.
    pub fn new(
        split: Option<Split>,
        references: &[Vec<Tokens>],
        metrics: impl Iterator<Item = Metric>,
    ) -> Protocol {
        let counts = || references.iter().map(Vec::len);
        Protocol {
            split,
            images: references.len(),
            references_per_image: [counts().min().unwrap_or(0), counts().max().unwrap_or(0)],
            tokenizer: "Penn Treebank rules, lower case, punctuation removed".to_owned(),
            metrics: metrics.map(|metric| (metric, metric.protocol().to_owned())).collect(),
            intervals: "95 %, bootstrap over images".to_owned(),
        }
    }

    /// `5`, or `3–5`.
    pub fn references(&self) -> String {
        let [fewest, most] = self.references_per_image;
        if fewest == most { fewest.to_string() } else { format!("{fewest}–{most}") }
    }

    /// What the numbers cannot say.
    pub fn caveat(&self) -> Option<&'static str> {
        (self.images == 1 && self.metrics.contains_key(&Metric::CiderD)).then_some(
            "CIDEr-D over one image is 0 whatever the caption: it weighs words by how few of the images have them",
        )
    }

    /// Metrics that are computed alike with how that is, in the order of tables.
    pub fn rules(&self) -> Vec<(Vec<Metric>, &str)> {
        let mut rules: Vec<(Vec<Metric>, &str)> = vec![];
        for (metric, rule) in &self.metrics {
            match rules.last_mut() {
                Some((alike, last)) if last == rule => alike.push(*metric),
                _ => rules.push((vec![*metric], rule)),
            }
        }
        rules
    }
}
