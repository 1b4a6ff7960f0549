use artifacts::vocabulary::{PAD, UNK};

use super::*;
<<<<<<< HEAD:crates/model/src/search/tests/beam.rs
=======
use crate::decoder::{DecoderConfig, Dimensions, Forced, SoftAttentionConfig, Step};

/// A decoder that is a table: the scores of the next word depend on the last word and the image only.
struct Table {
    /// `[images, vocabulary, vocabulary]` log-probabilities.
    scores: Tensor,
}

impl Decoder for Table {
    fn encode(&self, grid: &Tensor, _train: bool) -> Rows {
        Rows(vec![grid.shallow_clone()])
    }

    fn forward(&self, _memory: &Rows, _words: &Tensor, _train: bool) -> Forced {
        unreachable!("search only steps")
    }

    fn start(&self, memory: &Rows) -> Rows {
        Rows(vec![memory.0[0].zeros_like()])
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Step {
        let logits = self.scores.index(&[Some(&memory.0[0]), Some(words)]);
        let attention = Tensor::stack(&[words.to_kind(Kind::Float), memory.0[0].to_kind(Kind::Float)], 1);
        Step { logits, state: Rows(vec![&state.0[0] + 1]), attention: Some(attention) }
    }
}

const WORDS: i64 = 7; // <pad> <bos> <eos> <unk> and three words, 4 5 6

fn table(images: i64, seed: i64) -> Table {
    tch::manual_seed(seed);
    let scores = Tensor::randn([images, WORDS, WORDS], (Kind::Float, Device::Cpu)) * 2.0;
    Table { scores: scores.log_softmax(-1, Kind::Float) }
}
>>>>>>> help-d:crates/model/src/search/tests.rs

fn run(table: &Table, settings: &SearchSettings) -> Vec<Vec<Hypothesis>> {
    beam_search(table, &images(table), settings).unwrap()
}

fn settings(beam_size: usize, max_length: usize, length_penalty: f64) -> SearchSettings {
    SearchSettings { beam_size, max_length, length_penalty }
}

#[test]
fn a_wide_beam_finds_the_most_probable_caption() {
    for seed in 0..10 {
        let table = table(2, seed);
        let found = run(&table, &settings(100, 4, 0.0));
        for (image, beams) in found.iter().enumerate() {
            let mut all = all_captions(&table, image as i64, 4);
            all.sort_by(|a, b| b.1.total_cmp(&a.1));
            assert_eq!(beams[0].ids, all[0].0, "seed {seed}");
            assert!((beams[0].log_probability - all[0].1).abs() < 1e-4);
        }
    }
}

#[test]
fn images_in_a_batch_do_not_disturb_each_other() {
    let both = table(2, 5);
    let together = run(&both, &settings(3, 8, 1.0));
    for image in 0..2 {
        let alone = Table { scores: both.scores.narrow(0, image, 1) };
        let alone = run(&alone, &settings(3, 8, 1.0));
        let ids = |beams: &[Hypothesis]| beams.iter().map(|beam| beam.ids.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&together[image as usize]), ids(&alone[0]));
    }
}

#[test]
fn a_beam_of_one_takes_the_best_word_each_time() {
    let table = table(1, 8);
    let found = &run(&table, &settings(1, 6, 0.0))[0][0];
    let mut word = i64::from(BOS);
    for position in 0..6 {
        let scores = table.scores.get(0).get(word);
        let allowed: &[i64] = if position == 0 { &[4, 5, 6] } else { &[2, 4, 5, 6] };
        word = *allowed
            .iter()
            .max_by(|a, b| scores.double_value(&[**a]).total_cmp(&scores.double_value(&[**b])))
            .unwrap();
        if word == i64::from(EOS) {
            assert_eq!(found.ids.len(), position);
            return;
        }
        assert_eq!(i64::from(found.ids[position]), word);
    }
}

#[test]
fn a_caption_comes_out_when_no_beam_ends() {
    let table = table(1, 1);
    let _ = table.scores.select(2, i64::from(EOS)).fill_(f64::NEG_INFINITY);
    let beams = &run(&table, &settings(3, 5, 1.0))[0];
    assert_eq!(beams.len(), 3);
    assert!(beams.iter().all(|beam| !beam.finished && beam.ids.len() == 5));
}

#[test]
fn special_tokens_are_never_written_even_when_they_are_likeliest() {
    let table = table(1, 2);
    for token in [PAD, BOS, UNK] {
        let _ = table.scores.select(2, i64::from(token)).fill_(3.0);
    }
    let beams = &run(&table, &settings(4, 5, 1.0))[0];
    assert!(beams.iter().all(|beam| beam.ids.iter().all(|&id| id > UNK)));
}

#[test]
fn attention_follows_the_words_of_its_own_beam() {
    let beams = &run(&table(1, 4), &settings(3, 5, 1.0))[0];
    for beam in beams {
        assert_eq!(beam.attention.len(), beam.ids.len());
        // The table reports as attention the word it was given: the one before.
        for (position, look) in beam.attention.iter().enumerate() {
            let before = if position == 0 { BOS } else { beam.ids[position - 1] };
            assert_eq!(look[0], before as f32);
        }
    }
}

#[test]
fn captions_found_step_by_step_are_as_probable_as_captions_read_at_once() {
    tch::manual_seed(5);
    let store = tch::nn::VarStore::new(Device::Cpu);
    let sizes = SoftAttentionConfig {
        embedding_size: 8,
        feature_size: 8,
        hidden_size: 8,
        attention_size: 8,
        ..Default::default()
    };
    let dimensions = Dimensions { channels: 6, vocabulary: 9 };
    let decoder = DecoderConfig::SoftAttention(sizes).build(&store.root(), dimensions);
    // Untrained, it would hardly ever end.
    let _ = tch::no_grad(|| store.variables()["output.bias"].get(i64::from(EOS)).fill_(3.0));
    let grid = Tensor::rand([2, 4, 6], (Kind::Float, Device::Cpu));
    let memory = tch::no_grad(|| decoder.encode(&grid, false));
    let found = beam_search(decoder.as_ref(), &memory, &settings(4, 6, 0.0)).unwrap();
    let finished: Vec<Vec<&Hypothesis>> =
        found.iter().map(|beams| beams.iter().filter(|beam| beam.finished).collect()).collect();
    assert!(finished.iter().all(|beams| beams.len() > 1), "{found:?}");
    for (image, beams) in finished.iter().enumerate() {
        // Captions of other lengths beside it must not matter.
        let captions: Vec<Vec<u32>> =
            beams.iter().map(|beam| beam.ids.clone()).chain([vec![4; 7], vec![]]).collect();
        let read = log_probabilities(decoder.as_ref(), &memory, &captions).unwrap();
        assert_eq!((read.len(), read[0].len()), (2, captions.len()));
        for (beam, read) in beams.iter().zip(&read[image]) {
            assert!((beam.log_probability - read).abs() < 1e-5, "{beam:?} {read}");
            assert_eq!(beam.log_probabilities.len(), beam.ids.len() + 1);
            let sum: f64 = beam.log_probabilities.iter().sum();
            assert!((sum - beam.log_probability).abs() < 1e-9);
        }
    }
    assert_eq!(log_probabilities(decoder.as_ref(), &memory, &[]).unwrap(), [[0.0; 0]; 2]);
}

#[test]
fn scores_that_are_not_numbers_are_an_error() {
    let mut table = table(1, 4);
    let _ = table.scores.fill_(f64::NAN);
    let result = beam_search(&table, &images(&table), &SearchSettings::default());
    assert!(matches!(result, Err(SearchError::NotANumber)));
}
