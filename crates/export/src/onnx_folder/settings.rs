//! `settings.json`: all that a program must know beside the networks and the words. `docs/caption.md` says what stands in it.

use std::path::Path;

use artifacts::features::FeatureSpec;
use artifacts::vocabulary::{BOS, EOS, PAD, UNK};
use model::captioner_file::CaptionerHeader;
use model::grids::{Join, transform};
use model::search::SearchSettings;
use onnx::CaptionerModels;
use serde::Serialize;
use serde_json::Value;

/// Of the folder's layout; no other file of ours has the key.
const FORMAT: u32 = 1;
const FORMAT_KEY: &str = "onnx_captioner";
/// The encoder's input where all sets are made of the same images.
const IMAGES: &str = "images";

/// The file.
#[derive(Serialize)]
pub(super) struct Settings<'a> {
    onnx_captioner: u32,
    name: &'a str,
    images: &'a [Images],
    features: Vec<Features<'a>>,
    grid: [usize; 2],
    tokens: Tokens,
    search: &'a SearchSettings,
    encoder: Encoder<'a>,
    decoder: Decoder<'a>,
}

/// An input of the encoder, and how a photo becomes one.
#[derive(Serialize)]
pub(super) struct Images {
    input: String,
    resize: u32,
    crop: u32,
    squash: bool,
    mirror: bool,
    interpolation: Value,
    mean: [f32; 3],
    std: [f32; 3],
    /// The sets that are made of it, by their numbers.
    #[serde(skip)]
    sets: Vec<usize>,
}

/// A set of features.
#[derive(Serialize)]
struct Features<'a> {
    name: String,
    backbone: &'a str,
    input: &'a str,
    grid: [usize; 2],
    channels: usize,
}

/// Ids of the special tokens.
#[derive(Serialize)]
struct Tokens {
    pad: u32,
    bos: u32,
    eos: u32,
    unk: u32,
}

#[derive(Serialize)]
struct Encoder<'a> {
    inputs: &'a [String],
    outputs: Vec<&'a str>,
}

#[derive(Serialize)]
struct Decoder<'a> {
    memory: &'a [String],
    state: &'a [String],
    words: &'a str,
    log_probabilities: &'a str,
    next_state: &'a [String],
    attention: Option<&'a str>,
}

impl<'a> Settings<'a> {
    /// Those of a captioner whose networks are `models` and look at `images`.
    pub(super) fn new(
        header: &'a CaptionerHeader,
        images: &'a [Images],
        models: &'a CaptionerModels,
    ) -> Settings<'a> {
        let features = header.features.iter().enumerate().map(|(set, spec)| Features {
            name: spec.name(),
            backbone: &spec.backbone,
            input: input(images, set),
            grid: spec.grid,
            channels: spec.channels,
        });
        Settings {
            onnx_captioner: FORMAT,
            name: &header.name,
            images,
            features: features.collect(),
            grid: Join::new(&header.features).grid(),
            tokens: Tokens { pad: PAD, bos: BOS, eos: EOS, unk: UNK },
            search: &header.search,
            encoder: Encoder {
                inputs: &models.images,
                outputs: models.memory.iter().chain(&models.state).map(String::as_str).collect(),
            },
            decoder: Decoder {
                memory: &models.memory,
                state: &models.state,
                words: &models.words,
                log_probabilities: &models.log_probabilities,
                next_state: &models.next_state,
                attention: models.attention.as_deref(),
            },
        }
    }

    /// Whether a file is one of these.
    pub(super) fn is_at(path: &Path) -> bool {
        let text = std::fs::read(path).unwrap_or_default();
        serde_json::from_slice::<Value>(&text).is_ok_and(|settings| settings.get(FORMAT_KEY).is_some())
    }
}

/// The different images that some sets of features are made of, in the order in which they are met.
///
/// # Errors
///
/// Features without an image transform of this program.
pub(super) fn images(features: &[FeatureSpec]) -> anyhow::Result<Vec<Images>> {
    let transforms = features.iter().map(transform).collect::<Result<Vec<_>, _>>()?;
    let mut images: Vec<Images> = vec![];
    for (set, transform) in transforms.iter().enumerate() {
        if let Some(same) = images.iter_mut().find(|images| transforms[images.sets[0]] == *transform) {
            same.sets.push(set);
            continue;
        }
        images.push(Images {
            input: format!("{IMAGES}_{}", features[set].name()),
            resize: transform.resize,
            crop: transform.crop,
            squash: transform.squash,
            mirror: transform.mirror,
            interpolation: serde_json::to_value(transform.interpolation)?,
            mean: transform.mean,
            std: transform.std,
            sets: vec![set],
        });
    }
    if let [only] = images.as_mut_slice() {
        only.input = IMAGES.to_owned();
    }
    Ok(images)
}

/// The input that a set is made of.
pub(super) fn input(images: &[Images], set: usize) -> &str {
    images.iter().find(|images| images.sets.contains(&set)).map_or(IMAGES, |images| &images.input)
}
