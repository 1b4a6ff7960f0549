//! Soft and hard attention over whole captions: they differ only in how the scores of the regions become weights.

use tch::{TchError, Tensor};

use super::layers::dropout as dropped;
use super::ragged::{Ragged, first};
use super::steps::Steps;
use super::{Forced, Network, Rows};
use crate::draws::Draws;

/// Teacher forcing over `words [images, captions, steps]`; `weigh` makes shares of the regions' scores, both
/// `[images, captions that are left, regions]`, at every step of [`Ragged`].
pub(super) fn forward(
    network: &Network,
    dropout: f64,
    memory: &Rows,
    words: &Tensor,
    draws: Option<&Draws>,
    mut weigh: impl FnMut(&Tensor) -> Result<Tensor, TchError>,
) -> Result<Forced, TchError> {
    let ragged = Ragged::new(words)?;
    let (_, captions, _) = words.size3()?;
    let words = dropped(&network.embedding("embedding", &ragged.select(words)?)?, dropout, draws)?;
    let lstm = network.lstm("lstm")?.unroll(&ragged, 0, &words)?;
    let of_captions = |state: Tensor| state.f_unsqueeze(1)?.f_expand([-1, captions, -1], false);
    let mut state = network.start(memory)?.0.into_iter().map(of_captions);
    let mut next = || state.next().unwrap_or_else(|| Err(TchError::Shape("no state".to_owned())));
    let (mut hidden, mut cell) = (next()?, next()?);
    let [regions, keys] = [&memory.0[0], &memory.0[1]];
    let (mut hiddens, mut contexts, mut attentions) = (vec![], vec![], vec![]);
    let steps = Steps::default();
    for (step, left) in ragged.left().enumerate() {
        (hidden, cell) = (first(&hidden, left)?, first(&cell, left)?);
        let [energies] = network.part_of_step(&steps, "energies", &[keys, &hidden])?;
        let attention = weigh(&energies)?;
        let [context] = network.part_of_step(&steps, "context", &[regions, &hidden, &attention])?;
        (hidden, cell) = lstm.step(&steps, step, &[&context, &hidden], &cell)?;
        hiddens.push(hidden.shallow_clone());
        contexts.push(context);
        attentions.push(attention);
    }
    // The output layer waits for no later step, so it runs once over all of them.
    let (hidden, context) = (ragged.join(&hiddens)?, ragged.join(&contexts)?);
    let attention = ragged.join(&attentions)?;
    let [logits] = network.part("score", &[&words, &hidden, &context], draws)?;
    let attention = Some(ragged.spread(&attention)?);
    Ok(Forced { logits, ragged, attention, choices: None })
}
