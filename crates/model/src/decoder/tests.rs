//! What every decoder must do, whatever its architecture.

use artifacts::vocabulary::Vocabulary;
use tch::nn::{OptimizerConfig, VarStore};
use tch::{Device, Kind, Tensor, nn};

use super::*;
use crate::weights::NamedTensors;

const DIMENSIONS: Dimensions = Dimensions { channels: 6, regions: 4, vocabulary: 11 };

fn build(config: &DecoderConfig) -> (VarStore, Box<dyn Decoder>) {
    tch::manual_seed(3);
    let store = VarStore::new(Device::Cpu);
    let decoder = config.build(&store.root(), DIMENSIONS, Precision::F32).unwrap();
    (store, decoder)
}

fn grid(images: i64) -> Tensor {
    Tensor::rand([images, 4, DIMENSIONS.channels], (Kind::Float, Device::Cpu))
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn stepping_gives_the_scores_of_teacher_forcing() {
    for config in DecoderConfig::every_small() {
        let (_store, decoder) = build(&config);
        let words = Tensor::from_slice(&[1i64, 4, 5, 6, 1, 7, 8, 9]).view([2, 1, 4]);
        let memory = decoder.encode(&grid(2), false).unwrap();
        let forced = decoder.forward(&memory, &words, false).unwrap();
        let mut state = decoder.start(&memory).unwrap();
        for position in 0..4 {
            let step = decoder.step(&memory, &state, &words.select(2, position).flatten(0, 1)).unwrap();
            assert!(difference(&step.logits, &forced.logits.select(1, position)) < 1e-5, "{config:?}");
            if let (Some(one), Some(all)) = (&step.attention, &forced.attention) {
                assert!(difference(one, &all.select(1, position)) < 1e-5);
                assert!(
                    difference(
                        &one.sum_dim_intlist([1i64].as_slice(), false, Kind::Float),
                        &Tensor::ones([2], (Kind::Float, Device::Cpu))
                    ) < 1e-5
                );
            }
            state = step.state;
        }
    }
}

#[test]
fn captions_of_an_image_share_its_memory_and_nothing_else() {
    for config in DecoderConfig::every_small() {
        let (_store, decoder) = build(&config);
        let memory = decoder.encode(&grid(2), false).unwrap();
        let words = Tensor::from_slice(&[1i64, 4, 1, 5, 1, 6, 1, 7, 1, 8, 1, 9]).view([2, 3, 2]);
        let together = decoder.forward(&memory, &words, false).unwrap().logits;
        for caption in 0..3 {
            let alone = decoder.forward(&memory, &words.narrow(1, caption, 1), false).unwrap().logits;
            let rows = Tensor::from_slice(&[caption, caption + 3]);
            assert!(difference(&together.index_select(0, &rows), &alone) < 1e-5, "{config:?}");
        }
    }
}

#[test]
fn later_words_and_other_rows_change_nothing() {
    for config in DecoderConfig::every_small() {
        let (_store, decoder) = build(&config);
        let memory = decoder.encode(&grid(2), false).unwrap();
        let short = Tensor::from_slice(&[1i64, 4, 0, 0, 1, 7, 8, 9]).view([2, 1, 4]);
        let other = Tensor::from_slice(&[1i64, 4, 9, 9, 1, 2, 3, 4]).view([2, 1, 4]);
        let a = decoder.forward(&memory, &short, false).unwrap().logits;
        let b = decoder.forward(&memory, &other, false).unwrap().logits;
        assert!(
            difference(&a.select(0, 0).narrow(0, 0, 2), &b.select(0, 0).narrow(0, 0, 2)) < 1e-6,
            "{config:?}"
        );
    }
}

#[test]
fn different_images_get_different_scores() {
    for config in DecoderConfig::every_small() {
        let (_store, decoder) = build(&config);
        let words = Tensor::from_slice(&[1i64, 4, 1, 4]).view([2, 1, 2]);
        let logits =
            decoder.forward(&decoder.encode(&grid(2), false).unwrap(), &words, false).unwrap().logits;
        assert!(difference(&logits.get(0), &logits.get(1)) > 1e-4, "{config:?}");
    }
}

#[test]
fn four_captions_can_be_learnt_by_heart() {
    for config in DecoderConfig::every_small() {
        let (store, decoder) = build(&config);
        let grid = grid(4);
        let words = Tensor::from_slice(&[1i64, 4, 5, 2, 1, 6, 7, 2, 1, 8, 9, 2, 1, 10, 4, 2]).view([4, 4]);
        let input = words.narrow(1, 0, 3).unsqueeze(1);
        let target = words.narrow(1, 1, 3).reshape([-1]);
        let mut adam = nn::Adam::default().build(&store, 0.02).unwrap();
        let loss = || {
            let forced = decoder.forward(&decoder.encode(&grid, false).unwrap(), &input, false).unwrap();
            forced.logits.view([-1, DIMENSIONS.vocabulary]).cross_entropy_for_logits(&target)
        };
        for _ in 0..300 {
            adam.backward_step(&loss());
        }
        assert!(loss().double_value(&[]) < 0.1, "{config:?}");
    }
}

#[test]
fn the_attention_penalty_is_zero_when_every_region_is_looked_at_once() {
    let (_store, decoder) = build(&DecoderConfig::SoftAttention(SoftAttentionConfig::small()));
    let attention = Tensor::eye(4, (Kind::Float, Device::Cpu)).unsqueeze(0);
    let mask = Tensor::ones([1, 4], (Kind::Float, Device::Cpu));
    let loss = |mask: &Tensor| decoder.attention_loss(&attention, mask).unwrap().unwrap().double_value(&[]);
    assert!(loss(&mask).abs() < 1e-6);
    // Without the last step, one region of four is never looked at.
    let _ = mask.get(0).get(3).fill_(0.0);
    assert!((loss(&mask) - 0.25).abs() < 1e-6);
    // A caption that is all padding changes nothing.
    let attention = Tensor::cat(&[&attention, &attention], 0);
    let mask = Tensor::cat(&[&mask, &mask.zeros_like()], 0);
    assert!(
        (decoder.attention_loss(&attention, &mask).unwrap().unwrap().double_value(&[]) - 0.25).abs() < 1e-6
    );
}

/// All decoders as one, and each of them.
fn ensemble() -> (Vec<VarStore>, Ensemble, Vec<Box<dyn Decoder>>) {
    let (mut stores, mut copies, mut members) = (vec![], vec![], vec![]);
    for config in DecoderConfig::every_small() {
        let (store, decoder) = build(&config);
        let mut copy_store = VarStore::new(Device::Cpu);
        let copy = config.build(&copy_store.root(), DIMENSIONS, Precision::F32).unwrap();
        copy_store.copy(&store).unwrap();
        stores.extend([store, copy_store]);
        copies.push(copy);
        members.push(decoder);
    }
    (stores, Ensemble::new(copies, &grid(1)).unwrap(), members)
}

#[test]
fn an_ensemble_gives_the_mean_of_its_members_probabilities() {
    let (_stores, ensemble, members) = ensemble();
    let grid = grid(2);
    let words = Tensor::from_slice(&[1i64, 4, 5, 1, 7, 8, 1, 6, 6, 1, 9, 4]).view([2, 2, 3]);
    let together = ensemble.forward(&ensemble.encode(&grid, false).unwrap(), &words, false).unwrap();
    let alone: Vec<Forced> = members
        .iter()
        .map(|member| member.forward(&member.encode(&grid, false).unwrap(), &words, false).unwrap())
        .collect();
    let mean = |tensors: Vec<Tensor>| {
        let count = tensors.len() as f64;
        tensors.into_iter().reduce(|sum, tensor| sum + tensor).unwrap() / count
    };
    let probabilities = mean(alone.iter().map(|forced| forced.logits.softmax(-1, Kind::Float)).collect());
    assert!(difference(&together.logits.exp(), &probabilities) < 1e-6);
    let attention = mean(alone.into_iter().filter_map(|forced| forced.attention).collect());
    assert!(difference(&together.attention.unwrap(), &attention) < 1e-6);
}

#[test]
fn an_ensemble_steps_as_it_runs_and_its_rows_can_be_selected() {
    let (_stores, ensemble, _) = ensemble();
    let memory = ensemble.encode(&grid(3), false).unwrap();
    let rows = Tensor::from_slice(&[2i64, 0]);
    let words = Tensor::from_slice(&[1i64, 4, 5, 1, 7, 8]).view([2, 1, 3]);
    let forced = ensemble.forward(&memory.select(&rows).unwrap(), &words, false).unwrap();
    let mut state = ensemble.start(&memory).unwrap().select(&rows).unwrap();
    for position in 0..3 {
        let words = words.select(2, position).flatten(0, 1);
        let step = ensemble.step(&memory.select(&rows).unwrap(), &state, &words).unwrap();
        assert!(difference(&step.logits, &forced.logits.select(1, position)) < 1e-5);
        state = step.state;
    }
}

#[test]
fn no_decoders_are_no_ensemble() {
    let error = Ensemble::new(vec![], &grid(1)).err().unwrap().to_string();
    assert!(error.contains("at least one decoder"), "{error}");
}

#[test]
fn a_grid_of_another_model_is_an_error() {
    let (channels, regions) = (DIMENSIONS.channels, DIMENSIONS.regions);
    for config in DecoderConfig::every_small() {
        let (_store, decoder) = build(&config);
        let encoded = |regions: i64, channels: i64| {
            decoder.encode(&Tensor::zeros([1, regions, channels], (Kind::Float, Device::Cpu)), false)
        };
        assert!(encoded(regions, channels).is_ok());
        let error = encoded(regions, channels + 1).unwrap_err().to_string();
        assert!(error.contains("shape"), "{config:?}: {error}");
    }
}

#[test]
fn a_decoder_is_called_the_same_everywhere() {
    for config in DecoderConfig::every_small() {
        let name = config.kind().as_str();
        assert_eq!(serde_json::to_value(config.kind()).unwrap(), name);
        assert_eq!(serde_json::to_value(&config).unwrap()["kind"], name);
        let defaults = DecoderConfigs::default().get(config.kind());
        assert_eq!(defaults.kind(), config.kind());
        let mut sizes = serde_json::to_value(&defaults).unwrap();
        sizes.as_object_mut().unwrap().remove("kind");
        assert_eq!(serde_json::to_value(DecoderConfigs::default()).unwrap()[name], sizes);
    }
}

/// Every number of every decoder, and what it may not be.
#[test]
fn sizes_without_sense_are_refused_by_name() {
    for config in DecoderConfig::every_small() {
        assert_eq!(config.problem(), None, "{config:?}");
        assert_eq!(DecoderConfigs::default().get(config.kind()).problem(), None);
        let sizes = serde_json::to_value(&config).unwrap();
        for (key, value) in sizes.as_object().unwrap().iter().filter(|(_, value)| value.is_number()) {
            let wrong = if value.is_i64() { serde_json::json!(-1) } else { serde_json::json!(-0.1) };
            let mut sizes = sizes.clone();
            sizes[key] = wrong;
            let config: DecoderConfig = serde_json::from_value(sizes).unwrap();
            assert_eq!(
                config.problem().map(|problem| problem.key).as_deref(),
                Some(key.as_str()),
                "{config:?}"
            );
        }
    }
    let uneven = TransformerConfig { model_size: 18, heads: 2, ..Architecture::small() };
    let configs = DecoderConfigs { transformer: uneven, ..Default::default() };
    let problem = configs.problem().unwrap().to_string();
    assert_eq!(problem, "transformer.model_size must be a multiple of twice the heads, of 4");
}

fn vocabulary(words: &[&str]) -> Vocabulary {
    Vocabulary::new(words.iter().map(|&word| word.to_owned())).unwrap()
}

/// The parameters in `store` as a file has them.
fn learnt(store: &VarStore) -> NamedTensors {
    NamedTensors::new("learnt", store.variables().into_iter().collect())
}

/// Seven words, as many as [`DIMENSIONS`] has beside the special tokens.
const LEARNT: [&str; 7] = ["a", "bird", "cat", "dog", "runs", "sits", "the"];

#[test]
fn words_are_found_again_by_their_spelling() {
    // The same words with other ids: whatever a decoder knows of them must have moved with them.
    let (before, after) =
        (vocabulary(&LEARNT), vocabulary(&["the", "cat", "a", "sits", "runs", "bird", "dog"]));
    let ids: Vec<i64> = before.ids_in(&after).into_iter().map(|id| i64::from(id.unwrap())).collect();
    let ids = Tensor::from_slice(&ids);
    for config in DecoderConfig::every_small() {
        let (store, decoder) = build(&config);
        let tensors = learnt(&store);
        let start = WarmStart::new(&tensors, &before, &after);
        assert_eq!(start.words(), 7);
        let store = VarStore::new(Device::Cpu);
        let warm = config.build((&store.root(), &start), DIMENSIONS, Precision::F32).unwrap();
        let grid = grid(2);
        let words = Tensor::from_slice(&[1i64, 4, 5, 6, 1, 7, 8, 10]).view([2, 1, 4]);
        let score = |decoder: &dyn Decoder, words: &Tensor| {
            decoder.forward(&decoder.encode(&grid, false).unwrap(), words, false).unwrap().logits
        };
        let moved = score(warm.as_ref(), &ids.take(&words)).index_select(2, &ids);
        assert!(difference(&score(decoder.as_ref(), &words), &moved) < 1e-5, "{config:?}");
    }
}

#[test]
fn new_words_are_drawn_and_all_else_is_what_was_learnt() {
    let (before, after) =
        (vocabulary(&LEARNT), vocabulary(&["zebra", "dog", "yak", "a", "x", "y", "z", "runs"]));
    let dimensions = Dimensions { vocabulary: after.len() as i64, ..DIMENSIONS };
    for kind in [Kind::Float, Kind::Half] {
        for config in DecoderConfig::every_small() {
            // Numbers that nobody draws.
            let (store, _) = build(&config);
            let numbers = store.variables().into_iter().map(|(name, tensor)| {
                let numbers = Tensor::arange(tensor.numel() as i64, (Kind::Float, Device::Cpu)) + 100.0;
                (name, numbers.view_as(&tensor).to_kind(kind))
            });
            let tensors = NamedTensors::new("learnt", numbers.collect());
            let start = WarmStart::new(&tensors, &before, &after);
            assert_eq!(start.words(), 3);
            let store = VarStore::new(Device::Cpu);
            config.build((&store.root(), &start), dimensions, Precision::F32).unwrap();
            let mut by_word = 0;
            for (name, found) in store.variables() {
                assert!(found.requires_grad() && found.kind() == Kind::Float, "{config:?}: {name}");
                let learnt = tensors.tensors()[&name].to_kind(Kind::Float);
                if found.size() == learnt.size() {
                    assert_eq!(found, learnt, "{config:?}: {name}");
                    continue;
                }
                by_word += 1;
                for (row, id) in (0..).zip(after.ids_in(&before)) {
                    let found = found.get(row);
                    let right = match id {
                        Some(id) => found == learnt.get(i64::from(id)),
                        None => found.abs().max().double_value(&[]) < 50.0,
                    };
                    assert!(right, "{config:?}: {name}, {}", after.word(row as u32));
                }
            }
            assert!(by_word >= 2, "{config:?}");
        }
    }
}

#[test]
fn what_another_network_has_learnt_is_refused() {
    let words = vocabulary(&LEARNT);
    for config in DecoderConfig::every_small() {
        let (store, _) = build(&config);
        let tensors = learnt(&store);
        let refused = |learnt: &Vocabulary, dimensions| {
            let store = VarStore::new(Device::Cpu);
            let start = WarmStart::new(&tensors, learnt, &words);
            config.build((&store.root(), &start), dimensions, Precision::F32).err().unwrap().to_string()
        };
        let error = refused(&words, Dimensions { channels: 7, ..DIMENSIONS });
        assert!(error.contains("tensor `feature.weight` is"), "{error}");
        // It says of itself that it has fewer words than it has rows, or more.
        for words in [&["dog"][..], &["a", "b", "c", "d", "e", "f", "g", "h"]] {
            let error = refused(&vocabulary(words), DIMENSIONS);
            assert!(error.contains("are these the weights of another network?"), "{error}");
        }
    }
}

#[test]
fn sizes_are_compared_and_what_shapes_the_training_alone_is_not() {
    for config in DecoderConfig::every_small() {
        assert_eq!(config.differing_size(&config), None);
        let sizes = serde_json::to_value(&config).unwrap();
        for (key, value) in sizes.as_object().unwrap().iter().filter(|(_, value)| value.is_number()) {
            let mut other = sizes.clone();
            let size = value.as_i64();
            other[key] = size.map_or(serde_json::json!(0.25), |size| (size + 1).into());
            let other: DecoderConfig = serde_json::from_value(other).unwrap();
            let wanted = size.map(|size| (key.clone(), size, size + 1));
            assert_eq!(config.differing_size(&other), wanted, "{key}");
        }
    }
}
