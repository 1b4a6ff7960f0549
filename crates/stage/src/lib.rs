//! What all stage programs share, so that every one of them feels the same.
//!
//! A [`Stage`] is settings, a check of them, and the work that they describe. Its `main` is [`cli::main`]: it reads the
//! [`config`], checks every value before anything is touched, and lets the [`guard`] decide whether there is work to
//! do. People see [`progress`], programs see JSON; both pass through [`terminal`].
//!
//! Invariant: nothing here knows what any stage computes. What stages write for one another lies in `artifacts`.

pub mod cli;
pub mod config;
mod context;
mod foreign;
pub mod guard;
mod help;
mod one_or_several;
mod place;
pub mod progress;
mod section;
mod shard;
mod sources;
pub mod stop;
pub mod terminal;

pub use config::{Config, ConfigError, RunSettings};
pub use context::{Context, Outcome, Stage};
pub use foreign::OnnxNetwork;
pub use one_or_several::OneOrSeveral;
pub use place::free;
pub use section::Section;
pub use shard::{Launched, Shard, ShardError};
pub use sources::Sources;
