//! Several decoders as one: at every step the mean of their probabilities.

use tch::{Kind, Tensor};

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
    /// many tensors each keeps. There is at least one decoder.
    pub fn new(decoders: Vec<Box<dyn Decoder>>, example: &Tensor) -> Ensemble {
        let member = |decoder: Box<dyn Decoder>| {
            let memory = tch::no_grad(|| decoder.encode(example, false));
            let state = tch::no_grad(|| decoder.start(&memory));
            Member { decoder, memory: memory.0.len(), state: state.0.len() }
        };
        Ensemble { members: decoders.into_iter().map(member).collect() }
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
fn mean_probability(logits: &[Tensor]) -> Tensor {
    let logs: Vec<Tensor> = logits.iter().map(|logits| logits.log_softmax(-1, Kind::Float)).collect();
    Tensor::stack(&logs, 0).logsumexp([0i64].as_slice(), false) - (logits.len() as f64).ln()
}

/// The mean over the members that attend.
fn mean_attention(attentions: &[Tensor]) -> Option<Tensor> {
    let mean = || Tensor::stack(attentions, 0).mean_dim([0i64].as_slice(), false, Kind::Float);
    (!attentions.is_empty()).then(mean)
}

impl Decoder for Ensemble {
    /// The members' memories, one after another.
    fn encode(&self, grid: &Tensor, train: bool) -> Rows {
        Rows(self.members.iter().flat_map(|member| member.decoder.encode(grid, train).0).collect())
    }

    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Forced {
        let (mut logits, mut attentions) = (vec![], vec![]);
        for (member, memory) in self.with_memory(memory) {
            let forced = member.decoder.forward(&memory, words, train);
            logits.push(forced.logits);
            attentions.extend(forced.attention);
        }
        Forced { logits: mean_probability(&logits), attention: mean_attention(&attentions), choices: None }
    }

    /// The members' states, one after another.
    fn start(&self, memory: &Rows) -> Rows {
        Rows(self.with_memory(memory).flat_map(|(member, memory)| member.decoder.start(&memory).0).collect())
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Step {
        let (mut logits, mut states, mut attentions) = (vec![], vec![], vec![]);
        let parts = split(state, self.members.iter().map(|member| member.state));
        for ((member, memory), state) in self.with_memory(memory).zip(parts) {
            let step = member.decoder.step(&memory, &state, words);
            logits.push(step.logits);
            states.extend(step.state.0);
            attentions.extend(step.attention);
        }
        Step {
            logits: mean_probability(&logits),
            state: Rows(states),
            attention: mean_attention(&attentions),
        }
    }
}
