//! Hard attention over whole captions: draws, their reward, and expectations beside them.

use model::decoder::HardAttentionConfig;
use tch::{Kind, TchError, Tensor};

use super::layers::one_hot;
use super::reinforce::{self, Choices};
use super::{Decoder, Forced, Network, Rows, show_attend_tell};
use crate::draws::Draws;

/// Share of captions trained on the expectation, drawn anew every time.
const EXPECTATION_SHARE: f64 = 0.5;

pub(super) struct HardAttention {
    pub(super) network: Network,
    pub(super) config: HardAttentionConfig,
}

impl Decoder for HardAttention {
    fn network(&self) -> &Network {
        &self.network
    }

    fn share(&self) -> Box<dyn Decoder> {
        Box::new(HardAttention { network: self.network.share(), config: self.config.clone() })
    }

    fn forward(&self, memory: &Rows, words: &Tensor, draws: Option<&Draws>) -> Result<Forced, TchError> {
        let (network, dropout) = (&self.network, self.config.dropout);
        let Some(random) = draws else {
            let likeliest = |energies: &Tensor| one_hot(energies, &energies.f_argmax(-1, true)?);
            return show_attend_tell::forward(network, dropout, memory, words, draws, likeliest);
        };
        let (images, captions, _) = words.size3()?;
        let expects = random.uniform(&[images, captions, 1], words.device())?.f_lt(EXPECTATION_SHARE)?;
        let (mut log_probabilities, mut entropies) = (vec![], vec![]);
        let forced = show_attend_tell::forward(network, dropout, memory, words, draws, |energies| {
            let (_, left, _) = energies.size3()?;
            let expects = expects.f_narrow(1, 0, left)?;
            let logs = energies.f_log_softmax(-1, Kind::Float)?;
            let shares = logs.f_exp()?;
            // The Gumbel trick: no distribution, however degenerate, makes it fail.
            let uniform = random.uniform(&logs.size(), logs.device())?;
            let noise = uniform.f_neg()?.f_log1p()?.f_neg()?.f_log()?;
            let drawn = logs.f_detach()?.f_sub(&noise)?.f_argmax(-1, true)?;
            let log_probability = logs.f_gather(-1, &drawn, false)?.f_masked_fill(&expects, 0.0)?;
            log_probabilities.push(log_probability);
            let addends = shares.f_mul(&logs)?.f_neg()?;
            entropies.push(addends.f_sum_dim_intlist([-1i64].as_slice(), true, Kind::Float)?);
            shares.f_where_self(&expects, &one_hot(&logs.f_detach()?, &drawn)?)
        })?;
        let ragged = &forced.ragged;
        let spread = |steps: Vec<Tensor>| ragged.spread(&ragged.join(&steps)?)?.f_squeeze_dim(-1);
        let choices =
            Choices { log_probabilities: spread(log_probabilities)?, entropies: spread(entropies)? };
        Ok(Forced { choices: Some(choices), ..forced })
    }

    fn choice_loss(
        &self,
        choices: &Choices,
        word_log_probabilities: &Tensor,
        mask: &Tensor,
    ) -> Result<Option<Tensor>, TchError> {
        let reinforce = reinforce::loss(choices, word_log_probabilities, mask)?;
        let reinforce = reinforce.f_mul_scalar(self.config.reinforce_weight)?;
        let entropy = reinforce::mean_entropy(choices, mask)?.f_mul_scalar(self.config.entropy_weight)?;
        reinforce.f_sub(&entropy).map(Some)
    }
}
