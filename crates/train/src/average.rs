//! A running mean of the weights, which captions better than the weights of any one step (Polyak and Juditsky 1992).

use std::collections::BTreeMap;

use rayon::ThreadPool;
use rayon::prelude::*;
use tch::nn::VarStore;
use tch::{TchError, Tensor};

/// Exponential moving average of all variables of a [`VarStore`].
pub(crate) struct Average {
    /// Name, the store's own tensor, and its mean.
    means: Vec<(String, Tensor, Tensor)>,
    decay: f64,
}

impl Average {
    /// Starts at the weights as they are. `decay` is the share of the mean that a step keeps; 0 averages nothing.
    pub(crate) fn new(store: &VarStore, decay: f64) -> Average {
        let variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
        let means = variables.into_iter().map(|(name, value)| {
            let mean = value.detach().copy();
            (name, value, mean)
        });
        Average { means: means.collect(), decay }
    }

    /// Takes in the weights after `step` steps; early on, when weights move far, the mean follows more closely.
    pub(crate) fn update(&mut self, step: usize, threads: &ThreadPool) -> Result<(), TchError> {
        let decay = self.decay.min((1.0 + step as f64) / (10.0 + step as f64));
        let weight = 1.0 - if self.decay > 0.0 { decay } else { 0.0 };
        let means = self.means.iter().map(|(_, value, mean)| (value.shallow_clone(), mean.shallow_clone()));
        let means: Vec<(Tensor, Tensor)> = means.collect();
        threads.install(|| {
            means
                .into_par_iter()
                .try_for_each(|(value, mut mean)| tch::no_grad(|| mean.f_lerp_(&value, weight)).map(drop))
        })
    }

    /// Exchanges the weights and their means: once to look at the means, once more to go on.
    pub(crate) fn swap(&mut self) {
        tch::no_grad(|| {
            for (_, value, mean) in &mut self.means {
                let kept = value.detach().copy();
                value.copy_(mean);
                mean.copy_(&kept);
            }
        });
    }

    /// The means by name, to be saved.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (String, Tensor)> {
        self.means.iter().map(|(name, _, mean)| (format!("average.{name}"), mean.shallow_clone()))
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn the_mean_follows_the_weights_and_swaps_with_them() {
        let store = VarStore::new(Device::Cpu);
        let weights = store.root().var_copy("w", &Tensor::from_slice(&[1.0f32]));
        let mut average = Average::new(&store, 0.5);
        let _ = tch::no_grad(|| weights.shallow_clone().fill_(3.0));
        let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        average.update(100, &threads).unwrap();
        average.swap();
        assert_eq!(weights.double_value(&[0]), 2.0);
        average.swap();
        assert_eq!(weights.double_value(&[0]), 3.0);
        // Without decay the mean is the weights.
        let mut none = Average::new(&store, 0.0);
        let _ = tch::no_grad(|| weights.shallow_clone().fill_(5.0));
        none.update(1, &threads).unwrap();
        none.swap();
        assert_eq!(weights.double_value(&[0]), 5.0);
    }
}
