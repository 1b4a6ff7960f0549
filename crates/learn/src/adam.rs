//! Adam (Kingma and Ba 2015, <https://arxiv.org/abs/1412.6980>) with decoupled weight decay (AdamW, Loshchilov and Hutter
//! 2019, <https://arxiv.org/abs/1711.05101>), with moments that can be saved.
//!
//! libtorch has one, but its binding keeps the moments to itself, and without them a resumed run is not the same run.

use std::collections::BTreeMap;

use tch::{Kind, TchError, Tensor};

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
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

    /// Forgets the gradients of the last step.
    pub fn zero_gradients(&mut self) {
        for parameter in self.parameters.values_mut() {
            parameter.value.zero_grad();
        }
    }

    /// Scales the gradients that lie in the tensors to norm `clip` at most, and takes a step.
    ///
    /// # Errors
    ///
    /// libtorch refuses.
    pub fn step(&mut self, learning_rate: f64, clip: f64) -> Result<(), TchError> {
        let gradients: Vec<Tensor> =
            self.parameters.values().map(|parameter| parameter.value.grad()).collect();
        self.step_along(&gradients, learning_rate, clip)
    }

    /// The same with gradients that lie elsewhere, one for each of [`parameters`](Self::parameters); undefined ones are left
    /// out.
    ///
    /// # Errors
    ///
    /// libtorch refuses.
    pub fn step_along(
        &mut self,
        gradients: &[Tensor],
        learning_rate: f64,
        clip: f64,
    ) -> Result<(), TchError> {
        tch::no_grad(|| self.apply(gradients, learning_rate, clip))
    }

    fn apply(&mut self, gradients: &[Tensor], learning_rate: f64, clip: f64) -> Result<(), TchError> {
        self.steps += 1;
        let defined = gradients.iter().filter(|gradient| gradient.defined());
        let squares = defined.map(|gradient| gradient.f_square()?.f_sum(Kind::Float));
        let squares: Vec<Tensor> = squares.collect::<Result<_, _>>()?;
        let norm = Tensor::f_stack(&squares, 0)?.f_sum(Kind::Float)?.f_sqrt()?.f_double_value(&[])?;
        let scale = (clip / (norm + 1e-6)).min(1.0);
        let correction_1 = 1.0 - BETA_1.powi(self.steps);
        let correction_2 = 1.0 - BETA_2.powi(self.steps);
        for (Parameter { value, mean, square }, gradient) in self.parameters.values_mut().zip(gradients) {
            if !gradient.defined() {
                continue;
            }
            let gradient = gradient.f_mul_scalar(scale)?;
            let _ = mean.f_lerp_(&gradient, 1.0 - BETA_1)?;
            let _ = square.f_lerp_(&gradient.f_square()?, 1.0 - BETA_2)?;
            if self.weight_decay > 0.0 && value.dim() > 1 {
                let _ = value.f_mul_scalar_(1.0 - learning_rate * self.weight_decay)?;
            }
            // The corrections are numbers, taken out of the tensors.
            let root = f64::sqrt(correction_2);
            let denominator = square.f_sqrt()?.f_add_scalar_(EPSILON * root)?;
            let change = mean.f_div(&denominator)?.f_mul_scalar_(-learning_rate * root / correction_1)?;
            let _ = value.f_add_(&change)?;
        }
        Ok(())
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
    use tch::Device;
    use tch::nn::{self, OptimizerConfig, VarStore};

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
        adam.zero_gradients();
        loss.backward();
        adam.step(0.05, 10.0).unwrap();
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
