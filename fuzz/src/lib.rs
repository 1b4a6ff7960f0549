//! What the targets of the weight readers have in common.
//!
//! From the root of the repository, with a stable toolchain and `cargo install cargo-fuzz --locked`:
//!
//! ```text
//! mkdir -p fuzz/corpus/safetensors
//! cargo fuzz run -s none safetensors fuzz/corpus/safetensors fuzz/seeds/safetensors -- -max_len=8192 -max_total_time=300
//! ```
//!
//! What is found becomes a test beside the reader.

use std::path::Path;

use model::weights::NamedTensors;

/// Bytes as a weight file: an error, or tensors as promised, which take little more memory than the file.
pub fn read_weights(bytes: &[u8]) {
    let Ok(weights) = NamedTensors::from_bytes(Path::new("input"), bytes) else { return };
    let tensors = weights.tensors().values();
    assert!(tensors.clone().all(|tensor| tensor.is_contiguous()));
    let total: usize = tensors.map(|tensor| tensor.numel() * tensor.kind().elt_size_in_bytes()).sum();
    assert!(total <= 4 * bytes.len(), "{total} bytes of tensors in a file of {}", bytes.len());
}
