//! What training minimises: cross-entropy first, the score of whole captions afterwards.

use std::cmp::Reverse;
use std::time::Instant;

use artifacts::vocabulary::{BOS, EOS, PAD, Vocabulary};
use model::search::SampleSettings;
use tch::{TchError, Tensor};
use torch::decoder::{Decoder, Forced};
use torch::draws::Draws;
use torch::sample::sample;
use torch::teaching::{Captions, Taught, log_probabilities, mean_word};

use crate::data::{Batch, Examples, Pick};
use crate::reward::{Reward, advantages};
use crate::settings::{SelfCriticalSettings, Settings};

/// A way to turn a batch into a loss.
pub(crate) trait Objective: Sync {
    /// What an image counts for beside the others of a step.
    fn weight(&self, examples: &Examples, pick: Pick) -> usize;

    /// The loss of a batch, on one thread. `done` is the share of the phase that lies behind; `seed` decides all that is drawn.
    fn loss(&self, decoder: &dyn Decoder, batch: &Batch, done: f64, seed: u64) -> anyhow::Result<Loss>;
}

/// What to minimise, and what to tell of it.
pub(crate) struct Loss {
    /// What gradients are taken of: a scalar.
    pub(crate) loss: Tensor,
    /// What stands for it in logs: the plain loss of words, or the mean reward.
    pub(crate) value: f64,
    /// A further value to log, by name.
    pub(crate) more: Option<(&'static str, f64)>,
}

/// Cross-entropy of people's captions, each word after the true earlier ones, or some of its own.
pub(crate) struct CrossEntropy {
    smoothing: f64,
    /// Share of own words at the end of the phase.
    own_words: f64,
}

impl CrossEntropy {
    pub(crate) fn new(settings: &Settings) -> CrossEntropy {
        CrossEntropy { smoothing: settings.label_smoothing, own_words: settings.scheduled_sampling }
    }
}

impl Objective for CrossEntropy {
    /// Its words: the loss is a mean over all of them.
    fn weight(&self, examples: &Examples, pick: Pick) -> usize {
        examples.words(pick)
    }

    fn loss(&self, decoder: &dyn Decoder, batch: &Batch, done: f64, seed: u64) -> anyhow::Result<Loss> {
        let input = &batch.captions.input;
        let draws = Draws::new(seed);
        let memory = decoder.encode(&batch.grid, Some(&draws))?;
        let share = self.own_words * done;
        let mixed = (share > 0.0).then(|| with_own_words(decoder, &batch.grid, input, share, &draws));
        let mixed = mixed.transpose()?;
        let forced = decoder.forward(&memory, mixed.as_ref().unwrap_or(input), Some(&draws))?;
        let Taught { loss, log_probabilities } = batch.captions.taught(decoder, forced, self.smoothing)?;
        let value = -mean_word(&log_probabilities, &batch.captions.mask)?.f_double_value(&[])?;
        Ok(Loss { loss, value, more: None })
    }
}

/// Scheduled sampling (Bengio et al. 2015) in two passes (Mihaylova and Martins 2019), which suits any decoder: a share
/// of the words that are read, never the first, is replaced by what the decoder would have written there.
fn with_own_words(
    decoder: &dyn Decoder,
    grid: &Tensor,
    words: &Tensor,
    share: f64,
    draws: &Draws,
) -> Result<Tensor, TchError> {
    tch::no_grad(|| {
        let (_, _, steps) = words.size3()?;
        let memory = decoder.encode(grid, None)?;
        let forced = decoder.forward(&memory, words, None)?;
        let own = forced.ragged.spread(&forced.logits.f_argmax(-1, true)?)?.f_view_as(words)?;
        let own = Tensor::f_cat(&[&words.f_narrow(2, 0, 1)?, &own.f_narrow(2, 0, steps - 1)?], 2)?;
        let replaced = draws.uniform(&words.size(), words.device())?.f_lt(share)?;
        let replaced = replaced.f_logical_and(&words.f_ne(i64::from(PAD))?)?;
        own.f_where_self(&replaced, words)
    })
}

/// Self-critical sequence training (Rennie et al. 2017, <https://arxiv.org/abs/1612.00563>): sampled captions that score
/// better than the other samples of their image become more probable.
pub(crate) struct SelfCritical<'a> {
    settings: &'a SelfCriticalSettings,
    vocabulary: &'a Vocabulary,
    examples: &'a Examples,
    reward: Reward,
}

impl<'a> SelfCritical<'a> {
    pub(crate) fn new(
        settings: &'a SelfCriticalSettings,
        vocabulary: &'a Vocabulary,
        examples: &'a Examples,
    ) -> anyhow::Result<SelfCritical<'a>> {
        let reward = Reward::new(examples.all_references())?;
        Ok(SelfCritical { settings, vocabulary, examples, reward })
    }
}

