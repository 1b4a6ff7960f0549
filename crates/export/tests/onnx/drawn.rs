//! A captioner of several backbones, views and decoders with numbers drawn for a test.

use std::collections::BTreeMap;
use std::path::Path;

use artifacts::features::FeatureSpec;
use artifacts::tensor_file::CAPTIONER_KEY;
use model::backbone::BackboneSpec;
use model::captioner_file::CaptionerFile;
use model::decoder::{DecoderConfig, Dimensions};
use model::grids::Join;
use model::weights::{self, Array, NamedArrays};
use serde_json::{Value, json};

/// Side of the photos that its transforms only cut.
pub(crate) const SIDE: u32 = 96;

/// Numbers in ±1 that are always the same.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// An array around `middle`.
    fn array(&mut self, shape: &[i64], middle: f32, spread: f32) -> Array {
        let count = shape.iter().product::<i64>() as usize;
        let values: Vec<f32> = (0..count).map(|_| middle + spread * self.next()).collect();
        Array::of_f32(shape.to_vec(), &values).unwrap()
    }
}

/// Two networks, one of them shown two views, with one decoder of each kind; `scores` are any that can be read.
pub(crate) fn write(path: &Path, scores: &Value) {
    let mut numbers = Numbers(7);
    let mut arrays = BTreeMap::new();
    for name in ["resnet18", "efficientnet_lite0"] {
        let tensors = BackboneSpec::named(name).unwrap().tensors(&NamedArrays::new("", BTreeMap::new()));
        for (tensor, shape) in tensors {
            let inputs: i64 = shape.iter().skip(1).product();
            let array = match shape.len() {
                1 if tensor.ends_with("weight") || tensor.ends_with("var") => numbers.array(&shape, 1.0, 0.1),
                1 => numbers.array(&shape, 0.0, 0.1),
                // Numbers stay about as large as they are.
                _ => numbers.array(&shape, 0.0, (3.0 / inputs as f32).sqrt()),
            };
            arrays.insert(format!("backbones.{name}.{tensor}"), array);
        }
    }
    let transform = json!({
        "resize": SIDE, "crop": SIDE, "interpolation": "bicubic", "mean": [127.0, 120.5, 103.53], "std": [128.0, 57.0, 60.25],
    });
    let mut mirrored = transform.clone();
    mirrored["mirror"] = true.into();
    mirrored["crop"] = (SIDE / 3 * 2).into();
    let features = json!([
        features("resnet18", "centre", transform.clone(), 3),
        features("resnet18", "flip", mirrored, 2),
        features("efficientnet_lite0", "centre", transform, 3),
    ]);
    let specs: Vec<FeatureSpec> = serde_json::from_value(features.clone()).unwrap();
    let join = Join::new(&specs);
    let words = ["<pad>", "<bos>", "<eos>", "<unk>", "a", "dog", "is", "on", "the", "grass"];
    let dimensions = Dimensions {
        channels: join.channels() as i64,
        regions: join.regions() as i64,
        vocabulary: words.len() as i64,
    };
    let mut decoders = vec![];
    for (number, config) in DecoderConfig::every_small().into_iter().enumerate() {
        for parameter in config.describe(dimensions).parameters {
            let array = numbers.array(&parameter.shape, 0.0, 0.7);
            arrays.insert(format!("decoders.{number}.{}", parameter.name), array);
        }
        let name = format!("drawn-{}", config.kind().as_str());
        decoders.push(json!({ "name": name, "checkpoint": "", "decoder": config, "provenance": null }));
    }
    let header = json!({
        "format": 1, "name": "drawn", "decoders": decoders, "vocabulary": { "words": words }, "features": features,
        "search": { "beam_size": 4, "max_length": 9, "no_repeat_ngram": 2 }, "scores": scores,
    });
    let entries = BTreeMap::from([(CAPTIONER_KEY.to_owned(), header.to_string())]);
    weights::write_safetensors(path, &arrays, &entries).unwrap();
    CaptionerFile::from_arrays(weights::read(path).unwrap()).unwrap();
}

fn features(name: &str, view: &str, transform: Value, side: u32) -> Value {
    let channels = BackboneSpec::named(name).unwrap().channels;
    json!({
        "backbone": name, "view": view, "weights_sha256": "", "transform": transform, "grid": [side, side],
        "channels": channels,
    })
}
