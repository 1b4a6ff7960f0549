//! Compiles the protocol of TensorFlow Serving without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).open_file("serving.proto")?;
    // What clients get who ask the server for its messages.
    let described = std::path::Path::new(&std::env::var("OUT_DIR")?).join("descriptors.bin");
    std::fs::write(described, compiler.encode_file_descriptor_set())?;
    // Any and wrappers come as plain messages, which saves a crate for two of them.
    tonic_prost_build::configure()
        .compile_well_known_types(true)
        .emit_rerun_if_changed(false)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
