//! Top-down attention with two LSTMs over whole captions.

use model::decoder::UpDownConfig;
use tch::{TchError, Tensor};

use super::layers::dropout;
use super::ragged::{Ragged, first};
use super::steps::Steps;
use super::{Decoder, Forced, Network, Rows};
use crate::draws::Draws;

pub(super) struct UpDown {
    pub(super) network: Network,
    pub(super) config: UpDownConfig,
}

impl Decoder for UpDown {
    fn network(&self) -> &Network {
        &self.network
    }

    fn share(&self) -> Box<dyn Decoder> {
        Box::new(UpDown { network: self.network.share(), config: self.config.clone() })
    }

    fn forward(&self, memory: &Rows, words: &Tensor, draws: Option<&Draws>) -> Result<Forced, TchError> {
        let (network, &UpDownConfig { hidden_size, dropout: share, .. }) = (&self.network, &self.config);
        let ragged = Ragged::new(words)?;
        let (images, captions, _) = words.size3()?;
        let mean = memory.0[2].f_unsqueeze(1)?;
        let mean = ragged.left().map(|left| mean.f_expand([-1, left, -1], false));
        let mean = mean.collect::<Result<Vec<_>, _>>()?;
        let words = dropout(&network.embedding("embedding", &ragged.select(words)?)?, share, draws)?;
        let known = Tensor::f_cat(&[&ragged.join(&mean)?, &words], 1)?;
        let attention_lstm = network.lstm("attention_lstm")?.unroll(&ragged, hidden_size, &known)?;
        // Nothing that this one reads is known ahead.
        let nothing = words.f_narrow(1, 0, 0)?;
        let language_lstm = network.lstm("language_lstm")?.unroll(&ragged, 0, &nothing)?;
        let zeros = Tensor::f_zeros([images, captions, hidden_size], (words.f_kind()?, words.device()))?;
        let mut state = [(); 4].map(|()| zeros.shallow_clone());
        let (mut hiddens, mut attentions) = (vec![], vec![]);
        let steps = Steps::default();
        for (step, left) in ragged.left().enumerate() {
            let left = |state: &Tensor| first(state, left);
            let (attention_hidden, attention_cell) = (left(&state[0])?, left(&state[1])?);
            let (hidden, cell) = (left(&state[2])?, left(&state[3])?);
            let (attention_hidden, attention_cell) =
                attention_lstm.step(&steps, step, &[&hidden, &attention_hidden], &attention_cell)?;
            let seen = [&memory.0[0], &memory.0[1], &attention_hidden];
            let [shares, context] = network.part_of_step(&steps, "look", &seen)?;
            let (hidden, cell) =
                language_lstm.step(&steps, step, &[&context, &attention_hidden, &hidden], &cell)?;
            hiddens.push(hidden.shallow_clone());
            attentions.push(shares);
            state = [attention_hidden, attention_cell, hidden, cell];
        }
        // The output layer waits for no later step, so it runs once over all of them.
        let hidden = dropout(&ragged.join(&hiddens)?, share, draws)?;
        let attention = Some(ragged.spread(&ragged.join(&attentions)?)?);
        let logits = network.linear("output", &hidden)?;
        Ok(Forced { logits, ragged, attention, choices: None })
    }
}
