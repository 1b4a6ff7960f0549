//! Raw images and captions → one table of images and one of captions.
//!
//! [`layout`] reads what people have on disk; [`scenes`] draws a demo dataset when they have nothing yet. Both end in
//! plain rows in memory, which the stage checks, hashes and writes.

pub mod demo;
mod examined;
pub mod layout;
pub mod scenes;
mod spoilers;
mod tables;

pub use tables::{Dataset, Layout, Settings, preview};
