//! Headers with any numbers: a file that says of itself what is not true is an error, before memory is taken for it.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

use std::collections::BTreeMap;
use std::path::Path;

use artifacts::features::FeatureSpec;
use artifacts::tensor_file::{CAPTIONER_KEY, CHECKPOINT_KEY};
use artifacts::vocabulary::Vocabulary;
use model::captioner_file::CaptionerFile;
use model::checkpoint::Header;
use model::decoder::{DecoderConfig, DecoderConfigs, DecoderKind};
use model::grids;
use model::search::SearchSettings;
use model::weights::{self, NamedArrays};
use proptest::prelude::*;
use serde_json::{Value, json};
use tch::nn::VarStore;
use tch::{Device, Tensor};
use torch::precision::Precision;
use torch::pretrained::{Pretrained, PretrainedError};
use torch::weights::write_safetensors;
use torch::{checkpoint, decoder};

/// What a number of a header is replaced by.
fn hostile() -> impl Strategy<Value = Value> {
    let extremes = [
        json!(0),
        json!(1),
        json!(-5),
        json!(65_536),
        json!(1_000_000_000),
        json!(999_999_999_999_u64),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(0.5),
        json!("7"),
        json!([]),
        Value::Null,
    ];
    proptest::sample::select(extremes.to_vec())
}

/// The places of all numbers in a header.
fn numbers(value: &Value, place: &str, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(place.to_owned()),
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| numbers(value, &format!("{place}/{at}"), found));
        }
        Value::Object(values) => {
            values.iter().for_each(|(key, value)| numbers(value, &format!("{place}/{key}"), found));
        }
        _ => {}
    }
}

/// The header of a small model.
fn header(kind: DecoderKind) -> Header {
    let mut sizes = serde_json::to_value(DecoderConfigs::default().get(kind)).unwrap();
    for (key, value) in sizes.as_object_mut().unwrap() {
        match key.as_str() {
            "heads" => *value = json!(2),
            "layers" | "encoder_layers" => *value = json!(1),
            key if key.ends_with("_size") => *value = json!(8),
            _ => {}
        }
    }
    let decoder: DecoderConfig = serde_json::from_value(sizes).unwrap();
    let features = FeatureSpec {
        backbone: "resnet18".to_owned(),
        view: Default::default(),
        weights: Default::default(),
        weights_sha256: "0".repeat(64),
        onnx: None,
        transform: json!({
            "resize": 256, "crop": 224, "interpolation": "bilinear", "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]
        }),
        grid: [2, 2],
        channels: 6,
    };
    let vocabulary = Vocabulary::new(["dog".to_owned(), "runs".to_owned()]).unwrap();
    Header { decoder, vocabulary, features: vec![features], provenance: Value::Null }
}

/// The header entries and tensors of a small model: as a checkpoint, and as a captioner.
fn small(kind: DecoderKind) -> [(&'static str, Value, BTreeMap<String, Tensor>); 2] {
    let header = header(kind);
    let store = VarStore::new(Device::Cpu);
    let _decoder =
        decoder::build(&header.decoder, &store.root(), header.dimensions(), Precision::F32).unwrap();
    let tensors: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    let prefixed = (0..2).flat_map(|number| {
        tensors
            .iter()
            .map(move |(name, tensor)| (format!("decoders.{number}.{name}"), tensor.shallow_clone()))
    });
    let decoder = json!({ "name": "a", "checkpoint": "b", "decoder": header.decoder, "provenance": null });
    let captioner = json!({
        "format": 1, "name": "small", "decoders": [decoder, decoder], "vocabulary": header.vocabulary,
        "features": header.features, "search": SearchSettings::default(), "scores": null,
    });
    let mut checkpoint = serde_json::to_value(&header).unwrap();
    checkpoint["format"] = json!(2);
    [(CAPTIONER_KEY, captioner, prefixed.collect()), (CHECKPOINT_KEY, checkpoint, tensors)]
}

fn read(path: &Path, key: &str, header: &Value, tensors: &BTreeMap<String, Tensor>) -> NamedArrays {
    let entries = BTreeMap::from([(key.to_owned(), header.to_string())]);
    write_safetensors(path, tensors, &entries).unwrap();
    weights::read(path).unwrap()
}

/// What a program does with a file: every use of a number that the header holds.
fn load(key: &str, file: NamedArrays) -> Result<(), String> {
    let pretrained = Pretrained::read(file.path()).and_then(|file| go_on_from(&file));
    let model = if key == CAPTIONER_KEY {
        let file = CaptionerFile::from_arrays(file).map_err(|error| error.to_string())?;
        checkpoint::of_captioner(&file, Device::Cpu).map_err(|error| error.to_string())?
    } else {
        checkpoint::load(file.path(), Device::Cpu).map_err(|error| error.to_string())?
    };
    for spec in &model.header.features {
        grids::transform(spec).map_err(|error| error.to_string())?;
        // It is not that of ResNet-18: refused, by whatever shape it names.
        assert!(grids::backbone_of(spec).is_err());
    }
    model.share().map_err(|error| error.to_string())?;
    pretrained.map_err(|error| error.to_string())
}

/// Starts a decoder of each kind and of the sizes of a small model from the one in a file, where it has one.
fn go_on_from(file: &Pretrained) -> Result<(), PretrainedError> {
    for header in DecoderKind::ALL.iter().map(|&kind| header(kind)) {
        match file.decoder(&header.decoder) {
            Err(PretrainedError::Kind { .. }) => {}
            decoder => {
                decoder?.build(&VarStore::new(Device::Cpu), &header, Precision::F32)?;
            }
        }
    }
    Ok(())
}

/// The most memory that this process ever had, in MB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1000
}

#[test]
fn no_number_of_a_header_panics_or_takes_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let models: Vec<_> = DecoderKind::ALL.iter().flat_map(|&kind| small(kind)).collect();
    for (key, header, tensors) in &models {
        load(key, read(&path, key, header, tensors)).unwrap();
    }
    let before = peak();
    let mutation = (0..models.len(), any::<prop::sample::Index>(), hostile());
    proptest!(ProptestConfig::with_cases(1500), |((model, place, value) in mutation)| {
        let (key, header, tensors) = &models[model];
        let mut places = vec![];
        numbers(header, "", &mut places);
        let mut header = header.clone();
        *header.pointer_mut(&places[place.index(places.len())]).unwrap() = value;
        let _ = load(key, read(&path, key, &header, tensors));
    });
    assert!(peak() < before + 100, "{} MB, {before} MB before", peak());
}

#[test]
fn sizes_that_the_tensors_do_not_have_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for (key, header, tensors) in small(DecoderKind::SoftAttention) {
        let place = if key == CAPTIONER_KEY { "/decoders/0/decoder" } else { "/decoder" };
        for (size, said) in [
            (json!(65_536), "are these the weights of another network?"),
            (json!(999_999_999_999_u64), "hidden_size must be at least 1 and at most 65536"),
            (json!(-5), "hidden_size must be at least 1"),
        ] {
            let mut header = header.clone();
            header.pointer_mut(place).unwrap()["hidden_size"] = size;
            let error = load(key, read(&path, key, &header, &tensors)).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        let mut header = header.clone();
        header["features"][0]["grid"] = json!([1_000_000_000, 1_000_000_000]);
        let error = load(key, read(&path, key, &header, &tensors)).unwrap_err();
        assert!(error.contains("a grid of [1000000000, 1000000000, 6] numbers"), "{error}");
    }
}
