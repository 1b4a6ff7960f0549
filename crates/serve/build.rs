//! Compiles the protocol of TensorFlow Serving without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["serving.proto"], ["proto"])?;
    // Any and wrappers come as plain messages, which saves a crate for two of them.
    tonic_prost_build::configure()
        .compile_well_known_types(true)
        .emit_rerun_if_changed(false)
        .compile_fds(files)?;
    Ok(())
}
