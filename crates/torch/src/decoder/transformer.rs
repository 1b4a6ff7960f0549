//! The Transformer over whole captions: all words at once.

use model::decoder::transformer::layer_part;
use tch::{Device, Kind, TchError, Tensor};

use super::ragged::Ragged;
use super::{Decoder, Forced, Network, Rows};
use crate::draws::Draws;

pub(super) struct Transformer {
    pub(super) network: Network,
    pub(super) layers: i64,
}

/// −∞ where a position would look at a later one: `[steps, steps]`.
fn causal_mask(steps: i64, device: Device) -> Result<Tensor, TchError> {
    Tensor::f_full([steps, steps], f64::NEG_INFINITY, (Kind::Float, device))?.f_triu(1)
}

impl Decoder for Transformer {
    fn network(&self) -> &Network {
        &self.network
    }

    fn share(&self) -> Box<dyn Decoder> {
        Box::new(Transformer { network: self.network.share(), layers: self.layers })
    }

    fn forward(&self, memory: &Rows, words: &Tensor, draws: Option<&Draws>) -> Result<Forced, TchError> {
        let ragged = Ragged::new(words)?;
        let (_, _, steps) = words.size3()?;
        let mask = causal_mask(steps, words.device())?;
        let [mut x] = self.network.part("embed", &[&words.f_flatten(0, 1)?], draws)?;
        let mut attention = None;
        for (number, regions) in (0..self.layers).zip(memory.0.chunks_exact(2)) {
            let inputs = [&x, &mask, &regions[0], &regions[1]];
            let [next, look] = self.network.part(&layer_part(number), &inputs, draws)?;
            (x, attention) = (next, Some(look));
        }
        let [logits] = self.network.part("score", &[&ragged.select(&x)?], draws)?;
        Ok(Forced { logits, ragged, attention, choices: None })
    }
}
