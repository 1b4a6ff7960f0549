//! Raw images and captions → one table of images and one of captions.
//!
//! [`layout`] reads what people have in folders; [`scenes`] draws a demo dataset when they have nothing yet. Both end in
//! plain rows in memory, which the stage checks, hashes and writes. What comes in shards is read shard by shard instead.
//! [`fetch`] puts public sets on disk.

pub mod demo;
mod examined;
pub mod fetch;
pub mod layout;
pub mod scenes;
mod settings;
mod sharded;
mod spoilers;
mod tables;
mod whole;

pub use settings::{Ids, Layout, Settings};
pub use sharded::ShardError;
pub use tables::{Dataset, preview};

pub(crate) use tables::SCHEMA_VERSION;