impl Objective for SelfCritical<'_> {
    /// How many words will be sampled, nobody knows yet.
    fn weight(&self, _examples: &Examples, _pick: Pick) -> usize {
        1
    }

    /// Without dropout: the samples are drawn from the very distribution that the gradient is of.
    fn loss(&self, decoder: &dyn Decoder, batch: &Batch, _done: f64, seed: u64) -> anyhow::Result<Loss> {
        let started = Instant::now();
        let memory = decoder.encode(&batch.grid, None)?;
        let settings = SampleSettings { max_length: self.settings.max_length, ..SampleSettings::default() };
        let mut samples = sample(decoder, &memory, &settings, self.settings.samples, seed)?;
        samples.iter_mut().for_each(|samples| samples.sort_by_key(|sample| Reverse(sample.ids.len())));
        let drawn: Vec<Vec<(&[u32], bool)>> = samples
            .iter()
            .map(|samples| samples.iter().map(|sample| (sample.ids.as_slice(), sample.finished)).collect())
            .collect();
        let references = batch.picks.iter().map(|&pick| self.examples.references(pick));
        let references = references.collect::<anyhow::Result<Vec<_>>>()?;
        let before_reward = started.elapsed();
        let rewards = self.reward.of(self.vocabulary, &references, &drawn)?;
        let reward_seconds = (started.elapsed() - before_reward).as_secs_f64();
        let with_ends: Vec<Vec<Vec<u32>>> =
            drawn.iter().map(|samples| samples.iter().map(|sample| framed(*sample)).collect()).collect();
        let captions = Captions::new(&with_ends, batch.grid.device());
        let advantages: Vec<f32> = rewards.iter().flat_map(|rewards| advantages(rewards)).collect();
        let advantages = Tensor::f_from_slice(&advantages)?.f_to_device(batch.grid.device())?;
        let forced = decoder.forward(&memory, &captions.input, None)?;
        let loss = policy_gradient(&forced, &captions.target, &captions.mask, &advantages)?;
        let count = rewards.iter().flatten().count().max(1);
        let mean = f64::from(rewards.iter().flatten().sum::<f32>()) / count as f64;
        let share = reward_seconds / started.elapsed().as_secs_f64();
        Ok(Loss { loss, value: mean, more: Some(("train/reward_time_share", share)) })
    }
}

/// `<bos>`, the words, and `<eos>` if it was drawn.
fn framed((ids, finished): (&[u32], bool)) -> Vec<u32> {
    let end = finished.then_some(EOS);
    std::iter::once(BOS).chain(ids.iter().copied()).chain(end).collect()
}

/// The policy gradient (Rennie et al. 2017, equation 6): −mean over words of advantage × log-probability.
/// The sampled words are `target [rows, steps]`, `advantage [rows]`.
fn policy_gradient(
    forced: &Forced,
    target: &Tensor,
    mask: &Tensor,
    advantage: &Tensor,
) -> Result<Tensor, TchError> {
    let Forced { logits, ragged, .. } = forced;
    let [chosen, _] = log_probabilities(logits, &ragged.select(target)?)?;
    let advantage = ragged.select(&advantage.f_unsqueeze(-1)?.f_expand_as(target)?)?;
    mean_word(&chosen.f_mul(&advantage)?, &ragged.select(mask)?)?.f_neg()
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};
    use torch::decoder::ragged::Ragged;

    use super::*;

    /// Scores of two captions, whose words are all computed though the second has ended.
    fn words() -> (Tensor, Tensor, Tensor) {
        let logits = (Tensor::arange(30, (Kind::Float, Device::Cpu)) * 2.0).sin().view([2, 3, 5]);
        let target = Tensor::from_slice(&[4i64, 2, 0, 3, 0, 0]).view([2, 3]);
        let mask = target.ne(i64::from(PAD)).to_kind(Kind::Float);
        (logits, target, mask)
    }

    #[test]
    fn the_policy_gradient_raises_what_was_better_than_expected() {
        let (logits, target, mask) = words();
        let logits = logits.set_requires_grad(true);
        let advantage = Tensor::from_slice(&[2.0f32, -1.0]);
        let ragged = Ragged::new(&Tensor::from_slice(&[1i64, 4, 2, 1, 3, 2]).view([2, 1, 3])).unwrap();
        let forced =
            Forced { logits: ragged.select(&logits).unwrap(), ragged, attention: None, choices: None };
        policy_gradient(&forced, &target, &mask, &advantage).unwrap().backward();
        let gradient = logits.grad();
        let of = |row: i64, step: i64, word: i64| gradient.double_value(&[row, step, word]);
        // Three words in all; the gradient of a chosen word is −advantage × (1 − p) / words.
        let p = logits.softmax(-1, Kind::Float).double_value(&[0, 0, 4]);
        assert!((of(0, 0, 4) + 2.0 * (1.0 - p) / 3.0).abs() < 1e-5);
        assert!(of(1, 0, 3) > 0.0);
        assert_eq!(of(0, 2, 0), 0.0);
    }
}
