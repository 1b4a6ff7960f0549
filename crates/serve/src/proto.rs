//! The messages of TensorFlow Serving and of Open Inference, generated from `proto/`.
#![allow(
    missing_docs,
    clippy::doc_markdown,
    clippy::large_enum_variant,
    clippy::missing_errors_doc,
    reason = "generated"
)]

use serde::Serializer;

/// The files of the messages, as protobuf describes them.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

pub mod google {
    pub mod protobuf {
        tonic::include_proto!("google.protobuf");
    }
}

pub mod tensorflow {
    tonic::include_proto!("tensorflow");

    pub mod serving {
        tonic::include_proto!("tensorflow.serving");
    }
}

pub mod inference {
    tonic::include_proto!("inference");
}

/// A kind of Triton's as JSON has it.
fn name<S: Serializer>(kind: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(inference::DataType::try_from(*kind).unwrap_or_default().as_str_name())
}
