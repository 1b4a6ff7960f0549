//! Hard attention: an LSTM that looks at one region a word, drawn at random in training and the likeliest afterwards.
//!
//! Xu et al. 2015 (<https://arxiv.org/abs/1502.03044>), section 4.1, on the network of soft attention. A draw has no
//! gradient, so where to look is learnt by REINFORCE with a baseline and an entropy bonus (see
//! [`super::reinforce`]); and, as in the paper, every other caption is trained on the expectation instead of draws.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, nn};

use super::ragged::Ragged;
use super::reinforce::{self, Choices};
use super::show_attend_tell::{ShowAttendTell, Sizes};
use super::{Decoder, Dimensions, Forced, Rows, Step};

/// Share of captions trained on the expectation, drawn anew every time.
const EXPECTATION_SHARE: f64 = 0.5;

/// Sizes of the `hard_attention` decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct HardAttentionConfig {
    /// Size of a word vector.
    pub embedding_size: i64,
    /// Size of a projected region.
    pub feature_size: i64,
    /// Size of the LSTM state.
    pub hidden_size: i64,
    /// Size of the space in which state and regions are compared.
    pub attention_size: i64,
    /// Share of units dropped in training.
    pub dropout: f64,
    /// Weight λr of REINFORCE: how fast draws that made the caption likelier become likelier.
    pub reinforce_weight: f64,
    /// Weight λe of the entropy, which keeps the draws from settling too early.
    pub entropy_weight: f64,
}

impl Default for HardAttentionConfig {
    fn default() -> Self {
        HardAttentionConfig {
            embedding_size: 256,
            feature_size: 384,
            hidden_size: 384,
            attention_size: 128,
            dropout: 0.5,
            reinforce_weight: 0.1,
            entropy_weight: 0.01,
        }
    }
}

#[derive(Debug)]
pub(super) struct HardAttention {
    network: ShowAttendTell,
    reinforce_weight: f64,
    entropy_weight: f64,
}

impl HardAttention {
    pub(super) fn new(path: &nn::Path, config: &HardAttentionConfig, dimensions: Dimensions) -> Self {
        let sizes = Sizes {
            embedding: config.embedding_size,
            feature: config.feature_size,
            hidden: config.hidden_size,
            attention: config.attention_size,
        };
        HardAttention {
            network: ShowAttendTell::new(path, &sizes, config.dropout, dimensions),
            reinforce_weight: config.reinforce_weight,
            entropy_weight: config.entropy_weight,
        }
    }
}

/// 1 at the region of each of `indices [images, rows, 1]`, 0 elsewhere.
fn one_hot(like: &Tensor, indices: &Tensor) -> Tensor {
    like.zeros_like().scatter_value(-1, indices, 1.0)
}

fn likeliest(energies: &Tensor) -> Tensor {
    one_hot(energies, &energies.argmax(-1, true))
}

impl Decoder for HardAttention {
    fn encode(&self, grid: &Tensor, train: bool) -> Rows {
        self.network.encode(grid, train)
    }

    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Forced {
        if !train {
            return self.network.forward(memory, words, train, likeliest);
        }
        let (images, captions) = (words.size()[0], words.size()[1]);
        let expects =
            Tensor::rand([images, captions, 1], (Kind::Float, words.device())).lt(EXPECTATION_SHARE);
        let (mut log_probabilities, mut entropies) = (vec![], vec![]);
        let forced = self.network.forward(memory, words, train, |energies| {
            let expects = expects.narrow(1, 0, energies.size()[1]);
            let logs = energies.log_softmax(-1, Kind::Float);
            let shares = logs.exp();
            // The Gumbel trick: no distribution, however degenerate, makes it fail.
            let noise = logs.detach().zeros_like().exponential_(1.0).log();
            let drawn = (logs.detach() - noise).argmax(-1, true);
            let log_probability = logs.gather(-1, &drawn, false).masked_fill(&expects, 0.0);
            log_probabilities.push(log_probability);
            entropies.push(-(&shares * &logs).sum_dim_intlist([-1i64].as_slice(), true, Kind::Float));
            shares.where_self(&expects, &one_hot(&logs.detach(), &drawn))
        });
        let ragged = Ragged::new(words);
        let spread = |steps: Vec<Tensor>| ragged.spread(&ragged.join(&steps)).squeeze_dim(-1);
        let choices = Choices { log_probabilities: spread(log_probabilities), entropies: spread(entropies) };
        Forced { choices: Some(choices), ..forced }
    }

