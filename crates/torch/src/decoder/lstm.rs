//! The baseline without attention, over whole captions.

use tch::{TchError, Tensor};

use super::layers::dropout;
use super::ragged::Ragged;
use super::{Decoder, Forced, Network, Rows};
use crate::draws::Draws;

pub(super) struct Lstm {
    pub(super) network: Network,
    pub(super) dropout: f64,
}

impl Decoder for Lstm {
    fn network(&self) -> &Network {
        &self.network
    }

    fn share(&self) -> Box<dyn Decoder> {
        Box::new(Lstm { network: self.network.share(), dropout: self.dropout })
    }

    fn forward(&self, memory: &Rows, words: &Tensor, draws: Option<&Draws>) -> Result<Forced, TchError> {
        let ragged = Ragged::new(words)?;
        let (_, captions, steps) = words.size3()?;
        let memory = Rows(vec![memory.0[0].f_repeat_interleave_self_int(captions, 0, None)?]);
        let state = self.start(&memory)?;
        let feature = memory.0[0].f_unsqueeze(1)?.f_expand([-1, steps, -1], false)?;
        let words = self.network.embedding("embedding", &words.f_flatten(0, 1)?)?;
        let words = dropout(&words, self.dropout, draws)?;
        let inputs = Tensor::f_cat(&[words, feature], 2)?;
        let hidden = self.network.lstm("lstm")?.sequence(&inputs, &state.0[0], &state.0[1])?;
        let hidden = dropout(&ragged.select(&hidden)?, self.dropout, draws)?;
        let logits = self.network.linear("output", &hidden)?;
        Ok(Forced { logits, ragged, attention: None, choices: None })
    }
}
