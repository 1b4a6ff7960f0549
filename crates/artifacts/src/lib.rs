//! The contract between the stages.
//!
//! Stages share no code paths at run time: each reads files that an earlier one wrote. This crate owns what
//! those files look like ([`images`], [`captions`], [`features`], …), how a stage knows whether its work is already
//! done ([`stage`]), and how it is configured and started ([`config`], [`cli`]).
//!
//! Invariant: nothing here knows a tensor, a pixel or a metric, so every tool that only reads artifacts builds
//! without libtorch.

pub mod atomic;
pub mod captioned;
pub mod captions;
pub mod cli;
pub mod config;
pub mod features;
mod help;
pub mod images;
pub mod layout;
pub mod manifest;
pub mod objects;
pub mod per_image;
pub mod progress;
pub mod recipe;
pub mod results;
pub mod split;
pub mod stage;
pub mod table;
pub mod tokens;
pub mod view;
pub mod vocabulary;

pub use config::Config;
pub use layout::RunFolder;
pub use manifest::Manifest;
pub use recipe::Recipe;
pub use split::Split;
pub use view::View;
