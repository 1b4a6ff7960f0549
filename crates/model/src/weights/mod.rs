//! Weight files as published, read into named tensors: safetensors, and PyTorch's `.pth` in both of its forms.
//!
//! The files come from anywhere, so the readers distrust every byte of them: nothing in a file is executed, no length
//! is believed before it is checked, and what is wrong with a file is an error, never a panic.

mod array;
mod fetch;
mod pickle;
mod safetensors;
mod torch_file;
mod trained;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use artifacts::seal;
use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use array::{Array, Dtype};
pub use fetch::{FetchError, WeightSource, ensure, ensure_all, find};
pub use pickle::{PickleError, Problem};
pub use safetensors::write_safetensors;
pub use trained::{OnnxFile, WeightPlaces};

/// Why a weight file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The weight file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The content is damaged, hostile or of another format.
    #[error("{} is not a usable weight file: {source}", path.display())]
    Malformed {
        /// The weight file.
        path: PathBuf,
        /// Which rule of the format it breaks.
        source: Malformed,
    },
    /// A tensor is not there.
    #[error("{} holds no tensor `{name}` {wanted:?}: are these the weights of another network?", path.display())]
    Missing {
        /// The weight file.
        path: PathBuf,
        /// The tensor looked for.
        name: String,
        /// The shape that the network needs.
        wanted: Vec<i64>,
    },
    /// A tensor has another shape than the network needs.
    #[error("{}: tensor `{name}` is {found:?}, not {wanted:?}: are these the weights of another network?", path.display())]
    Shape {
        /// The weight file.
        path: PathBuf,
        /// The tensor looked for.
        name: String,
        /// The shape that the network needs.
        wanted: Vec<i64>,
        /// The shape in the file.
        found: Vec<i64>,
    },
    /// A tensor cannot be used.
    #[error("{}: tensor `{name}`: {reason}", path.display())]
    Tensor {
        /// The weight file.
        path: PathBuf,
        /// The tensor at hand.
        name: String,
        /// Why not.
        reason: String,
    },
}

