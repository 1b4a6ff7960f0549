//! A captioner of several backbones, views and decoders as two graphs does what their graphs do one by one.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use artifacts::features::FeatureSpec;
use model::backbone::BackboneSpec;
use model::checkpoint::{Assembled, Header};
use model::decoder::DecoderConfig;
use model::grids::Join;
use model::search::Stepper;
use model::weights::{Array, NamedArrays};
use onnx::{Backbone, CaptionerModels, Decoder, DecoderModels, Input, Looks, Session, WeightFormat};

/// Numbers in ±1 that are always the same.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    fn some(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

fn array(shape: &[i64], value: impl FnMut() -> f32) -> Array {
    let count = shape.iter().product::<i64>() as usize;
    let values: Vec<f32> = std::iter::repeat_with(value).take(count).collect();
    Array::of_f32(shape.to_vec(), &values).unwrap()
}

/// Weights that keep numbers about as large as they are.
fn weights(spec: &BackboneSpec, numbers: &mut Numbers) -> NamedArrays {
    let tensors = spec.tensors(&NamedArrays::new("", BTreeMap::new()));
    let arrays = tensors.into_iter().map(|(name, shape)| {
        let inputs: i64 = shape.iter().skip(1).product();
        let array = match shape.len() {
            1 if name.ends_with("bias") || name.ends_with("mean") => array(&shape, || 0.1 * numbers.next()),
            1 => array(&shape, || 1.0 + 0.1 * numbers.next()),
            _ => array(&shape, || numbers.next() * (3.0 / inputs as f32).sqrt()),
        };
        (name, array)
    });
    NamedArrays::new("", arrays.collect())
}

fn features(spec: &BackboneSpec, side: u32) -> FeatureSpec {
    let side = spec.grid(side) as usize;
    serde_json::from_value(serde_json::json!({
        "backbone": spec.name, "view": "centre", "weights_sha256": "", "transform": null,
        "grid": [side, side], "channels": spec.channels,
    }))
    .unwrap()
}

fn decoder(configs: &[DecoderConfig], features: &[FeatureSpec], numbers: &mut Numbers) -> Assembled {
    let decoders: Vec<(Header, NamedArrays)> = configs
        .iter()
        .map(|config| {
            let header = serde_json::json!({
                "decoder": config, "vocabulary": { "words": ["<pad>", "<bos>", "<eos>", "<unk>", "a", "dog"] },
                "features": features, "provenance": null,
            });
            let header: Header = serde_json::from_value(header).unwrap();
            let parameters = header.decoder.describe(header.dimensions()).parameters;
            let arrays = parameters.into_iter().map(|parameter| {
                let array = array(&parameter.shape, || 0.1 * numbers.next());
                (parameter.name, array)
            });
            (header, NamedArrays::new("", arrays.collect()))
        })
        .collect();
    Assembled::new(&decoders).unwrap()
}

/// The largest difference, against the largest number.
fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = ours.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    ours.iter().zip(theirs).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

const BATCH: usize = 2;

#[test]
fn joined_networks_and_decoders_know_what_they_know_one_by_one() {
    let mut numbers = Numbers(1);
    let [small, other] = ["resnet18", "efficientnet_lite0"].map(|name| BackboneSpec::named(name).unwrap());
    let [of_small, of_other] = [small, other].map(|spec| weights(spec, &mut numbers));
    // The first and the last are one network that is shown two views; the second has another grid.
    let looks = [
        ("images_a", 64, small, &of_small),
        ("images_b", 96, other, &of_other),
        ("images_c", 64, small, &of_small),
    ];
    let looks = looks.map(|(images, side, backbone, weights)| Looks {
        images: images.to_owned(),
        side,
        backbone,
        weights,
    });
    let specs: Vec<FeatureSpec> = looks.iter().map(|look| features(look.backbone, look.side)).collect();
    let join = Join::new(&specs);
    let images = [64, 96, 64].map(|side| numbers.some(BATCH * 3 * side * side));
    let halves = looks.iter().zip(&images).map(|(look, images)| {
        let model = onnx::backbone(look.backbone, look.weights, look.side).unwrap();
        let grids = Backbone::new(&model, look.side, NonZeroUsize::MIN).unwrap().grids(images).unwrap();
        grids.into_iter().map(half::f16::from_f32).collect::<Vec<_>>()
    });
    let halves: Vec<Vec<half::f16>> = halves.collect();
    let mut grid = vec![];
    for image in 0..BATCH {
        let of_image =
            halves.iter().map(|set| &set[image * set.len() / BATCH..(image + 1) * set.len() / BATCH]);
        join.append(&of_image.collect::<Vec<_>>(), &mut grid);
    }
    let grid: Vec<f32> = grid.iter().map(|value| value.to_f32()).collect();

    let all = DecoderConfig::every_small();
    for configs in all.chunks(1).chain([&all[..]]) {
        let assembled = decoder(configs, &specs, &mut numbers);
        let models = DecoderModels::new(&assembled.description, &assembled.parameters).unwrap();
        let mut alone = Decoder::new(&models, NonZeroUsize::MIN).unwrap();
        let memory = alone.encode(&grid, [BATCH, join.regions(), join.channels()]).unwrap();

        let whole = CaptionerModels::new(&looks, &join, &assembled, WeightFormat::Exact).unwrap();
        assert_eq!(whole.images, ["images_a", "images_b", "images_c"]);
        assert!(whole.decoder == models.step);
        let mut encoder = Session::new(&whole.encoder, NonZeroUsize::MIN).unwrap();
        let shapes = [64, 96, 64].map(|side| [BATCH, 3, side, side]);
        let inputs = whole.images.iter().zip(&shapes).zip(&images);
        let inputs: Vec<(&str, Input)> =
            inputs.map(|((name, shape), values)| (name.as_str(), Input::F32 { shape, values })).collect();
        let arrays = encoder.run(&inputs).unwrap();
        assert_eq!(arrays.len(), whole.memory.len() + whole.state.len());
        for (ours, theirs) in memory.iter().zip(&arrays) {
            assert_eq!(ours.shape, theirs.shape);
            let difference = difference(&ours.values, &theirs.values);
            assert!(difference < 1e-5, "{configs:?}: {difference}");
        }
        // The network that is shown two views is in the file once.
        let names = whole.encoder.windows(b"resnet18.conv1.weight".len());
        let tensors = names.filter(|name| name == b"resnet18.conv1.weight").count();
        assert!(tensors <= 3, "named {tensors} times: as a tensor, and where it is used");

        let start = alone.start(&memory).unwrap();
        let step = alone.step(&memory, &start, &[1, 4]).unwrap();
        assert_eq!(step.attention.is_some(), whole.attention.is_some());
        assert_eq!(step.state.len(), whole.next_state.len());
    }
}

#[test]
fn sets_that_are_shown_the_same_images_share_an_input() {
    let mut numbers = Numbers(2);
    let spec = BackboneSpec::named("resnet18").unwrap();
    let of_spec = weights(spec, &mut numbers);
    let look = Looks { images: "images".to_owned(), side: 64, backbone: spec, weights: &of_spec };
    let specs = [features(spec, 64), features(spec, 64)];
    let config = &DecoderConfig::every_small()[..1];
    let assembled = decoder(config, &specs, &mut numbers);
    let models =
        CaptionerModels::new(&[look.clone(), look], &Join::new(&specs), &assembled, WeightFormat::Exact)
            .unwrap();
    let session = Session::new(&models.encoder, NonZeroUsize::MIN).unwrap();
    assert_eq!((models.images.as_slice(), session.inputs().len()), (&["images".to_owned()][..], 1));
}
