//! `scores.json`: the scores of a run's captions with all that is needed to repeat them.

use std::path::Path;

use anyhow::Context;
use artifacts::manifest::read_promised;
use artifacts::{Manifest, ModelId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::grounding::Grounding;
use crate::protocol::Protocol;
use crate::sheet::Sheet;

/// File name in the evaluation folder.
pub const FILE: &str = "scores.json";
/// The model that sees nothing: one caption for all images.
pub const BLIND: &str = "blind";
/// What people score against each other.
pub const HUMAN: &str = "human";

/// `scores.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScoreFile {
    /// The system: the folder of a trained model, [`BLIND`] or [`HUMAN`].
    pub model: String,
    /// The decoders, unless no network wrote the captions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ModelId>,
    /// What was measured.
    #[serde(flatten)]
    pub sheet: Sheet,
    /// How it was measured.
    pub protocol: Protocol,
    /// Captions that the search had to cut.
    pub unfinished: usize,
    /// Where the model looked when it named objects, where their boxes are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grounding: Option<Grounding>,
    /// What else is known of the model: search settings, parameters, features; the blind caption.
    pub details: Value,
    /// Hashes of the files that went in.
    pub inputs: Value,
}

impl ScoreFile {
    /// Whether an evaluation has scores: people who wrote one reference each cannot be compared.
    pub fn is_in(evaluation: &Manifest) -> bool {
        evaluation.outputs.iter().any(|output| output.file == FILE)
    }

    /// Reads the scores in an evaluation folder.
    ///
    /// # Errors
    /// When the file is not there, is damaged, or was written by another version.
    pub fn read(folder: &Path) -> anyhow::Result<ScoreFile> {
        let path = folder.join(FILE);
        let text = read_promised(&path)?;
        serde_json::from_slice(&text).with_context(|| format!("{}: run `evaluate` again", path.display()))
    }
}
