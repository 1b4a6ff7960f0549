//! Two engines, one description: libtorch and ONNX Runtime give the same grids, scores and captions.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use artifacts::vocabulary::BOS;
use model::backbone::BackboneSpec;
use model::decoder::description::Description;
use model::decoder::{DecoderConfig, DecoderConfigs, DecoderKind, Dimensions};
use model::search::{SearchSettings, Stepper, beam_search};
use model::weights::{Array, NamedArrays};
use onnx::DecoderModels;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use torch::decoder::{Network, Rows, build};
use torch::precision::Precision;
use torch::weights::NamedTensors;

const DIMENSIONS: Dimensions = Dimensions { channels: 24, regions: 6, vocabulary: 60 };
const IMAGES: i64 = 5;

/// Largest difference in parts of the largest number.
fn error(found: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().map(|value| value.abs()).fold(0.0, f32::max);
    found.iter().zip(wanted).map(|(found, wanted)| (found - wanted).abs()).fold(0.0, f32::max) / largest
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_kind(Kind::Float).flatten(0, -1)).unwrap()
}

/// Numbers of a sane size for a tensor, drawn by libtorch.
fn drawn(name: &str, shape: &[i64]) -> Array {
    let options = (Kind::Float, Device::Cpu);
    let values = match shape {
        [_, rest @ ..] if rest.len() == 3 => {
            Tensor::randn(shape, options) * (2.0 / rest.iter().product::<i64>() as f64).sqrt()
        }
        _ if name.ends_with("running_var") => Tensor::rand(shape, options) + 0.5,
        _ if name.ends_with("weight") => Tensor::rand(shape, options) * 0.5 + 0.5,
        _ => Tensor::randn(shape, options) * 0.1,
    };
    torch::weights::array(&values).unwrap()
}

#[test]
fn every_backbone_gives_equal_grids() {
    let _alone = pipeline_tests::alone();
    tch::manual_seed(4);
    for spec in BackboneSpec::all() {
        let shapes = spec.tensors(&NamedArrays::new("", BTreeMap::new())).into_iter();
        let arrays = shapes.map(|(name, shape)| (name.clone(), drawn(&name, &shape)));
        let weights = NamedArrays::new("drawn", arrays.collect());
        // An odd side makes "SAME" padding uneven in other layers than an even one.
        for side in [64, 75] {
            let images = Tensor::randn([2, 3, side, side], (Kind::Float, Device::Cpu));
            let reference = torch::backbone::Backbone::build(spec, &weights, Device::Cpu).unwrap();
            let wanted = values(&tch::no_grad(|| reference.grid(&images).unwrap()));
            let file = onnx::backbone(spec, &weights, side as u32).unwrap();
            let mut network = onnx::Backbone::new(&file, side as u32, NonZeroUsize::MIN).unwrap();
            let error = error(&network.grids(&values(&images)).unwrap(), &wanted);
            assert!(error < 1e-5, "{} at {side}: relative error {error}", spec.name);
        }
    }
}

/// A decoder on both engines: the parameters in it are those of its store.
fn engines(description: Description, parameters: BTreeMap<String, Tensor>) -> (Network, onnx::Decoder) {
    let parameters = NamedTensors::new("drawn", parameters);
    let network = Network::new(description.clone(), &(&parameters).into(), Precision::F32).unwrap();
    let arrays = parameters
        .tensors()
        .iter()
        .map(|(name, tensor)| (name.clone(), torch::weights::array(tensor).unwrap()));
    let models = DecoderModels::new(&description, &NamedArrays::new("drawn", arrays.collect())).unwrap();
    (network, onnx::Decoder::new(&models, NonZeroUsize::MIN).unwrap())
}

/// Fresh parameters of a decoder.
fn fresh(config: &DecoderConfig) -> BTreeMap<String, Tensor> {
    let store = VarStore::new(Device::Cpu);
    build(config, &store.root(), DIMENSIONS, Precision::F32).unwrap();
    // Words as unlike as a trained decoder has them, or all captions are equally good.
    let louder = |(name, tensor): (String, Tensor)| {
        let output = name.starts_with("output.") || name == "output_bias" || name == "embedding.weight";
        (name, if output { (tensor * 3.0).detach() } else { tensor.detach() })
    };
    store.variables().into_iter().map(louder).collect()
}

