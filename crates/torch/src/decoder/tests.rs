//! What every decoder must do, whatever its architecture.

use artifacts::vocabulary::Vocabulary;
use model::decoder::SoftAttentionConfig;
use model::decoder::description::Description;
use tch::nn::{OptimizerConfig, VarStore};
use tch::{Device, Kind, Tensor, nn};

use super::*;
use crate::weights::NamedTensors;

const DIMENSIONS: Dimensions = Dimensions { channels: 6, regions: 4, vocabulary: 11 };

fn build(config: &DecoderConfig) -> (VarStore, Box<dyn Decoder>) {
    tch::manual_seed(3);
    let store = VarStore::new(Device::Cpu);
    let decoder = super::build(config, &store.root(), DIMENSIONS, Precision::F32).unwrap();
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
        let memory = decoder.encode(&grid(2), None).unwrap();
        let forced = decoder.forward(&memory, &words, None).unwrap();
        let mut state = decoder.start(&memory).unwrap();
        for position in 0..4 {
            let step = decoder.step(&memory, &state, &words.select(2, position).flatten(0, 1)).unwrap();
            assert!(
                difference(&step.logits, &forced.padded().unwrap().select(1, position)) < 1e-5,
                "{config:?}"
            );
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
        let memory = decoder.encode(&grid(2), None).unwrap();
        let words = Tensor::from_slice(&[1i64, 4, 1, 5, 1, 6, 1, 7, 1, 8, 1, 9]).view([2, 3, 2]);
        let together = decoder.forward(&memory, &words, None).unwrap().padded().unwrap();
        for caption in 0..3 {
            let alone =
                decoder.forward(&memory, &words.narrow(1, caption, 1), None).unwrap().padded().unwrap();
            let rows = Tensor::from_slice(&[caption, caption + 3]);
            assert!(difference(&together.index_select(0, &rows), &alone) < 1e-5, "{config:?}");
        }
    }
}

#[test]
fn later_words_and_other_rows_change_nothing() {
    for config in DecoderConfig::every_small() {
        let (_store, decoder) = build(&config);
        let memory = decoder.encode(&grid(2), None).unwrap();
        let short = Tensor::from_slice(&[1i64, 4, 0, 0, 1, 7, 8, 9]).view([2, 1, 4]);
        let other = Tensor::from_slice(&[1i64, 4, 9, 9, 1, 2, 3, 4]).view([2, 1, 4]);
        let a = decoder.forward(&memory, &short, None).unwrap().padded().unwrap();
        let b = decoder.forward(&memory, &other, None).unwrap().padded().unwrap();
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
        let logits = decoder
            .forward(&decoder.encode(&grid(2), None).unwrap(), &words, None)
            .unwrap()
            .padded()
            .unwrap();
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
            let forced = decoder.forward(&decoder.encode(&grid, None).unwrap(), &input, None).unwrap();
            forced.padded().unwrap().view([-1, DIMENSIONS.vocabulary]).cross_entropy_for_logits(&target)
        };
        for _ in 0..300 {
            adam.backward_step(&loss());
        }
        assert!(loss().double_value(&[]) < 0.1, "{config:?}");
    }
}

