//! What the networks are, and nothing that runs them: CNN [`backbone`]s and what they are shown and give ([`grids`]), caption
//! [`decoder`]s, caption [`search`], the [`checkpoint`] that training writes, the [`captioner_file`] that captions anywhere, and
//! the [`weights`] in files.
//!
//! Invariant: this is the only crate that defines networks, and it defines them as data. Engines compute: libtorch for training,
//! ONNX Runtime for use. It writes no dataset and knows no metric.

pub mod backbone;
pub mod captioner_file;
pub mod checkpoint;
pub mod decoder;
pub mod grids;
mod header;
pub mod problem;
pub mod search;
pub mod tuned;
pub mod weights;
