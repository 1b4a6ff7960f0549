//! The learning rate over the steps of a training.

use serde::{Deserialize, Serialize};

/// How the learning rate falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// Along half a cosine, to nearly 0 at the last step.
    Cosine,
}

impl Schedule {
    /// The learning rate of `step` (from 0) out of `steps`, as a share of the highest one.
    pub fn factor(self, step: usize, warmup_steps: usize, steps: usize) -> f64 {
        if step < warmup_steps {
            return (step + 1) as f64 / warmup_steps as f64;
        }
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let done = (step - warmup_steps) as f64 / (steps.saturating_sub(warmup_steps)).max(1) as f64;
                0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_then_falls() {
        let at = |step| Schedule::Cosine.factor(step, 10, 110);
        assert!((at(0) - 0.1).abs() < 1e-12 && (at(9) - 1.0).abs() < 1e-12);
        assert!((at(60) - 0.5).abs() < 1e-12 && at(109) < 0.001);
        assert_eq!(Schedule::Constant.factor(60, 0, 110), 1.0);
    }
}
