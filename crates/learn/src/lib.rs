//! What stages that learn share: the optimiser, the learning rate of a step, its seed, and the logs.
//!
//! Invariant: nothing here knows what is learnt.

mod adam;
mod log;
mod schedule;
mod seed;
mod tensorboard;

pub use adam::Adam;
pub use log::{FILE as LOG_FILE, Log};
pub use schedule::Schedule;
pub use seed::step_seed;
