//! The weights that a trained model was shown images through: where they lie, and that they are those.

use std::io::Read;
use std::path::{Path, PathBuf};

use artifacts::features::{FeatureSpec, WeightsOrigin};
use artifacts::layout::TUNED_WEIGHTS;
use artifacts::{Manifest, RunFolder};
use bytes::Bytes;

use super::{Array, Dtype, FetchError, WeightsError, find, sha256, sha256_file};
use crate::backbone::BackboneSpec;

/// What the manifest of a set of features calls the ONNX file that made it.
const MADE_BY: &str = "onnx_file";
/// No ONNX file is larger: its format holds no more.
const MOST_BYTES: u64 = (1 << 31) - 1;

/// Where weights lie.
#[derive(Clone, Debug)]
pub struct WeightPlaces {
    /// Folder of the published ones.
    pub published: PathBuf,
    /// The run that keeps its tuned ones, if one is known.
    pub run: Option<RunFolder>,
}

impl WeightPlaces {
    /// The file of the weights that made some features, told by their hash; `backbone` is their row of the registry.
    ///
    /// # Errors
    ///
    /// When no file lies there, or one with another hash.
    pub fn find(
        &self,
        backbone: &'static BackboneSpec,
        features: &FeatureSpec,
    ) -> Result<PathBuf, FetchError> {
        let path = match features.weights {
            WeightsOrigin::Published => find(backbone, &self.published)?,
            WeightsOrigin::Tuned => self.tuned(backbone.name)?,
        };
        let (found, wanted) = (sha256_file(&path)?, features.weights_sha256.clone());
        if found != wanted {
            return Err(FetchError::OtherThanTrained { path, found, wanted });
        }
        Ok(path)
    }

    /// The ONNX network that made some features, told by its hash: of the name of their backbone, in the folder of weights, or
    /// wherever the run that made them found it.
    ///
    /// # Errors
    ///
    /// When no file lies there, or only others.
    pub fn onnx(&self, features: &FeatureSpec) -> Result<OnnxFile, FetchError> {
        // The name may be that of anyone's file.
        let name = Path::new(&features.backbone).file_name().unwrap_or_default().to_string_lossy();
        let usual = OnnxFile::usual(&self.published, &name);
        let summary =
            |run: &RunFolder| Manifest::read(&run.features(&features.name())).ok()?.summary.remove(MADE_BY);
        let recorded = self.run.as_ref().and_then(summary);
        let recorded = recorded.and_then(|path| Some(PathBuf::from(path.as_str()?)));
        let (network, wanted) = (features.backbone.clone(), features.weights_sha256.clone());
        let mut error = FetchError::NoNetwork { network, wanted: wanted.clone(), path: usual.clone() };
        for path in [usual].into_iter().chain(recorded).filter(|path| path.is_file()) {
            let file = OnnxFile::read(&path)?;
            if file.sha256 == wanted {
                return Ok(file);
            }
            error = FetchError::OtherThanTrained { path, found: file.sha256, wanted: wanted.clone() };
        }
        Err(error)
    }

    fn tuned(&self, backbone: &'static str) -> Result<PathBuf, FetchError> {
        let run = self.run.as_ref().ok_or(FetchError::NoRun { backbone })?;
        let path = run.tune(backbone).join(TUNED_WEIGHTS);
        if !path.is_file() {
            return Err(FetchError::NotTuned { backbone, path });
        }
        Ok(path)
    }
}

/// The bytes of an ONNX file, which nothing here understands.
#[derive(Clone, Debug)]
pub struct OnnxFile {
    /// Where it was read.
    pub path: PathBuf,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    bytes: Bytes,
}

impl OnnxFile {
    /// Where the network of that name lies in a folder of weights.
    pub fn usual(weights: &Path, name: &str) -> PathBuf {
        weights.join(format!("{name}.onnx"))
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is no ordinary file, cannot be read, or is larger than such files are.
    pub fn read(path: &Path) -> Result<OnnxFile, WeightsError> {
        let failed = |source| WeightsError::Io { path: path.to_owned(), source };
        let refused = |reason: &str| failed(std::io::Error::other(reason.to_owned()));
        // A pipe would be waited for.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(refused("no ordinary file"));
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(refused("larger than 2 GB, which no ONNX file is that holds its weights"));
        }
        Ok(OnnxFile { path: path.to_owned(), sha256: sha256(&bytes), bytes: bytes.into() })
    }

    /// The content of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What a set of features says of it in its manifest, for [`WeightPlaces::onnx`].
    pub fn recorded(&self) -> (String, serde_json::Value) {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        (MADE_BY.to_owned(), path.to_string_lossy().into())
    }

    /// As a tensor of bytes.
    pub(crate) fn array(&self) -> Option<Array> {
        Array::new(Dtype::U8, vec![self.bytes.len() as i64], self.bytes.clone())
    }

    /// From such a tensor of a captioner; the file that holds it vouches for its hash.
    pub(crate) fn of_array(path: &Path, array: &Array, sha256: &str) -> OnnxFile {
        OnnxFile { path: path.to_owned(), sha256: sha256.to_owned(), bytes: array.shared() }
    }
}
