//! The folder for programs of any language: two ONNX files, what to know of them as JSON, a text for people, and a
//! page that captions in the browser.
//!
//! All of it comes from a captioner's file, so an older export gives the same folder as the run that it came from, and equal
//! captioners give equal bytes.

mod page;
mod readme;
mod settings;

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use artifacts::atomic;
use model::captioner_file::CaptionerFile;
use model::checkpoint::Assembled;
use model::grids::{Join, backbone_of, transform};
use model::weights::NamedArrays;
use onnx::{CaptionerModels, Looks, WeightFormat};

use settings::Settings;

/// Normalised images → the memory and the state before the first word.
pub const ENCODER: &str = "encoder.onnx";
/// Memory, state and words → what the next words may be.
pub const DECODER: &str = "decoder.onnx";
/// The words in the order of their ids.
pub const VOCABULARY: &str = "vocabulary.json";
/// How photos become images, how captions are searched, and what goes in and out of the two networks.
pub const SETTINGS: &str = "settings.json";
/// What it is, and a program in Python.
pub const README: &str = "README.md";

/// A page that captions in the browser, by a script beside it.
pub const PAGE: &str = "index.html";
/// What the page does.
pub const SCRIPT: &str = "caption.js";

/// Writes the folder, in the place of an older one at most; the files hold their weights as `weights` says.
///
/// # Errors
///
/// When the folder holds something else, the captioner's networks are not those of this program, or the system refuses.
pub fn write(folder: &Path, captioner: &CaptionerFile, weights: WeightFormat) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().count();
    anyhow::ensure!(
        entries == 0 || Settings::is_at(&folder.join(SETTINGS)),
        "--onnx {} holds other files and no export: name an empty folder",
        folder.display()
    );
    let header = &captioner.header;
    anyhow::ensure!(!header.features.is_empty(), "{} reads no features of photos", header.name);
    if let Some(foreign) = header.features.iter().find(|spec| spec.onnx.is_some()) {
        anyhow::bail!(
            "--onnx: {} reads features of {}, whose network is not one of ours: use its own file",
            header.name,
            foreign.backbone
        );
    }
    // Everything is made before anything is written: a captioner that cannot be exported leaves nothing behind.
    let images = settings::images(&header.features)?;
    let models = models(captioner, &images, weights)?;
    let settings = Settings::new(header, &images, &models);
    let readme = readme::text(captioner, weights)?;
    let failed = |file: &str| folder.join(file).display().to_string();
    // First what tells that the folder is an export: one that was not finished can be written again.
    atomic::write_json(&folder.join(SETTINGS), &settings).with_context(|| failed(SETTINGS))?;
    atomic::write_json(&folder.join(VOCABULARY), &header.vocabulary).with_context(|| failed(VOCABULARY))?;
    let page = page::html();
    let contents: [(&str, &[u8]); 5] = [
        (ENCODER, &models.encoder),
        (DECODER, &models.decoder),
        (README, readme.as_bytes()),
        (PAGE, page.as_bytes()),
        (SCRIPT, page::SCRIPT.as_bytes()),
    ];
    contents.into_iter().try_for_each(|(file, content)| {
        atomic::write(&folder.join(file), |writer| writer.write_all(content)).with_context(|| failed(file))
    })
}

/// The networks, each set of features made of the images that it shares with others like it.
fn models(
    captioner: &CaptionerFile,
    images: &[settings::Images],
    format: WeightFormat,
) -> anyhow::Result<CaptionerModels> {
    let features = &captioner.header.features;
    let weights: Vec<NamedArrays> =
        features.iter().map(|spec| captioner.weights_of(&spec.backbone)).collect();
    let looks = features.iter().zip(&weights).enumerate().map(|(set, (spec, weights))| {
        let images = settings::input(images, set).to_owned();
        Ok(Looks { images, side: transform(spec)?.crop, backbone: backbone_of(spec)?, weights })
    });
    let looks: Vec<Looks> = looks.collect::<anyhow::Result<_>>()?;
    let decoders: Vec<_> = captioner.decoders().collect();
    Ok(CaptionerModels::new(&looks, &Join::new(features), &Assembled::new(&decoders)?, format)?)
}