    fn start(&self, memory: &Rows) -> Rows {
        self.network.start(memory)
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Step {
        self.network.step(memory, state, words, likeliest)
    }

    fn choice_loss(
        &self,
        choices: &Choices,
        word_log_probabilities: &Tensor,
        mask: &Tensor,
    ) -> Option<Tensor> {
        let reinforce = reinforce::loss(choices, word_log_probabilities, mask) * self.reinforce_weight;
        Some(reinforce - reinforce::mean_entropy(choices, mask) * self.entropy_weight)
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::{OptimizerConfig, VarStore};
    use tch::{Device, Reduction};

    use super::*;

    const REGIONS: i64 = 4;
    const THINGS: i64 = 6;
    const DIMENSIONS: Dimensions =
        Dimensions { channels: REGIONS + THINGS, regions: REGIONS, vocabulary: 4 + REGIONS + THINGS };

    fn build(store: &VarStore) -> HardAttention {
        let config = HardAttentionConfig {
            embedding_size: 32,
            feature_size: 32,
            hidden_size: 32,
            attention_size: 32,
            dropout: 0.0,
            entropy_weight: 0.1,
            ..Default::default()
        };
        HardAttention::new(&store.root(), &config, DIMENSIONS)
    }

    /// Every region has a mark of its own, in some order, and shows some thing. The first word names a mark, the second
    /// must name what the region with this mark shows: grid, words to read, region asked for and word to write.
    fn questions(images: i64) -> (Tensor, Tensor, Tensor, Tensor) {
        let options = (Kind::Int64, Device::Cpu);
        let shown = Tensor::randint(THINGS, [images, REGIONS], options);
        let marks = Tensor::rand([images, REGIONS], (Kind::Float, Device::Cpu)).argsort(-1, false);
        let region = Tensor::randint(REGIONS, [images, 1], options);
        let grid = Tensor::cat(&[marks.one_hot(REGIONS), shown.one_hot(THINGS)], 2).to_kind(Kind::Float);
        let mark = marks.gather(1, &region, false) + 4;
        let words = Tensor::cat(&[&mark, &mark], 1).unsqueeze(1);
        (grid, words, region.flatten(0, 1), (shown.gather(1, &region, false) + 4 + REGIONS).flatten(0, 1))
    }

    /// By chance it is one region in four; a local optimum, where it mixes up two marks, is well above that.
    #[test]
    fn it_learns_which_region_to_look_at() {
        tch::manual_seed(1);
        let store = VarStore::new(Device::Cpu);
        let decoder = build(&store);
        let mut adam = tch::nn::Adam::default().build(&store, 0.01).unwrap();
        let mask = Tensor::from_slice(&[0.0f32, 1.0]).expand([64, 2], false);
        for _ in 0..400 {
            let (grid, words, _, target) = questions(64);
            let forced = decoder.forward(&decoder.encode(&grid, true), &words, true);
            let logits = forced.logits.select(1, 1);
            let losses = logits.cross_entropy_loss(&target, None::<Tensor>, Reduction::None, 0, 0.0);
            let likelihood = Tensor::stack(&[&losses.zeros_like(), &-&losses], 1);
            let choice = decoder.choice_loss(&forced.choices.unwrap(), &likelihood, &mask).unwrap();
            adam.backward_step(&(losses.mean(Kind::Float) + choice));
        }
        let (grid, words, region, target) = questions(500);
        let forced = decoder.forward(&decoder.encode(&grid, false), &words, false);
        let share = |right: Tensor| right.to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
        let looked = forced.attention.unwrap().select(1, 1).argmax(-1, false);
        let right = share(looked.eq_tensor(&region));
        assert!(right > 0.45, "it looks at the region asked for in {right} of the images");
        let right = share(forced.logits.select(1, 1).argmax(-1, false).eq_tensor(&target));
        assert!(right > 0.45, "it names {right} of the things asked for");
    }

    #[test]
    fn half_of_the_captions_draw_a_region_at_every_step() {
        let store = VarStore::new(Device::Cpu);
        let decoder = build(&store);
        let (grid, ..) = questions(100);
        let words = Tensor::full([100, 2, 3], 4, (Kind::Int64, Device::Cpu));
        let forced = decoder.forward(&decoder.encode(&grid, true), &words, true);
        let choices = forced.choices.unwrap();
        assert_eq!(choices.log_probabilities.size(), [200, 3]);
        let attention = forced.attention.unwrap();
        let drawn = attention.amax([-1i64].as_slice(), false).eq(1.0);
        // A caption draws at every step or at none, and has a log-probability where it does.
        assert_eq!(drawn.all_dim(1, false), drawn.any_dim(1, false));
        assert_eq!(drawn, choices.log_probabilities.ne(0.0));
        let captions = drawn.select(1, 0).sum(Kind::Int64).int64_value(&[]);
        assert!((70..=130).contains(&captions), "{captions} of 200 captions draw");
        let highest = (REGIONS as f64).ln() + 1e-6;
        assert!(
            choices.entropies.gt(0.0).logical_and(&choices.entropies.le(highest)).all().int64_value(&[]) == 1
        );
        assert!(decoder.forward(&decoder.encode(&grid, false), &words, false).choices.is_none());
    }
}
