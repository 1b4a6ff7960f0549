//! The networks, and nothing else: CNN [`backbone`]s and the [`grids`] that they make, caption [`decoder`]s and their
//! [`teaching`], caption [`search`], the [`checkpoint`] that training writes, the [`captioner_file`] that captions anywhere, and the [`pretrained`]
//! decoders of either, to go on from.
//!
//! Invariant: this is the only crate that defines networks; it writes no dataset and knows no metric.

pub mod backbone;
pub mod captioner_file;
pub mod checkpoint;
pub mod decoder;
pub mod device;
pub mod grids;
mod header;
#[allow(unsafe_code, reason = "a setting of libtorch that tch does not bind, called through C")]
pub mod matmul;
pub mod precision;
pub mod pretrained;
pub mod problem;
pub mod search;
pub mod teaching;
pub mod threads;
pub mod tuned;
pub mod weights;
