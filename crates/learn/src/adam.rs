//! Adam (Kingma and Ba 2015, <https://arxiv.org/abs/1412.6980>) with decoupled weight decay (AdamW, Loshchilov and Hutter
//! 2019, <https://arxiv.org/abs/1711.05101>), with moments that can be saved.
//!
//! libtorch has one, but its binding keeps the moments to itself, and without them a resumed run is not the same run.

use std::collections::BTreeMap;

use rayon::ThreadPool;
use rayon::prelude::*;
use tch::{TchError, Tensor};
use torch::native::{AdamW, adamw};

const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;

/// The optimiser of some tensors with gradients, in the order of their names.
pub struct Adam {
    parameters: BTreeMap<String, Parameter>,
    weight_decay: f64,
    steps: i32,
}

struct Parameter {
    value: Tensor,
    mean: Tensor,
    square: Tensor,
}

impl Adam {
    /// Zero moments for every tensor with a gradient. Matrices shrink by `weight_decay × learning rate` a step; vectors
    /// (biases, normalisations) do not.
    pub fn new(parameters: impl IntoIterator<Item = (String, Tensor)>, weight_decay: f64) -> Adam {
        let learning = parameters.into_iter().filter(|(_, value)| value.requires_grad());
        let parameter =
            |value: Tensor| Parameter { mean: value.zeros_like(), square: value.zeros_like(), value };
        let parameters = learning.map(|(name, value)| (name, parameter(value))).collect();
        Adam { parameters, weight_decay, steps: 0 }
    }

    /// What it changes, in the order of the names.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters.iter().map(|(name, parameter)| (name.as_str(), &parameter.value))
    }

    /// Scales gradients, one for each of [`parameters`](Self::parameters), to norm `clip` at most, and takes a step along them, on
    /// all `threads`; undefined ones are left out.
    ///
    /// # Errors
    ///
    /// libtorch refuses.
    pub fn step(
        &mut self,
        gradients: &[Tensor],
        learning_rate: f64,
        clip: f64,
        threads: &ThreadPool,
    ) -> Result<(), TchError> {
        self.steps += 1;
        let defined = self.parameters.values().zip(gradients).filter(|(_, gradient)| gradient.defined());
        let moved = defined.map(|(Parameter { value, mean, square }, gradient)| {
            [value, gradient, mean, square].map(Tensor::shallow_clone)
        });
        let moved: Vec<[Tensor; 4]> = moved.collect();
        let (squares, moved): (Vec<f64>, Vec<[Tensor; 4]>) = threads
            .install(|| {
                let squared = |tensors: [Tensor; 4]| {
                    let norm = tch::no_grad(|| tensors[1].f_norm()?.f_double_value(&[]))?;
                    Ok((norm * norm, tensors))
                };
                moved.into_par_iter().map(squared).collect::<Result<Vec<_>, TchError>>()
            })?
            .into_iter()
            .unzip();
        let norm = squares.iter().sum::<f64>().sqrt();
        let scale = (clip / (norm + 1e-6)).min(1.0);
        let (step, decay) = (i64::from(self.steps), self.weight_decay);
        threads.install(|| {
            moved.into_par_iter().try_for_each(|[value, gradient, mean, square]| {
                let weight_decay = if value.dim() > 1 { decay } else { 0.0 };
                let by = AdamW { betas: BETAS, epsilon: EPSILON, weight_decay, learning_rate, step, scale };
                adamw(&value, &gradient, [&mean, &square], &by)
            })
        })
    }

    /// The moments by name, to be saved.
    pub fn moments(&self) -> impl Iterator<Item = (String, Tensor)> {
        self.parameters.iter().flat_map(|(name, parameter)| {
            [("mean", &parameter.mean), ("square", &parameter.square)]
                .map(|(moment, tensor)| (format!("adam.{moment}.{name}"), tensor.shallow_clone()))
        })
    }

    /// Goes on from `steps` with the moments as they were saved (written into the tensors of [`Adam::moments`]).
    pub fn set_steps(&mut self, steps: i32) {
        self.steps = steps;
    }
}

#[cfg(test)]
mod tests {
    use rayon::ThreadPoolBuilder;
    use tch::nn::{self, OptimizerConfig, VarStore};
    use tch::{Device, Kind};

    use super::*;

    fn store() -> (VarStore, Tensor) {
        let store = VarStore::new(Device::Cpu);
        let weights = store.root().var_copy("w", &Tensor::from_slice(&[1.0f32, -2.0, 3.0]));
        (store, weights)
    }

    fn loss(weights: &Tensor) -> Tensor {
        (weights * Tensor::from_slice(&[1.0f32, 2.0, 0.5]) - 0.3).pow_tensor_scalar(4).sum(Kind::Float)
    }

    fn minimize(adam: &mut Adam, loss: &Tensor) {
        let threads = ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let parameters: Vec<&Tensor> = adam.parameters().map(|(_, value)| value).collect();
        let gradients = Tensor::run_backward(&[loss], &parameters, false, false);
        adam.step(&gradients, 0.05, 10.0, &threads).unwrap();
    }

    #[test]
    fn steps_are_those_of_libtorch() {
        let (ours, a) = store();
        let (theirs, b) = store();
        let mut adam = Adam::new(ours.variables(), 0.0);
        let mut reference = nn::Adam::default().build(&theirs, 0.05).unwrap();
        for _ in 0..20 {
            minimize(&mut adam, &loss(&a));
            reference.backward_step_clip_norm(&loss(&b), 10.0);
        }
        assert!((a - b).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn weight_decay_is_that_of_libtorch() {
        let matrix = || {
            let store = VarStore::new(Device::Cpu);
            let weights = store.root().var_copy("w", &Tensor::from_slice2(&[[1.0f32, -2.0, 3.0]]));
            (store, weights)
        };
        let (ours, a) = matrix();
        let (theirs, b) = matrix();
        let mut adam = Adam::new(ours.variables(), 0.1);
        let mut reference = nn::AdamW { wd: 0.1, ..Default::default() }.build(&theirs, 0.05).unwrap();
        for _ in 0..20 {
            minimize(&mut adam, &loss(&a));
            reference.backward_step_clip_norm(&loss(&b), 10.0);
        }
        assert!((a - b).abs().max().double_value(&[]) < 1e-5);
    }
}
