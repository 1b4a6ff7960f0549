//! The messages of TensorFlow Serving, generated from `proto/`.
#![allow(
    missing_docs,
    clippy::doc_markdown,
    clippy::large_enum_variant,
    clippy::missing_errors_doc,
    reason = "generated"
)]

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