/// What is wrong with the bytes of a weight file.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// No known format begins like this.
    #[error("neither safetensors nor a file of torch.save")]
    UnknownFormat,
    /// The safetensors header or its offsets.
    #[error(transparent)]
    Safetensors(#[from] ::safetensors::SafeTensorError),
    /// The file's own checksum.
    #[error("{broken}; {remedy}")]
    Checksum {
        /// What is wrong.
        broken: seal::Broken,
        /// How to come by a whole one.
        remedy: &'static str,
    },
    /// The zip archive around a `.pth`.
    #[error(transparent)]
    Zip(#[from] zip::result::ZipError),
    /// A pickle that is broken, or wants more than data.
    #[error(transparent)]
    Pickle(#[from] PickleError),
    /// A pickle that is whole, but does not hold what it should.
    #[error("expected {0}")]
    Expected(String),
    /// A read of an archive member failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The tensors of one file by name, in the element types of the file.
#[derive(Clone, Debug)]
pub struct NamedArrays {
    path: PathBuf,
    arrays: BTreeMap<String, Array>,
    metadata: BTreeMap<String, String>,
}

impl NamedArrays {
    /// Tensors that came from `path`, a name for error messages alone.
    pub fn new(path: impl Into<PathBuf>, arrays: BTreeMap<String, Array>) -> Self {
        Self { path: path.into(), arrays, metadata: BTreeMap::new() }
    }

    /// The tensors in the content of a weight file; `path` serves the error messages alone.
    ///
    /// # Errors
    ///
    /// Bytes that are no safetensors and no state dict of PyTorch, or damaged ones.
    pub fn from_bytes(path: &Path, bytes: impl Into<Bytes>) -> Result<Self, WeightsError> {
        let (arrays, metadata) =
            parse(&bytes.into()).map_err(|source| WeightsError::Malformed { path: path.into(), source })?;
        Ok(Self { path: path.into(), arrays, metadata })
    }

    /// The tensor `name`, which must have exactly the shape `wanted`.
    ///
    /// # Errors
    ///
    /// It is not there, or of another shape.
    pub fn get(&self, name: &str, wanted: &[i64]) -> Result<&Array, WeightsError> {
        let Some(array) = self.arrays.get(name) else {
            return Err(WeightsError::Missing {
                path: self.path.clone(),
                name: name.into(),
                wanted: wanted.into(),
            });
        };
        if array.shape() != wanted {
            return Err(WeightsError::Shape {
                path: self.path.clone(),
                name: name.into(),
                wanted: wanted.into(),
                found: array.shape().into(),
            });
        }
        Ok(array)
    }

    /// Whether there is a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// The tensors whose names begin with `prefix`, without it; shares their memory.
    pub fn below(&self, prefix: &str) -> NamedArrays {
        let inside =
            |(name, array): (&String, &Array)| Some((name.strip_prefix(prefix)?.to_owned(), array.clone()));
        NamedArrays::new(self.path.clone(), self.arrays.iter().filter_map(inside).collect())
    }

    /// Why the tensor `name` cannot be used, with the file it came from.
    pub fn refuse(&self, name: &str, reason: impl ToString) -> WeightsError {
        WeightsError::Tensor { path: self.path.clone(), name: name.to_owned(), reason: reason.to_string() }
    }

    /// The file they were read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every tensor in the order of the names.
    pub fn arrays(&self) -> &BTreeMap<String, Array> {
        &self.arrays
    }

    /// The text entries of a safetensors header; empty for a `.pth`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
}

/// Reads a weight file, whatever its extension: the content decides the format.
///
/// # Errors
///
/// The file cannot be read, or its content is refused as [`NamedArrays::from_bytes`] refuses it.
pub fn read(path: &Path) -> Result<NamedArrays, WeightsError> {
    let bytes = std::fs::read(path).map_err(|source| WeightsError::Io { path: path.into(), source })?;
    NamedArrays::from_bytes(path, bytes)
}

/// The SHA-256 of a file as 64 hexadecimal digits.
///
/// # Errors
///
/// The file cannot be read to its end.
pub fn sha256_file(path: &Path) -> Result<String, WeightsError> {
    let failed = |source| WeightsError::Io { path: path.into(), source };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block).map_err(failed)? {
            0 => return Ok(digits(hasher)),
            length => hasher.update(&block[..length]),
        }
    }
}

/// The same of bytes that were read.
pub fn sha256(bytes: &[u8]) -> String {
    digits(Sha256::new_with_prefix(bytes))
}

fn digits(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The product of the sizes that are not zero fits an i64, and so does any partial product; gives the number of
/// elements. Files name sizes like 2^40 × 2^40 × 0, which overflow for whoever multiplies from the left.
fn element_count(size: &[i64]) -> Option<i64> {
    let product = |product: i64, &size: &i64| product.checked_mul(size);
    size.iter().filter(|&&size| size != 0).try_fold(1, product)?;
    Some(size.iter().product())
}

type Content = (BTreeMap<String, Array>, BTreeMap<String, String>);

fn parse(bytes: &Bytes) -> Result<Content, Malformed> {
    if bytes.starts_with(b"PK\x03\x04") {
        Ok((torch_file::parse_zip(bytes)?, BTreeMap::new()))
    } else if bytes.starts_with(torch_file::LEGACY_START) {
        Ok((torch_file::parse_legacy(bytes)?, BTreeMap::new()))
    } else if bytes.get(8) == Some(&b'{') {
        safetensors::parse(bytes)
    } else {
        Err(Malformed::UnknownFormat)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZIP: &[u8] = include_bytes!("../../tests/fixtures/tiny-zip.pth");
    const LEGACY: &[u8] = include_bytes!("../../tests/fixtures/tiny-legacy.pth");
    const NESTED: &[u8] = include_bytes!("../../tests/fixtures/tiny-nested.pth");
    const SAFETENSORS: &[u8] = include_bytes!("../../tests/fixtures/tiny.safetensors");

    fn content(bytes: &[u8]) -> Result<Content, Malformed> {
        parse(&Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn every_form_holds_the_same_tensors() {
        let (wanted, _) = content(SAFETENSORS).unwrap();
        assert_eq!(wanted.len(), 8);
        for bytes in [ZIP, LEGACY, NESTED] {
            let (found, _) = content(bytes).unwrap();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error() {
        for bytes in [ZIP, LEGACY, SAFETENSORS] {
            for length in 0..bytes.len() {
                assert!(content(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
            }
        }
    }

    #[test]
    fn other_files_are_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resnet50.pth");
        std::fs::write(&path, "<html>404 Not Found</html>").unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.ends_with(
            "resnet50.pth is not a usable weight file: neither safetensors nor a file of torch.save"
        ));
        assert!(matches!(read(folder.path()), Err(WeightsError::Io { .. })));
    }

    #[test]
    fn compressed_members_are_refused() {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let deflated =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        archive.start_file("archive/data.pkl", deflated).unwrap();
        std::io::Write::write_all(&mut archive, &vec![b'}'; 1 << 20]).unwrap();
        let bytes = archive.finish().unwrap().into_inner();
        assert_eq!(content(&bytes).unwrap_err().to_string(), "expected members that are not compressed");
    }

    #[test]
    fn sha256_is_the_standard_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_file(&path).unwrap(), wanted);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn damaged_files_never_panic(
            file in 0usize..4,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut bytes = [ZIP, LEGACY, NESTED, SAFETENSORS][file].to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            _ = content(&bytes);
        }
    }
}
