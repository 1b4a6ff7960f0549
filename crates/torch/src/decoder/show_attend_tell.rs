//! Soft and hard attention over whole captions: they differ only in how the scores of the regions become weights.

use tch::{TchError, Tensor};

use super::layers::dropout as dropped;
use super::ragged::Ragged;
use super::{Forced, Network, Rows};
use crate::precision::Precision;

/// Teacher forcing over `words [images, captions, steps]`; `weigh` makes shares of the regions' scores, both
/// `[images, captions that are left, regions]`, at every step of [`Ragged`].
pub(super) fn forward(
    network: &Network,
    (dropout, precision): (f64, Precision),
    memory: &Rows,
    words: &Tensor,
    train: bool,
    mut weigh: impl FnMut(&Tensor) -> Result<Tensor, TchError>,
) -> Result<Forced, TchError> {
    let ragged = Ragged::new(words)?;
    let (_, captions, _) = words.size3()?;
    let words = dropped(&network.embedding("embedding", &ragged.select(words)?)?, dropout, train)?;
    let lstm = network.lstm("lstm")?.unroll(&ragged, 0, &words, precision)?;
    let of_captions = |state: Tensor| state.f_unsqueeze(1)?.f_expand([-1, captions, -1], false);
    let mut state = network.start(memory)?.0.into_iter().map(of_captions);
    let mut next = || state.next().unwrap_or_else(|| Err(TchError::Shape("no state".to_owned())));
    let (mut hidden, mut cell) = (next()?, next()?);
    let [regions, keys] = [&memory.0[0], &memory.0[1]];
    let (mut hiddens, mut contexts, mut attentions) = (vec![], vec![], vec![]);
    for (step, left) in ragged.left().enumerate() {
        (hidden, cell) = (hidden.f_narrow(1, 0, left)?, cell.f_narrow(1, 0, left)?);
        let [energies] = network.part("energies", &[keys, &hidden], train)?;
        let attention = weigh(&energies)?;
        let [context] = network.part("context", &[regions, &hidden, &attention], train)?;
        (hidden, cell) = lstm.step(step, &context, &hidden, &cell)?;
        hiddens.push(hidden.shallow_clone());
        contexts.push(context);
        attentions.push(attention);
    }
    // The output layer waits for no later step, so it runs once over all of them.
    let (hidden, context) = (ragged.join(&hiddens)?, ragged.join(&contexts)?);
    let attention = ragged.join(&attentions)?;
    let [logits] = network.part("score", &[&words, &hidden, &context], train)?;
    let attention = Some(ragged.spread(&attention)?);
    Ok(Forced { logits: ragged.spread(&logits)?, attention, choices: None })
}