#[test]
fn the_attention_penalty_is_zero_when_every_region_is_looked_at_once() {
    let penalised = SoftAttentionConfig { attention_penalty: 1.0, ..Default::default() };
    let (_store, decoder) = build(&DecoderConfig::SoftAttention(penalised));
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
fn ensemble() -> (Vec<VarStore>, Network, Vec<Box<dyn Decoder>>) {
    let (stores, members): (Vec<VarStore>, Vec<_>) = DecoderConfig::every_small().iter().map(build).unzip();
    let descriptions: Vec<Description> =
        members.iter().map(|member| member.network().description().clone()).collect();
    let named = stores.iter().enumerate().flat_map(|(number, store)| {
        store.variables().into_iter().map(move |(name, tensor)| (format!("{number}.{name}"), tensor))
    });
    let parameters = NamedTensors::new("ensemble", named.collect());
    let ensemble =
        Network::new(Description::ensemble(&descriptions), &(&parameters).into(), Precision::F32).unwrap();
    (stores, ensemble, members)
}

/// The steps after each of `words [images, steps]`.
fn steps(network: &Network, memory: &Rows, words: &Tensor) -> Vec<Step> {
    let mut state = network.start(memory).unwrap();
    let step = |position| {
        let step = network.step(memory, &state, &words.select(1, position)).unwrap();
        state = Rows(step.state.0.iter().map(Tensor::shallow_clone).collect());
        step
    };
    (0..words.size()[1]).map(step).collect()
}

#[test]
fn an_ensemble_gives_the_mean_of_its_members_probabilities() {
    let (_stores, ensemble, members) = ensemble();
    let grid = grid(2);
    let words = Tensor::from_slice(&[1i64, 4, 5, 1, 7, 8]).view([2, 3]);
    let of = |network: &Network| steps(network, &network.encode(&grid, None).unwrap(), &words);
    let alone: Vec<Vec<Step>> = members.iter().map(|member| of(member.network())).collect();
    let mean = |tensors: Vec<Tensor>| {
        let count = tensors.len() as f64;
        tensors.into_iter().reduce(|sum, tensor| sum + tensor).unwrap() / count
    };
    for (position, together) in of(&ensemble).iter().enumerate() {
        let at = || alone.iter().map(|steps| &steps[position]);
        let probabilities = mean(at().map(|step| step.logits.softmax(-1, Kind::Float)).collect());
        assert!(difference(&together.logits.exp(), &probabilities) < 1e-6);
        let looks = at().filter_map(|step| step.attention.as_ref().map(Tensor::shallow_clone));
        assert!(difference(together.attention.as_ref().unwrap(), &mean(looks.collect())) < 1e-6);
    }
}

#[test]
fn rows_of_an_ensemble_can_be_selected() {
    let (_stores, ensemble, _) = ensemble();
    let memory = ensemble.encode(&grid(3), None).unwrap();
    let words = Tensor::from_slice(&[1i64, 4, 5, 1, 7, 8, 1, 9, 9]).view([3, 3]);
    let rows = Tensor::from_slice(&[2i64, 0]);
    let selected = steps(&ensemble, &memory.select(&rows).unwrap(), &words.index_select(0, &rows));
    for (selected, all) in selected.iter().zip(steps(&ensemble, &memory, &words)) {
        assert!(difference(&selected.logits, &all.logits.index_select(0, &rows)) < 1e-5);
    }
}

#[test]
fn a_grid_of_another_model_is_an_error() {
    let (channels, regions) = (DIMENSIONS.channels, DIMENSIONS.regions);
    for config in DecoderConfig::every_small() {
        let (_store, decoder) = build(&config);
        let encoded = |regions: i64, channels: i64| {
            decoder.encode(&Tensor::zeros([1, regions, channels], (Kind::Float, Device::Cpu)), None)
        };
        assert!(encoded(regions, channels).is_ok());
        let error = encoded(regions, channels + 1).unwrap_err().to_string();
        assert!(error.contains("shape"), "{config:?}: {error}");
    }
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
        let warm = super::build(&config, (&store.root(), &start), DIMENSIONS, Precision::F32).unwrap();
        let grid = grid(2);
        let words = Tensor::from_slice(&[1i64, 4, 5, 6, 1, 7, 8, 10]).view([2, 1, 4]);
        let score = |decoder: &dyn Decoder, words: &Tensor| {
            decoder.forward(&decoder.encode(&grid, None).unwrap(), words, None).unwrap().padded().unwrap()
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
            super::build(&config, (&store.root(), &start), dimensions, Precision::F32).unwrap();
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
            super::build(&config, (&store.root(), &start), dimensions, Precision::F32)
                .err()
                .unwrap()
                .to_string()
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