/// Small networks of every kind, and what `train` makes by default.
fn configs() -> Vec<DecoderConfig> {
    let defaults = DecoderConfigs::default();
    let all = DecoderKind::ALL.iter().map(|&kind| defaults.get(kind));
    DecoderConfig::every_small().into_iter().chain(all).collect()
}

/// Steps of both engines give the same scores, and searches the same captions.
fn agree(description: Description, parameters: BTreeMap<String, Tensor>, what: &str) {
    let (network, mut decoder) = engines(description, parameters);
    let (regions, channels) = (DIMENSIONS.regions, DIMENSIONS.channels);
    let grid = Tensor::rand([IMAGES, regions, channels], (Kind::Float, Device::Cpu)) * 2.0;
    let memory = tch::no_grad(|| network.encode(&grid, None).unwrap());
    let shape = [IMAGES, regions, channels].map(|size| size as usize);
    let encoded = decoder.encode(&values(&grid), shape).unwrap();
    for (found, wanted) in encoded.iter().zip(&memory.0) {
        assert!(error(&found.values, &values(wanted)) < 1e-5, "{what}: memory");
    }
    let (mut reference, rows) = (&network, [0, 3, 3, 1]);
    let select = |memory: &Rows, reference: &&Network| reference.select(memory, &rows).unwrap();
    let start = Stepper::start(&mut reference, &memory).unwrap();
    let (row_memory, mut wanted) = (select(&memory, &reference), select(&start, &reference));
    let started = decoder.start(&encoded).unwrap();
    let (row_encoded, mut found) =
        (decoder.select(&encoded, &rows).unwrap(), decoder.select(&started, &rows).unwrap());
    for words in [[BOS; 4], [4, 9, 59, 3], [7, 7, 8, 2]] {
        let of_torch = Stepper::step(&mut reference, &row_memory, &wanted, &words).unwrap();
        let of_onnx = decoder.step(&row_encoded, &found, &words).unwrap();
        let error_of = |a: &model::search::Table, b: &model::search::Table| error(&a.values, &b.values);
        let scores = error_of(&of_onnx.log_probabilities, &of_torch.log_probabilities);
        assert!(scores < 1e-5, "{what}: scores differ by {scores}");
        match (&of_onnx.attention, &of_torch.attention) {
            (Some(found), Some(wanted)) => assert!(error_of(found, wanted) < 1e-5, "{what}: attention"),
            (found, wanted) => assert!(found.is_none() && wanted.is_none(), "{what}"),
        }
        (wanted, found) = (of_torch.state, of_onnx.state);
    }
    let settings = SearchSettings { beam_size: 4, max_length: 12, no_repeat_ngram: 2, ..Default::default() };
    let wanted = beam_search(&mut reference, &memory, &settings).unwrap();
    let found = beam_search(&mut decoder, &encoded, &settings).unwrap();
    for (found, wanted) in found.iter().zip(&wanted) {
        let ids = |beams: &[model::search::Hypothesis]| {
            beams.iter().map(|beam| beam.ids.clone()).collect::<Vec<_>>()
        };
        assert_eq!(ids(found), ids(wanted), "{what}");
        for (found, wanted) in found.iter().zip(wanted) {
            let error = (found.log_probability - wanted.log_probability).abs() / wanted.log_probability.abs();
            assert!(error < 1e-5, "{what}: {error}");
            assert_eq!(found.attention.len(), wanted.attention.len());
        }
    }
}

#[test]
fn every_decoder_gives_equal_scores_and_captions() {
    let _alone = pipeline_tests::alone();
    for (number, config) in (0..).zip(configs()) {
        tch::manual_seed(number);
        agree(config.describe(DIMENSIONS), fresh(&config), &format!("{config:?}"));
    }
}

#[test]
fn an_ensemble_gives_equal_scores_and_captions() {
    let _alone = pipeline_tests::alone();
    tch::manual_seed(9);
    let configs = DecoderConfig::every_small();
    let members: Vec<Description> = configs.iter().map(|config| config.describe(DIMENSIONS)).collect();
    let parameters = configs.iter().enumerate().flat_map(|(number, config)| {
        fresh(config).into_iter().map(move |(name, tensor)| (format!("{number}.{name}"), tensor))
    });
    agree(Description::ensemble(&members), parameters.collect(), "ensemble");
}
