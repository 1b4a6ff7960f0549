//! What the Open Inference Protocol says alike over HTTP and over gRPC, with what Triton adds to it.
//!
//! <https://github.com/kserve/open-inference-protocol>,
//! <https://github.com/triton-inference-server/server/tree/main/docs/protocol>

mod answer;
mod describe;
mod framing;
mod request;

pub(crate) use answer::{Output, Values, caption};
pub(crate) use describe::{config, index, metadata, server, statistics};
pub(crate) use framing::elements;
pub(crate) use request::{check_datatype, check_parameter, check_shape, only, version};

/// The datatype of photos and captions, and of scores.
const BYTES: &str = "BYTES";
const FP64: &str = "FP64";
/// A size of a shape that is left open.
const ANY: i64 = -1;
