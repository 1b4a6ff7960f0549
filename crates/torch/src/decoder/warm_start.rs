//! What a decoder has learnt, for another one of the same sizes that writes other words.

use artifacts::vocabulary::{SPECIAL, Vocabulary};
use model::weights::WeightsError;
use tch::Tensor;

use crate::weights::NamedTensors;

/// The parameters of a trained decoder, and where it knows the words of another vocabulary.
#[derive(Debug)]
pub struct WarmStart<'a> {
    tensors: &'a NamedTensors,
    /// Ids of the vocabulary that they were learnt with.
    ids: i64,
    /// The id of every word that both know, in the new vocabulary and in theirs.
    here: Tensor,
    there: Tensor,
}

impl<'a> WarmStart<'a> {
    /// Parameters that were learnt with the words `learnt`, for a decoder that writes `vocabulary`.
    pub fn new(tensors: &'a NamedTensors, learnt: &Vocabulary, vocabulary: &Vocabulary) -> WarmStart<'a> {
        let there = vocabulary.ids_in(learnt).into_iter();
        let known = (0i64..).zip(there).filter_map(|(here, there)| Some((here, i64::from(there?))));
        let (here, there): (Vec<i64>, Vec<i64>) = known.unzip();
        let [here, there] = [here, there].map(|ids| Tensor::from_slice(&ids));
        WarmStart { tensors, ids: learnt.len() as i64, here, there }
    }

    /// How many words both vocabularies have, special tokens aside.
    pub fn words(&self) -> usize {
        self.here.numel().saturating_sub(SPECIAL.len())
    }

    /// Puts what was learnt into the parameter `name`; of one `by_word`, the rows of words that are new stay as they are.
    pub(super) fn fill(&self, parameter: &Tensor, name: &str, by_word: bool) -> Result<(), WeightsError> {
        let mut shape = parameter.size();
        if let Some(rows) = shape.first_mut().filter(|_| by_word) {
            *rows = self.ids;
        }
        let learnt = self.tensors.get(name, &shape)?;
        let mut parameter = parameter.shallow_clone();
        let filled = tch::no_grad(|| {
            let learnt = learnt.f_to_device(parameter.device())?.f_to_kind(parameter.f_kind()?)?;
            if !by_word {
                return parameter.f_copy_(&learnt);
            }
            let [here, there] = [&self.here, &self.there].map(|ids| ids.f_to_device(parameter.device()));
            parameter.f_index_copy_(0, &here?, &learnt.f_index_select(0, &there?)?).map(|_| ())
        });
        filled.map_err(|error| self.tensors.refuse(name, error))
    }
}
