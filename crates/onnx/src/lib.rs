//! ONNX Runtime's engine: networks as ONNX graphs, and sessions that run them.
//!
//! [`backbone`] and [`DecoderModels`] make ONNX files of what `model` describes, [`Backbone`] and [`Decoder`] run them.
//! [`CaptionerModels`] are the files of a whole captioner, for other programs. A [`Session`] runs any network, and a
//! [`ForeignBackbone`] makes grids by one of others. [`library`] finds ONNX Runtime itself, a shared library that
//! `scripts/get-onnxruntime.sh` brings.
//!
//! Invariant: what a network is stands in `model`; this crate knows no pixels, files or command lines.

mod backbone;
mod captioner;
mod decoder;
mod elf;
mod engine;
mod foreign;
mod graph;
mod inspect;
mod int8;
pub mod library;
mod proto;
mod session;

pub use backbone::backbone;
pub use captioner::{CaptionerModels, Looks};
pub use decoder::DecoderModels;
pub use engine::{Backbone, Decoder, Rows};
pub use foreign::{ForeignBackbone, ForeignError, ForeignGrids};
pub use inspect::Rejected;
pub use int8::WeightFormat;
pub use library::LibraryError;
pub use session::{Array, Element, Input, OnnxError, Port, Session};
