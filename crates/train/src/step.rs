//! The gradients of a step: its images are cut into micro-batches, each is computed on one thread, and what they come to is summed in
//! one order. Which core computes which micro-batch, and when, changes nothing in the result.

use std::ops::Range;

use rayon::ThreadPool;
use rayon::prelude::*;
use tch::{Device, TchError, Tensor};
use torch::decoder::Decoder;

use crate::data::{Batch, Examples, Pick};
use crate::objective::Objective;

/// Some images of a step, and how much of it they are.
pub(crate) struct MicroBatch {
    pub(crate) batch: Batch,
    /// Its number in the step.
    pub(crate) number: usize,
    /// What it counts for in the step, the others being the rest of 1.
    pub(crate) share: f64,
}

/// What micro-batches came to, each by its share.
pub(crate) struct Sum {
    /// Of the loss by each parameter; undefined where it has none.
    pub(crate) gradients: Vec<Tensor>,
    /// What the objective reports.
    pub(crate) value: f64,
    /// A further value to log, by name.
    pub(crate) more: Option<(&'static str, f64)>,
}

/// The images of micro-batch `number` of `count`: as many as of the others, or one more or less; of the first there is one.
fn cut(picks: &[Pick], number: usize, count: usize) -> &[Pick] {
    let bound = |number: usize| (number * picks.len()).div_ceil(count);
    &picks[bound(number)..bound(number + 1)]
}

/// Reads the images of a step for an objective, cut into `count` micro-batches, of which `own` are wanted; of few images some are
/// empty, and left out.
pub(crate) fn read(
    objective: &dyn Objective,
    examples: &Examples,
    picks: &[Pick],
    count: usize,
    own: Range<usize>,
    device: Device,
) -> anyhow::Result<Vec<MicroBatch>> {
    let weight = |picks: &[Pick]| picks.iter().map(|&pick| objective.weight(examples, pick)).sum::<usize>();
    let all = weight(picks).max(1) as f64;
    let cut = own.map(|number| (number, cut(picks, number, count)));
    let read = cut.filter(|(_, own)| !own.is_empty()).map(|(number, own)| {
        let share = weight(own) as f64 / all;
        Ok(MicroBatch { batch: examples.batch(own, device)?, number, share })
    });
    read.collect()
}

/// Computes micro-batches side by side on `threads`; those of an empty range come to nothing. `seed` is that of the step, and
/// `done` the share of the phase that lies behind.
pub(crate) fn compute(
    objective: &dyn Objective,
    decoder: &dyn Decoder,
    parameters: &[Tensor],
    micro_batches: Vec<MicroBatch>,
    (seed, done): (u64, f64),
    threads: &ThreadPool,
) -> anyhow::Result<Option<Sum>> {
    let shared = micro_batches.into_iter().map(|micro_batch| {
        let parameters: Vec<Tensor> = parameters.iter().map(Tensor::shallow_clone).collect();
        (decoder.share(), parameters, micro_batch)
    });
    let shared: Vec<_> = shared.collect();
    let one = |(decoder, parameters, MicroBatch { batch, number, share }): (_, Vec<Tensor>, _)| {
        let decoder: Box<dyn Decoder> = decoder;
        let seed = learn::step_seed(seed, number);
        let loss = objective.loss(decoder.as_ref(), &batch, done, seed)?;
        let weighed = loss.loss.f_mul_scalar(share)?;
        let gradients = Tensor::f_run_backward(&[&weighed], &parameters, false, false)?;
        let more = loss.more.map(|(name, value)| (name, value * share));
        anyhow::Ok((number, Sum { gradients, value: loss.value * share, more }))
    };
    let sums: Vec<(usize, Sum)> =
        threads.install(|| shared.into_par_iter().map(one).collect::<anyhow::Result<_>>())?;
    Ok(tree(sums, &|a, b| plus(a, b, threads))?)
}

/// The sum over a binary tree of numbered leaves, in rising order: of two neighbours, of two neighbouring sums, and so on. A leaf that
/// is missing leaves the others at their places, so processes that have a half of the numbers each come to the same.
pub(crate) fn tree<T, E>(
    mut level: Vec<(usize, T)>,
    plus: &dyn Fn(T, T) -> Result<T, E>,
) -> Result<Option<T>, E> {
    while level.len() > 1 {
        let mut next: Vec<(usize, T)> = Vec::new();
        for (number, b) in level {
            let number = number / 2;
            let sum = match next.pop_if(|(last, _)| *last == number) {
                Some((_, a)) => plus(a, b)?,
                None => b,
            };
            next.push((number, sum));
        }
        level = next;
    }
    Ok(level.pop().map(|(_, sum)| sum))
}

fn plus(a: Sum, b: Sum, threads: &ThreadPool) -> Result<Sum, TchError> {
    let pairs: Vec<(Tensor, Tensor)> = a.gradients.into_iter().zip(b.gradients).collect();
    let gradients = threads.install(|| {
        let sum = |(a, b): (Tensor, Tensor)| match (a.defined(), b.defined()) {
            (true, true) => a.f_add(&b),
            (true, false) => Ok(a),
            (false, _) => Ok(b),
        };
        pairs.into_par_iter().map(sum).collect::<Result<_, _>>()
    })?;
    let more = a.more.zip(b.more).map(|((name, a), (_, b))| (name, a + b));
    Ok(Sum { gradients, value: a.value + b.value, more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_summed_by_themselves() {
        let plus = |a: String, b: String| Ok::<_, ()>(format!("({a}{b})"));
        let of = |leaves: &[(usize, String)]| tree(leaves.to_vec(), &plus).unwrap();
        let leaves = |letters: &str| -> Vec<(usize, String)> {
            letters.chars().map(String::from).enumerate().filter(|(_, letter)| letter != " ").collect()
        };
        let sum = |letters: &str| of(&leaves(letters));
        assert_eq!(sum("abcd").unwrap(), "((ab)(cd))");
        assert_eq!(sum("abc").unwrap(), "((ab)c)");
        assert_eq!(sum("a").unwrap(), "a");
        assert_eq!(sum(""), None);
        // The last one has the holes of five images in eight micro-batches.
        for letters in ["abcdefgh", "a c  f  ", "ab de g "] {
            let all = leaves(letters);
            let (left, right) = all.split_at(all.partition_point(|(number, _)| *number < 4));
            let halves = [left, right].map(|half| of(half).unwrap());
            assert_eq!(of(&halves.into_iter().enumerate().collect::<Vec<_>>()), sum(letters));
        }
    }
}
