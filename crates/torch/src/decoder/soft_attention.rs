//! Soft attention over whole captions, with the doubly stochastic penalty.

use model::decoder::SoftAttentionConfig;
use tch::{Kind, TchError, Tensor};

use super::{Decoder, Forced, Network, Rows, show_attend_tell};
use crate::draws::Draws;

pub(super) struct SoftAttention {
    pub(super) network: Network,
    pub(super) config: SoftAttentionConfig,
}

impl Decoder for SoftAttention {
    fn network(&self) -> &Network {
        &self.network
    }

    fn share(&self) -> Box<dyn Decoder> {
        Box::new(SoftAttention { network: self.network.share(), config: self.config.clone() })
    }

    fn forward(&self, memory: &Rows, words: &Tensor, draws: Option<&Draws>) -> Result<Forced, TchError> {
        let softmax = |energies: &Tensor| energies.f_softmax(-1, Kind::Float);
        show_attend_tell::forward(&self.network, self.config.dropout, memory, words, draws, softmax)
    }

    /// λ · mean over captions and regions of (1 − Σₜ αₜ)² (equation 14 of the paper, as a mean so that λ does not
    /// depend on the grid). Captions without any word are padding and do not count.
    fn attention_loss(&self, attention: &Tensor, mask: &Tensor) -> Result<Option<Tensor>, TchError> {
        let looked = attention.f_mul(&mask.f_unsqueeze(-1)?)?;
        let looked = looked.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
        let miss = looked.f_sub_scalar(1.0)?.f_square()?.f_mean_dim([1i64].as_slice(), false, Kind::Float)?;
        let is_caption = mask.f_amax([1i64].as_slice(), false)?;
        let sum = miss.f_mul(&is_caption)?.f_sum(Kind::Float)?;
        sum.f_div(&is_caption.f_sum(Kind::Float)?)?.f_mul_scalar(self.config.attention_penalty).map(Some)
    }
}
