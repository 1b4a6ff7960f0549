//! What targets have in common.
//!
//! From the root of the repository, with a stable toolchain and `cargo install cargo-fuzz --locked`:
//!
//! ```text
//! mkdir -p fuzz/corpus/safetensors
//! cargo fuzz run -s none safetensors fuzz/corpus/safetensors fuzz/seeds/safetensors -- -max_len=8192 -max_total_time=300
//! ```
//!
//! What is found becomes a test beside the reader.

use std::path::{Path, PathBuf};

use model::weights::NamedArrays;

/// Bytes as a weight file: an error, or tensors as promised, which take little more memory than the file.
pub fn read_weights(bytes: &[u8]) {
    let Ok(weights) = NamedArrays::from_bytes(Path::new("input"), bytes.to_vec()) else { return };
    let arrays = weights.arrays().values();
    for array in arrays.clone() {
        let elements = array.shape().iter().map(|&size| usize::try_from(size).expect("no size is negative"));
        assert_eq!(elements.product::<usize>() * array.dtype().size(), array.bytes().len());
    }
    let total: usize = arrays.map(|array| array.bytes().len()).sum();
    assert!(total <= 4 * bytes.len(), "{total} bytes of tensors in a file of {}", bytes.len());
}

/// A folder of this process in which a file of that name holds the bytes, for readers that take files.
pub fn file_of(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    std::fs::write(folder.join(name), bytes).expect("room for temporary files");
    folder
}
