//! The contract between the stages.
//!
//! Stages share no code paths at run time: each reads files that an earlier one wrote. This crate owns what
//! those files look like ([`images`], [`captions`], [`features`], …) and what each of them says of its origin
//! ([`manifest`], [`recipe`]).
//!
//! Invariant: nothing here knows a tensor, a pixel, a metric, a command line or a config, so every tool that only reads
//! artifacts builds without any of them.

pub mod atomic;
pub mod captioned;
pub mod captions;
pub mod features;
pub mod images;
pub mod layout;
pub mod listed;
mod locator;
pub mod manifest;
mod model_id;
pub mod objects;
mod output;
mod parts;
pub mod per_image;
pub mod preview;
pub mod recipe;
pub mod results;
pub mod seal;
pub mod show;
pub mod split;
pub mod table;
mod tail;
pub mod tensor_file;
pub mod tokens;
pub mod view;
pub mod vocabulary;

pub use layout::RunFolder;
pub use locator::{Locator, Within};
pub use manifest::Manifest;
pub use model_id::ModelId;
pub use output::UnreadableOutput;
pub use parts::Parts;
pub use recipe::Recipe;
pub use split::Split;
pub use view::View;
