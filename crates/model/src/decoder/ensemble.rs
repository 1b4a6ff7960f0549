//! Several decoders as one: at every step the mean of their probabilities.

use tch::{Kind, TchError, Tensor};

use super::{Decoder, Forced, Rows, Step};

/// Decoders of one vocabulary that read the same features. Its logits are log-probabilities.
pub struct Ensemble {
    members: Vec<Member>,
}

struct Member {
    decoder: Box<dyn Decoder>,
    /// Tensors of its memory.
    memory: usize,
    /// Tensors of its state.
    state: usize,
}

impl Ensemble {
    /// Joins decoders; `example [1, regions, channels]` is any grid of the shape that they read, by which it learns how
    /// many tensors each keeps.
    ///
    /// # Errors
    ///
    /// Without any decoder, and when one of them does not read the example.
    pub fn new(decoders: Vec<Box<dyn Decoder>>, example: &Tensor) -> Result<Ensemble, TchError> {
        if decoders.is_empty() {
            return Err(TchError::Shape("an ensemble needs at least one decoder".to_owned()));
        }
        let member = |decoder: Box<dyn Decoder>| {
            let memory = decoder.encode(example, false)?;
            let state = decoder.start(&memory)?;
            Ok(Member { decoder, memory: memory.0.len(), state: state.0.len() })
        };
        let members: Result<_, TchError> = tch::no_grad(|| decoders.into_iter().map(member).collect());
        Ok(Ensemble { members: members? })
    }

    /// Each member with its part of the memory.
    fn with_memory<'a>(&'a self, memory: &'a Rows) -> impl Iterator<Item = (&'a Member, Rows)> {
        self.members.iter().zip(split(memory, self.members.iter().map(|member| member.memory)))
    }
}

/// The tensors of every member, which stand one after another.
fn split(rows: &Rows, counts: impl Iterator<Item = usize>) -> impl Iterator<Item = Rows> {
    let mut tensors = rows.0.iter();
    counts.map(move |count| Rows(tensors.by_ref().take(count).map(Tensor::shallow_clone).collect()))
}

/// ln of the mean of the members' probabilities.
fn mean_probability(logits: &[Tensor]) -> Result<Tensor, TchError> {
    let logs: Vec<Tensor> =
        logits.iter().map(|logits| logits.f_log_softmax(-1, Kind::Float)).collect::<Result<_, _>>()?;
    let sum = Tensor::f_stack(&logs, 0)?.f_logsumexp([0i64].as_slice(), false)?;
    sum.f_sub_scalar((logits.len() as f64).ln())
}

/// The mean over the members that attend.
fn mean_attention(attentions: &[Tensor]) -> Result<Option<Tensor>, TchError> {
    if attentions.is_empty() {
        return Ok(None);
    }
    Tensor::f_stack(attentions, 0)?.f_mean_dim([0i64].as_slice(), false, Kind::Float).map(Some)
}

impl Decoder for Ensemble {
    /// The members' memories, one after another.
    fn encode(&self, grid: &Tensor, train: bool) -> Result<Rows, TchError> {
        let mut memories = vec![];
        for member in &self.members {
            memories.extend(member.decoder.encode(grid, train)?.0);
        }
        Ok(Rows(memories))
    }

    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Result<Forced, TchError> {
        let (mut logits, mut attentions) = (vec![], vec![]);
        for (member, memory) in self.with_memory(memory) {
            let forced = member.decoder.forward(&memory, words, train)?;
            logits.push(forced.logits);
            attentions.extend(forced.attention);
        }
        Ok(Forced {
            logits: mean_probability(&logits)?,
            attention: mean_attention(&attentions)?,
            choices: None,
        })
    }

    /// The members' states, one after another.
    fn start(&self, memory: &Rows) -> Result<Rows, TchError> {
        let mut states = vec![];
        for (member, memory) in self.with_memory(memory) {
            states.extend(member.decoder.start(&memory)?.0);
        }
        Ok(Rows(states))
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Result<Step, TchError> {
        let (mut logits, mut states, mut attentions) = (vec![], vec![], vec![]);
        let parts = split(state, self.members.iter().map(|member| member.state));
        for ((member, memory), state) in self.with_memory(memory).zip(parts) {
            let step = member.decoder.step(&memory, &state, words)?;
            logits.push(step.logits);
            states.extend(step.state.0);
            attentions.extend(step.attention);
        }
        Ok(Step {
            logits: mean_probability(&logits)?,
            state: Rows(states),
            attention: mean_attention(&attentions)?,
        })
    }
}
