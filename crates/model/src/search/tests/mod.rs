mod beam;
mod likelihood;
mod sample;

use std::convert::Infallible;

use artifacts::vocabulary::{BOS, EOS};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const WORDS: usize = 7; // <pad> <bos> <eos> <unk> and three words, 4 5 6

/// A decoder that is a table: the log-probabilities of the next word depend on the last word and the image only.
#[derive(Clone)]
struct Bigrams(Vec<[[f32; WORDS]; WORDS]>);

impl Bigrams {
    fn new(images: usize, seed: u64) -> Bigrams {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let image = |_| [[0.0; WORDS]; WORDS].map(|row| row.map(|_: f32| random.random_range(-4.0..4.0)));
        let mut bigrams = Bigrams((0..images).map(image).collect());
        for row in bigrams.0.iter_mut().flatten() {
            let sum: f32 = row.iter().map(|score| score.exp()).sum();
            row.iter_mut().for_each(|score| *score -= sum.ln());
        }
        bigrams
    }

    /// The same where a word is always that probable.
    fn with(mut self, word: u32, log_probability: f32) -> Bigrams {
        self.0.iter_mut().flatten().for_each(|row| row[word as usize] = log_probability);
        self
    }

    fn score(&self, image: usize, from: u32, to: u32) -> f64 {
        f64::from(self.0[image][from as usize][to as usize])
    }

    /// The memory of every image: its number.
    fn memory(&self) -> Vec<usize> {
        (0..self.0.len()).collect()
    }
}

impl Stepper for &Bigrams {
    type Rows = Vec<usize>;
    type Error = Infallible;

    fn rows(&self, rows: &Vec<usize>) -> usize {
        rows.len()
    }

    fn select(&self, rows: &Vec<usize>, indices: &[usize]) -> Result<Vec<usize>, Infallible> {
        Ok(indices.iter().map(|&index| rows[index]).collect())
    }

    fn start(&mut self, memory: &Vec<usize>) -> Result<Vec<usize>, Infallible> {
        Ok(memory.clone())
    }

    fn step(
        &mut self,
        memory: &Vec<usize>,
        state: &Vec<usize>,
        words: &[u32],
    ) -> Result<Step<Vec<usize>>, Infallible> {
        let rows = memory.iter().zip(words).flat_map(|(&image, &word)| self.0[image][word as usize]);
        // As attention the word that was read, and the image.
        let looks = memory.iter().zip(words).flat_map(|(&image, &word)| [word as f32, image as f32]);
        Ok(Step {
            log_probabilities: Table { columns: WORDS, values: rows.collect() },
            state: state.clone(),
            attention: Some(Table { columns: 2, values: looks.collect() }),
        })
    }
}

/// Every caption from one up to `max_length` words, with its log-probability.
fn all_captions(bigrams: &Bigrams, image: usize, max_length: usize) -> Vec<(Vec<u32>, f64)> {
    let (mut open, mut ended) = (vec![(vec![], 0.0)], vec![]);
    for _ in 0..max_length {
        let mut longer = vec![];
        for (ids, probability) in open {
            let last = *ids.last().unwrap_or(&BOS);
            if !ids.is_empty() {
                ended.push((ids.clone(), probability + bigrams.score(image, last, EOS)));
            }
            for word in 4..WORDS as u32 {
                longer.push((
                    [ids.as_slice(), &[word]].concat(),
                    probability + bigrams.score(image, last, word),
                ));
            }
        }
        open = longer;
    }
    ended
}
