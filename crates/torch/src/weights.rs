//! Weight files as tensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::weights::{self, Array, Dtype, NamedArrays, WeightsError};
use tch::{Device, Kind, TchError, Tensor};

/// Element types of files and of tensors.
const KINDS: [(Dtype, Kind); 9] = [
    (Dtype::F64, Kind::Double),
    (Dtype::I64, Kind::Int64),
    (Dtype::F32, Kind::Float),
    (Dtype::I32, Kind::Int),
    (Dtype::F16, Kind::Half),
    (Dtype::BF16, Kind::BFloat16),
    (Dtype::I16, Kind::Int16),
    (Dtype::I8, Kind::Int8),
    (Dtype::U8, Kind::Uint8),
];

/// Tensors by name, all of them contiguous.
#[derive(Debug)]
pub struct NamedTensors {
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
}

impl NamedTensors {
    /// Tensors that came from `path`, a name for error messages alone.
    pub fn new(path: impl Into<PathBuf>, tensors: BTreeMap<String, Tensor>) -> Self {
        Self { path: path.into(), tensors }
    }

    /// Copies of what a file holds, on the CPU, in its element types.
    ///
    /// # Errors
    ///
    /// When libtorch refuses, for want of memory say.
    pub fn of(file: &NamedArrays) -> Result<Self, WeightsError> {
        let copied = file.arrays().iter().map(|(name, array)| {
            let copy = tensor(array).map_err(|error| file.refuse(name, error))?;
            Ok((name.clone(), copy))
        });
        Ok(Self::new(file.path(), copied.collect::<Result<_, WeightsError>>()?))
    }

    /// The tensor `name`, which must have exactly the shape `wanted`; shares its memory with this map.
    ///
    /// # Errors
    ///
    /// It is not there, or of another shape.
    pub fn get(&self, name: &str, wanted: &[i64]) -> Result<Tensor, WeightsError> {
        let (path, wanted) = (self.path.clone(), wanted.to_vec());
        let Some(tensor) = self.tensors.get(name) else {
            return Err(WeightsError::Missing { path, name: name.into(), wanted });
        };
        let found = tensor.size();
        if found != wanted {
            return Err(WeightsError::Shape { path, name: name.into(), wanted, found });
        }
        Ok(tensor.shallow_clone())
    }

    /// The same, sharing their memory, for another thread.
    pub(crate) fn share(&self) -> Self {
        let tensors = self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        Self::new(self.path.clone(), tensors.collect())
    }

    /// The same as a decoder computes with them, f32 on `device`; those that are so already share their memory.
    pub(crate) fn on(&self, device: Device) -> Result<Self, WeightsError> {
        let placed = self.tensors.iter().map(|(name, tensor)| {
            let placed = tensor.f_to_device(device).and_then(|tensor| tensor.f_to_kind(Kind::Float));
            Ok((name.clone(), placed.map_err(|error| self.refuse(name, error))?))
        });
        Ok(Self::new(self.path.clone(), placed.collect::<Result<_, WeightsError>>()?))
    }

    /// Why the tensor `name` cannot be used, with the file it came from.
    pub(crate) fn refuse(&self, name: &str, reason: impl ToString) -> WeightsError {
        WeightsError::Tensor { path: self.path.clone(), name: name.to_owned(), reason: reason.to_string() }
    }

    /// The file they were read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every tensor in the order of the names.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }
}

/// Reads a weight file.
///
/// # Errors
///
/// Those of [`weights::read`], or a refusal of libtorch.
pub fn read(path: &Path) -> Result<NamedTensors, WeightsError> {
    NamedTensors::of(&weights::read(path)?)
}

/// A copy of the numbers, on the CPU.
///
/// # Errors
///
/// When libtorch refuses, for want of memory say.
pub fn tensor(array: &Array) -> Result<Tensor, TchError> {
    let kind = KINDS.iter().find(|(dtype, _)| *dtype == array.dtype());
    let (_, kind) = kind.ok_or_else(|| TchError::Kind(format!("{:?} is no tensor's", array.dtype())))?;
    Tensor::f_from_data_size(array.bytes(), array.shape(), *kind)
}

/// A copy of the numbers of a tensor of any memory layout, from any device.
///
/// # Errors
///
/// An element type that files do not have, or a refusal of libtorch.
pub fn array(tensor: &Tensor) -> Result<Array, TchError> {
    let kind = tensor.f_kind()?;
    let known = KINDS.iter().find(|(_, known)| *known == kind);
    let (dtype, _) = known.ok_or_else(|| TchError::Kind(format!("{kind:?} cannot be written")))?;
    let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0; tensor.numel() * dtype.size()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    let array = Array::new(*dtype, tensor.size(), bytes);
    array.ok_or_else(|| TchError::Shape(format!("{:?} is no shape of a file", tensor.size())))
}

/// Writes tensors and metadata as [`weights::write_safetensors`] does.
///
/// # Errors
///
/// A tensor of an element type that the format does not have, or a file that cannot be written.
pub fn write_safetensors(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), WeightsError> {
    let copied = tensors.iter().map(|(name, tensor)| {
        let refused = |error: TchError| {
            let reason = error.to_string();
            WeightsError::Tensor { path: path.to_owned(), name: name.clone(), reason }
        };
        Ok((name.clone(), array(tensor).map_err(refused)?))
    });
    weights::write_safetensors(path, &copied.collect::<Result<_, WeightsError>>()?, metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_whatever_its_layout() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let matrix = Tensor::arange(6, (Kind::Float, Device::Cpu)).view([2, 3]);
        let tensors = BTreeMap::from([
            ("half".to_owned(), matrix.to_kind(Kind::Half)),
            ("transposed".to_owned(), matrix.tr()),
            ("matrix".to_owned(), matrix),
            ("scalar".to_owned(), Tensor::from(7i64)),
            ("empty".to_owned(), Tensor::zeros([0, 3], (Kind::Float, Device::Cpu))),
        ]);
        write_safetensors(&path, &tensors, &BTreeMap::new()).unwrap();
        let found = read(&path).unwrap();
        assert_eq!(*found.tensors(), tensors);
        assert!(found.tensors().values().all(Tensor::is_contiguous));
    }

    #[test]
    fn an_element_type_without_a_place_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let tensors = BTreeMap::from([("mask".to_owned(), Tensor::ones([2], (Kind::Bool, Device::Cpu)))]);
        let message = write_safetensors(&path, &tensors, &BTreeMap::new()).unwrap_err().to_string();
        assert!(message.contains("tensor `mask`") && !path.exists(), "{message}");
    }
}
