//! libtorch's interpreter of the networks that `model` describes, for training, tuning and GPUs: [`backbone`]s for features and for
//! gradients, [`decoder`]s over whole captions and a word at a time, [`teaching`] and [`sample`]s, cached [`grids`] as tensors,
//! [`checkpoint`]s, and the [`pretrained`] decoders to go on from.
//!
//! Invariant: what a network is stands in `model`; here it is computed.

pub mod backbone;
pub mod checkpoint;
pub mod decoder;
pub mod device;
pub mod grids;
#[allow(unsafe_code, reason = "a setting of libtorch that tch does not bind, called through C")]
pub mod matmul;
pub mod precision;
pub mod pretrained;
pub mod sample;
pub mod teaching;
pub mod threads;
pub mod weights;
pub mod words;
