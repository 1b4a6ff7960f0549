//! libtorch's interpreter of the networks that `model` describes, for training, tuning and GPUs: [`backbone`]s for features and for
//! gradients, [`decoder`]s over whole captions and a word at a time, [`teaching`] and [`sample`]s, cached [`grids`] as tensors,
//! [`checkpoint`]s, the [`pretrained`] decoders to go on from, and the processes of a [`distributed`] training.
//!
//! Invariant: what a network is stands in `model`; here it is computed.

pub mod backbone;
pub mod checkpoint;
pub mod decoder;
pub mod device;
#[allow(unsafe_code, reason = "torch.distributed, which tch does not bind, called through C")]
pub mod distributed;
pub mod draws;
pub mod grids;
#[allow(unsafe_code, reason = "operations written in C++ over libtorch, called through C")]
pub mod native;
pub mod precision;
pub mod pretrained;
pub mod sample;
pub mod teaching;
pub mod threads;
pub mod weights;
pub mod words;
