use std::collections::HashMap;

use artifacts::vocabulary::UNK;
use model::decoder::{DecoderConfig, Dimensions, LstmConfig, SoftAttentionConfig, UpDownConfig};
use model::search::{SearchSettings, beam_search};
use tch::Device;
use tch::nn::VarStore;

use super::*;
use crate::decoder::{Forced, Network, Step, build};
use crate::draws::Draws;
use crate::precision::Precision;

/// A decoder that is a table: the scores of the next word depend on the last word and the image only.
struct Table {
    /// `[images, vocabulary, vocabulary]` log-probabilities.
    scores: Tensor,
}

impl Decoder for Table {
    fn network(&self) -> &Network {
        unreachable!("it has none")
    }

    fn share(&self) -> Box<dyn Decoder> {
        Box::new(Table { scores: self.scores.shallow_clone() })
    }

    fn forward(&self, _memory: &Rows, _words: &Tensor, _draws: Option<&Draws>) -> Result<Forced, TchError> {
        unreachable!("samples are drawn step by step")
    }

    fn start(&self, memory: &Rows) -> Result<Rows, TchError> {
        Ok(Rows(vec![memory.0[0].zeros_like()]))
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Result<Step, TchError> {
        let logits = self.scores.index(&[Some(&memory.0[0]), Some(words)]);
        Ok(Step { logits, state: Rows(vec![&state.0[0] + 1]), attention: None })
    }
}

const WORDS: i64 = 7; // <pad> <bos> <eos> <unk> and three words, 4 5 6

fn table(images: i64, seed: i64) -> Table {
    tch::manual_seed(seed);
    let scores = Tensor::randn([images, WORDS, WORDS], (Kind::Float, Device::Cpu)) * 2.0;
    Table { scores: scores.log_softmax(-1, Kind::Float) }
}

/// The memory of every image of the table.
fn images(table: &Table) -> Rows {
    Rows(vec![Tensor::arange(table.scores.size()[0], (Kind::Int64, Device::Cpu))])
}

fn draw(table: &Table, settings: &SampleSettings, count: usize, seed: u64) -> Vec<Vec<Sample>> {
    sample(table, &images(table), settings, count, seed).unwrap()
}

fn settings(temperature: f64, top_p: f64, max_length: usize) -> SampleSettings {
    SampleSettings { temperature, top_p, max_length }
}

/// The probability of each next word by the definition: no special token, temperature, then nucleus.
fn distribution(
    table: &Table,
    image: i64,
    last: u32,
    first: bool,
    settings: &SampleSettings,
) -> Vec<(u32, f64)> {
    let words = (EOS..WORDS as u32).filter(|&word| word > UNK || (word == EOS && !first));
    let score = |word: u32| table.scores.double_value(&[image, i64::from(last), i64::from(word)]);
    let mut weights: Vec<_> = words.map(|word| (word, (score(word) / settings.temperature).exp())).collect();
    weights.sort_by(|a, b| b.1.total_cmp(&a.1));
    let total: f64 = weights.iter().map(|weight| weight.1).sum();
    let mut reached = 0.0;
    weights.retain(|weight| {
        let within = reached < settings.top_p;
        reached += weight.1 / total;
        within
    });
    let kept: f64 = weights.iter().map(|weight| weight.1).sum();
    weights.into_iter().map(|(word, weight)| (word, weight / kept)).collect()
}

/// Every caption that can be drawn, with its probability.
fn all_samples(table: &Table, image: i64, settings: &SampleSettings) -> HashMap<(Vec<u32>, bool), f64> {
    let (mut open, mut ended) = (vec![(vec![], 1.0)], HashMap::new());
    for _ in 0..settings.max_length {
        let mut longer = vec![];
        for (ids, probability) in open {
            let last = *ids.last().unwrap_or(&BOS);
            for (word, share) in distribution(table, image, last, ids.is_empty(), settings) {
                match word {
                    EOS => drop(ended.insert((ids.clone(), true), probability * share)),
                    _ => longer.push(([ids.as_slice(), &[word]].concat(), probability * share)),
                }
            }
        }
        open = longer;
    }
    ended.extend(open.into_iter().map(|(ids, probability)| ((ids, false), probability)));
    ended
}

#[test]
fn captions_come_as_often_as_they_are_probable() {
    const COUNT: usize = 20_000;
    for settings in [settings(1.0, 1.0, 3), settings(0.6, 1.0, 3), settings(1.5, 0.7, 3)] {
        let table = table(2, 11);
        for (image, samples) in draw(&table, &settings, COUNT, 4).iter().enumerate() {
            let expected = all_samples(&table, image as i64, &settings);
            let mut found: HashMap<_, f64> = HashMap::new();
            for sample in samples {
                *found.entry((sample.ids.clone(), sample.finished)).or_default() += 1.0;
            }
            assert!(found.keys().all(|caption| expected.contains_key(caption)), "{settings:?}");
            for (caption, probability) in expected {
                let share = found.get(&caption).unwrap_or(&0.0) / COUNT as f64;
                // Five standard errors of a share.
                let tolerance = 5.0 * (probability * (1.0 - probability) / COUNT as f64).sqrt();
                assert!(
                    (share - probability).abs() <= tolerance + 1e-4,
                    "{caption:?}: {share}, {probability}"
                );
            }
        }
    }
}

#[test]
fn the_seed_alone_decides() {
    let table = table(2, 3);
    let settings = settings(1.0, 0.9, 8);
    let first = draw(&table, &settings, 20, 1);
    tch::manual_seed(99);
    assert_eq!(first, draw(&table, &settings, 20, 1));
    assert_ne!(first, draw(&table, &settings, 20, 2));
    assert!(first[0].iter().any(|sample| *sample != first[0][0]), "samples are copies of one another");
    // The second image neither draws for the first nor keeps its rows alive.
    let alone = Table { scores: table.scores.narrow(0, 0, 1) };
    assert_eq!(first[0], draw(&alone, &settings, 20, 1)[0]);
}

#[test]
fn a_cold_sampler_is_greedy() {
    let table = table(3, 7);
    let greedy = |image: i64| {
        let (mut ids, mut last, mut sum) = (vec![], BOS, 0.0);
        for position in 0..6 {
            let words = (EOS..WORDS as u32).filter(|&word| word > UNK || (word == EOS && position > 0));
            let score = |word: u32| table.scores.double_value(&[image, i64::from(last), i64::from(word)]);
            last = words.max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap();
            sum +=
                table.scores.double_value(&[image, i64::from(*ids.last().unwrap_or(&BOS)), i64::from(last)]);
            if last == EOS {
                break;
            }
            ids.push(last);
        }
        (ids, sum)
    };
    for cold in [settings(1e-300, 1.0, 6), settings(1.0, 1e-9, 6)] {
        for (image, samples) in (0..).zip(draw(&table, &cold, 4, 1)) {
            let (ids, log_probability) = greedy(image);
            assert!(samples.iter().all(|sample| sample.ids == ids));
            assert!((samples[0].log_probability - log_probability).abs() < 1e-5);
        }
    }
}

#[test]
fn special_tokens_are_never_drawn_and_no_caption_is_empty() {
    let table = table(2, 2);
    let _ = table.scores.slice(2, 0, 4, 1).fill_(9.0);
    for samples in draw(&table, &settings(1.0, 1.0, 5), 200, 1) {
        assert!(samples.iter().all(|sample| !sample.ids.is_empty()));
        assert!(samples.iter().all(|sample| sample.ids.iter().all(|&id| id > UNK)));
        assert!(
            samples.iter().all(|sample| sample.finished == (sample.ids.len() < 5) || sample.ids.len() == 5)
        );
    }
}

#[test]
fn a_sample_that_never_ends_is_cut_and_says_so() {
    let table = table(1, 1);
    let _ = table.scores.select(2, i64::from(EOS)).fill_(f64::NEG_INFINITY);
    let samples = &draw(&table, &settings(1.0, 1.0, 5), 3, 1)[0];
    assert!(samples.iter().all(|sample| !sample.finished && sample.ids.len() == 5));
}

/// Rows that end are dropped on the way: state, memory and words of the others must stay together.
#[test]
fn log_probabilities_are_those_of_teacher_forcing() {
    let small = LstmConfig { embedding_size: 8, feature_size: 8, hidden_size: 8, dropout: 0.0 };
    let attending = SoftAttentionConfig { hidden_size: 8, ..Default::default() };
    let up_down = UpDownConfig { hidden_size: 8, ..Default::default() };
    let configs =
        [DecoderConfig::Lstm(small), DecoderConfig::SoftAttention(attending), DecoderConfig::UpDown(up_down)];
    for config in configs {
        tch::manual_seed(5);
        let dimensions = Dimensions { channels: 6, regions: 4, vocabulary: 9 };
        let store = VarStore::new(Device::Cpu);
        let decoder = build(&config, &store.root(), dimensions, Precision::F32).unwrap();
        let grid = Tensor::randn([3, 4, 6], (Kind::Float, Device::Cpu)) * 3.0;
        let memory = decoder.encode(&grid, None).unwrap();
        let samples = sample(decoder.as_ref(), &memory, &settings(1.3, 0.95, 12), 10, 8).unwrap();
        let lengths: Vec<usize> = samples.concat().iter().map(|sample| sample.ids.len()).collect();
        assert!(lengths.iter().max() > lengths.iter().min(), "no sample ends before another");
        for (image, samples) in samples.iter().enumerate() {
            let memory = memory.select(&Tensor::from_slice(&[image as i64])).unwrap();
            for sample in samples {
                let ids: Vec<i64> = sample.ids.iter().map(|&id| i64::from(id)).collect();
                let words = [&[i64::from(BOS)], ids.as_slice()].concat();
                let input = Tensor::from_slice(&words).view([1, 1, -1]);
                let scores = decoder
                    .forward(&memory, &input, None)
                    .unwrap()
                    .padded()
                    .unwrap()
                    .log_softmax(-1, Kind::Double)
                    .get(0);
                let end = sample.finished.then_some(i64::from(EOS));
                let written = ids.iter().copied().chain(end).enumerate();
                let expected: f64 =
                    written.map(|(position, word)| scores.double_value(&[position as i64, word])).sum();
                assert!((sample.log_probability - expected).abs() < 1e-4, "{sample:?}: {expected}");
            }
        }
    }
}

#[test]
fn settings_without_sense_and_scores_that_are_not_numbers_are_errors() {
    let mut table = table(1, 1);
    for wrong in [settings(0.0, 1.0, 5), settings(1.0, 1.1, 5), settings(1.0, 0.0, 5), settings(1.0, 1.0, 0)]
    {
        assert!(matches!(sample(&table, &images(&table), &wrong, 1, 1), Err(SearchError::Setting(..))));
    }
    let _ = table.scores.fill_(f64::NAN);
    let result = sample(&table, &images(&table), &SampleSettings::default(), 1, 1);
    assert!(matches!(result, Err(SearchError::NotANumber)));
}

#[test]
fn what_another_decoder_encoded_is_an_error() {
    let lstm = |feature_size: i64| {
        let config = LstmConfig { embedding_size: 8, feature_size, hidden_size: 8, dropout: 0.0 };
        let store = VarStore::new(Device::Cpu);
        let dimensions = Dimensions { channels: 6, regions: 4, vocabulary: 9 };
        let decoder = build(&DecoderConfig::Lstm(config), &store.root(), dimensions, Precision::F32).unwrap();
        let memory = decoder.encode(&Tensor::zeros([1, 4, 6], (Kind::Float, Device::Cpu)), None).unwrap();
        (decoder, memory)
    };
    let ((decoder, _), (_, memory)) = (lstm(8), lstm(9));
    let errors = [
        beam_search(&mut decoder.network(), &memory, &SearchSettings::default()).err(),
        sample(decoder.as_ref(), &memory, &SampleSettings::default(), 1, 1).err(),
    ];
    for error in errors {
        assert!(matches!(error, Some(SearchError::Engine(_))), "{error:?}");
    }
}
