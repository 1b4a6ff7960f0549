//! The networks, and nothing else: CNN [`backbone`]s, caption [`decoder`]s, caption [`search`], the [`checkpoint`].
//!
//! Invariant: this is the only crate that defines networks; it reads and writes no dataset and knows no metric.

pub mod backbone;
pub mod checkpoint;
pub mod decoder;
pub mod device;
pub mod matmul;
pub mod precision;
pub mod search;
pub mod weights;
