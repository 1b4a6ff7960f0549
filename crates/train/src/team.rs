//! The processes of a training: each computes its own micro-batches of a step, and all take the same step along the sum.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, TchError, Tensor};
use torch::distributed::{Group, Place};

use crate::step::{Sum, tree};

/// How long a process waits for the others: longer than the first one takes to validate.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// This process, and the others if there are any.
pub(crate) struct Team {
    group: Option<Group>,
    micro_batches: usize,
}

/// What a step came to in all processes.
pub(crate) struct Step {
    pub(crate) sum: Sum,
    /// Words of its captions.
    pub(crate) words: usize,
    /// Whether somebody wants to stop after it.
    pub(crate) stop: bool,
}

impl Team {
    /// Meets the others, where a launcher has started several; `device` is the one that was asked for, and becomes that of this process.
    pub(crate) fn join(micro_batches: usize, device: &mut Device) -> anyhow::Result<Team> {
        let Some(place) = Place::from_environment()? else { return Ok(Team { group: None, micro_batches }) };
        ensure!(
            micro_batches.is_multiple_of(place.processes) && place.processes.is_power_of_two(),
            "{} processes cannot share train.micro_batches = {micro_batches}: start as many as 1, 2, 4 … up to it, or set it higher",
            place.processes,
        );
        if let Device::Cuda(_) = device {
            *device = Device::Cuda(place.local_rank);
        }
        Ok(Team { group: Some(Group::join(&place, *device, LIMIT)?), micro_batches })
    }

    /// Whether this is the process that validates, writes, and speaks.
    pub(crate) fn is_first(&self) -> bool {
        self.group.as_ref().is_none_or(|group| group.rank() == 0)
    }

    /// How many there are.
    pub(crate) fn processes(&self) -> usize {
        self.group.as_ref().map_or(1, Group::processes)
    }

    /// The micro-batches of this process.
    pub(crate) fn own(&self) -> Range<usize> {
        let each = self.micro_batches / self.processes();
        let rank = self.group.as_ref().map_or(0, Group::rank);
        rank * each..(rank + 1) * each
    }

    /// What the first process says; the others hear it.
    pub(crate) fn tell<T: Serialize + DeserializeOwned>(&self, said: T) -> anyhow::Result<T> {
        let Some(group) = &self.group else { return Ok(said) };
        let heard = group.broadcast_bytes(0, &serde_json::to_vec(&said)?)?;
        serde_json::from_slice(&heard).context("the first process of this training is of another version")
    }

    /// Fills tensors with the numbers of the first process.
    pub(crate) fn same(&self, tensors: &BTreeMap<String, Tensor>) -> anyhow::Result<()> {
        let Some(group) = &self.group else { return Ok(()) };
        tch::no_grad(|| {
            for tensor in tensors.values() {
                let mut flat = tensor.f_detach()?.f_reshape([-1])?;
                group.broadcast(0, &mut flat)?;
                tensor.shallow_clone().f_copy_(&flat.f_view_as(tensor)?)?;
            }
            Ok(())
        })
    }

    /// Sums what the processes' micro-batches came to, as one process would. `own` is nothing where all of them are empty; gradients are
    /// those of `parameters`.
    pub(crate) fn sum(
        &self,
        own: Option<Sum>,
        parameters: &[Tensor],
        words: usize,
        stop: bool,
    ) -> anyhow::Result<Step> {
        let Some(group) = &self.group else {
            let sum = own.context("a step without images")?;
            return Ok(Step { sum, words, stop });
        };
        let own = own.unwrap_or_else(|| Sum {
            gradients: parameters.iter().map(|_| Tensor::new()).collect(),
            value: 0.0,
            more: None,
        });
        let more = own.more;
        let numbers =
            [own.value, more.map_or(0.0, |(_, value)| value), words as f64, f64::from(u8::from(stop))];
        let defined = own.gradients.iter().map(|gradient| f64::from(u8::from(gradient.defined())));
        let numbers: Vec<f64> = numbers.into_iter().chain(defined).collect();
        let numbers = Tensor::f_from_slice(&numbers)?.f_to_device(parameters[0].device())?;
        let all = group.gather_all(&numbers)?.into_iter().enumerate().collect();
        let numbers = tree(all, &|a: Tensor, b: Tensor| a.f_add(&b))?.context("a group of nobody")?;
        let numbers: Vec<f64> = Vec::try_from(numbers.f_to_device(Device::Cpu)?)?;
        let (said, defined) = numbers.split_at(4);
        let gradients = sum_of_gradients(group, &own.gradients, parameters, defined)?;
        let more = more.map(|(name, _)| (name, said[1]));
        let sum = Sum { gradients, value: said[0], more };
        Ok(Step { sum, words: said[2] as usize, stop: said[3] > 0.0 })
    }
}

/// Each process sums one slice of all gradients, in the order of a tree, and gives it to the others.
fn sum_of_gradients(
    group: &Group,
    own: &[Tensor],
    parameters: &[Tensor],
    defined: &[f64],
) -> anyhow::Result<Vec<Tensor>> {
    let processes = group.processes();
    let somewhere = || parameters.iter().zip(own).zip(defined).filter(|(_, defined)| **defined > 0.0);
    let flat = somewhere().map(|((parameter, gradient), _)| match gradient.defined() {
        true => gradient.f_reshape([-1]),
        false => parameter.f_zeros_like()?.f_reshape([-1]),
    });
    let mut flat = flat.collect::<Result<Vec<Tensor>, TchError>>()?;
    let sizes: Vec<i64> = flat.iter().map(|gradient| gradient.numel() as i64).collect();
    let rest = sizes.iter().sum::<i64>().wrapping_neg().rem_euclid(processes as i64);
    flat.push(Tensor::f_zeros([rest], (Kind::Float, parameters[0].device()))?);
    let received = group.all_to_all(&Tensor::f_cat(&flat, 0)?)?.f_chunk(processes as i64, 0)?;
    let received = received.into_iter().enumerate().collect();
    let slice = tree(received, &|a: Tensor, b: Tensor| a.f_add(&b))?.context("a group of nobody")?;
    let sum = Tensor::f_cat(&group.gather_all(&slice)?, 0)?;
    let sum = sum.f_narrow(0, 0, sizes.iter().sum())?.f_split_with_sizes(sizes, 0)?;
    let mut sums = sum.into_iter();
    let of = |(parameter, &defined): (&Tensor, &f64)| match (defined > 0.0).then(|| sums.next()).flatten() {
        Some(gradient) => gradient.f_view_as(parameter),
        None => Ok(Tensor::new()),
    };
    Ok(parameters.iter().zip(defined).map(of).collect::<Result<_, _>>()?)
}
