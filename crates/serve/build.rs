//! Compiles the protocols of TensorFlow Serving and of Open Inference without `protoc`.

/// Messages of Open Inference that HTTP writes as JSON, with the same names.
const AS_JSON: [&str; 12] = [
    "ServerMetadataResponse",
    "ModelMetadataResponse",
    "ModelConfig",
    "ModelInput",
    "ModelOutput",
    "ModelVersionPolicy",
    "ModelStatisticsResponse",
    "ModelStatistics",
    "InferStatistics",
    "InferBatchStatistics",
    "StatisticDuration",
    "RepositoryIndexResponse",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).open_files(["serving.proto", "inference.proto"])?;
    // What clients get who ask the server for its messages.
    let described = std::path::Path::new(&std::env::var("OUT_DIR")?).join("descriptors.bin");
    std::fs::write(described, compiler.encode_file_descriptor_set())?;
    // Any and wrappers come as plain messages, which saves a crate for two of them.
    let mut builder = tonic_prost_build::configure()
        .compile_well_known_types(true)
        .emit_rerun_if_changed(false)
        // A photo stays where it arrived.
        .bytes(".inference")
        .field_attribute("data_type", "#[serde(serialize_with = \"crate::proto::name\")]");
    for message in AS_JSON {
        builder = builder.message_attribute(format!(".inference.{message}"), "#[derive(serde::Serialize)]");
    }
    builder.compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
