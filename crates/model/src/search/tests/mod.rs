mod beam;
mod sample;

use artifacts::vocabulary::{BOS, EOS};
use tch::{Device, Kind, TchError, Tensor};

use super::*;
use crate::decoder::{Decoder, Forced, Rows, Step};

/// A decoder that is a table: the scores of the next word depend on the last word and the image only.
struct Table {
    /// `[images, vocabulary, vocabulary]` log-probabilities.
    scores: Tensor,
}

impl Decoder for Table {
    fn encode(&self, grid: &Tensor, _train: bool) -> Result<Rows, TchError> {
        Ok(Rows(vec![grid.shallow_clone()]))
    }

    fn forward(&self, _memory: &Rows, _words: &Tensor, _train: bool) -> Result<Forced, TchError> {
        unreachable!("search only steps")
    }

    fn start(&self, memory: &Rows) -> Result<Rows, TchError> {
        Ok(Rows(vec![memory.0[0].zeros_like()]))
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Result<Step, TchError> {
        let logits = self.scores.index(&[Some(&memory.0[0]), Some(words)]);
        let attention = Tensor::stack(&[words.to_kind(Kind::Float), memory.0[0].to_kind(Kind::Float)], 1);
        Ok(Step { logits, state: Rows(vec![&state.0[0] + 1]), attention: Some(attention) })
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

/// Every caption from one up to `max_length` words, with its log-probability.
fn all_captions(table: &Table, image: i64, max_length: usize) -> Vec<(Vec<u32>, f64)> {
    let score = |from: u32, to: u32| table.scores.double_value(&[image, i64::from(from), i64::from(to)]);
    let (mut open, mut ended) = (vec![(vec![], 0.0)], vec![]);
    for _ in 0..max_length {
        let mut longer = vec![];
        for (ids, probability) in open {
            let last = *ids.last().unwrap_or(&BOS);
            if !ids.is_empty() {
                ended.push((ids.clone(), probability + score(last, EOS)));
            }
            for word in 4..WORDS as u32 {
                longer.push(([ids.as_slice(), &[word]].concat(), probability + score(last, word)));
            }
        }
        open = longer;
    }
    ended
}
