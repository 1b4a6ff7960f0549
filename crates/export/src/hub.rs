//! The folder that a model hub expects: the file, what programs want to know of it, and a card for people.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use artifacts::atomic;
use model::captioner_file::{CaptionerFile, CaptionerHeader};
use serde_json::{Value, json};

use crate::card::Card;
use crate::evaluated::Evaluated;
use crate::pack;

/// The captioner that `caption` and `serve` open.
pub const MODEL: &str = "model.safetensors";
/// What programs want to know of it.
pub const CONFIG: &str = "config.json";
/// The model card, where hubs look for it.
pub const CARD: &str = "README.md";

/// Writes the folder, in the place of an older export at most; `dataset` is what the model was trained on.
///
/// # Errors
///
/// When the folder holds something else, or the system refuses.
pub fn write(
    folder: &Path,
    captioner: &CaptionerFile,
    model: &Evaluated,
    dataset: &str,
) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().count();
    anyhow::ensure!(
        entries == 0 || pack::is_export(&folder.join(MODEL)),
        "--hub {} holds other files and no export: name an empty folder",
        folder.display()
    );
    pack::write(captioner, &folder.join(MODEL))?;
    let failed = |file: &str| folder.join(file).display().to_string();
    atomic::write_json(&folder.join(CONFIG), &config(captioner)).with_context(|| failed(CONFIG))?;
    let card = Card { captioner, model, dataset }.text()?;
    atomic::write(&folder.join(CARD), |file| file.write_all(card.as_bytes())).with_context(|| failed(CARD))
}

/// Architecture, search and image transforms, without the words.
fn config(captioner: &CaptionerFile) -> Value {
    let CaptionerHeader { name, decoders, vocabulary, features, search, .. } = &captioner.header;
    json!({
        "model_type": "image-captioning",
        "name": name,
        "decoders": decoders,
        "features": features,
        "vocabulary_size": vocabulary.len(),
        "search": search,
        "parameters": {
            "decoders": captioner.numbers("decoders."),
            "backbones": captioner.numbers("backbones."),
        },
    })
}
