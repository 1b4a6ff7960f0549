//! The safetensors format: read through its own crate, written here so that equal content gives equal bytes.
//!
//! The crate writes its metadata in the order of a hash map; we sort it, and keep the rest of its layout. Files of ours carry
//! a checksum of themselves, which is no part of what they say.

use std::collections::BTreeMap;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use artifacts::{seal, tensor_file};
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tch::{Device, Kind, TchError, Tensor};

use super::{Content, Malformed, WeightsError, element_count};

/// Element types that both libtorch and the weight files of networks have.
const KINDS: [(Kind, Dtype); 9] = [
    (Kind::Double, Dtype::F64),
    (Kind::Int64, Dtype::I64),
    (Kind::Float, Dtype::F32),
    (Kind::Int, Dtype::I32),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Int16, Dtype::I16),
    (Kind::Int8, Dtype::I8),
    (Kind::Uint8, Dtype::U8),
];

/// The header's length stands in so many bytes before it.
const LENGTH: usize = 8;

/// Reads tensors and metadata.
pub(super) fn parse(bytes: &[u8]) -> Result<Content, Malformed> {
    let (length, header) = SafeTensors::read_metadata(bytes)?;
    let entries = || header.metadata().iter().flatten();
    seal::check(bytes, LENGTH + length).map_err(|broken| Malformed::Checksum {
        broken,
        remedy: tensor_file::remedy(entries().map(|(key, _)| key.as_str())),
    })?;
    let said = entries().filter(|(key, _)| *key != seal::KEY);
    let metadata = said.map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut tensors = BTreeMap::new();
    for (name, view) in SafeTensors::deserialize(bytes)?.tensors() {
        let kind = KINDS.iter().find(|(_, dtype)| *dtype == view.dtype());
        let (kind, _) = kind.ok_or_else(|| Malformed::Expected(format!("numbers as tensor `{name}`")))?;
        let size: Result<Vec<i64>, _> = view.shape().iter().map(|&dim| i64::try_from(dim)).collect();
        let size = size.ok().filter(|size| element_count(size).is_some());
        let size =
            size.ok_or_else(|| Malformed::Expected(format!("a shape that can be, of tensor `{name}`")))?;
        tensors.insert(name, Tensor::f_from_data_size(view.data(), &size, *kind)?);
    }
    Ok((tensors, metadata))
}

/// Writes tensors (of any memory layout, from any device) and metadata; the same content gives the same bytes.
///
/// The file appears under its name complete or not at all.
///
/// # Errors
///
/// A tensor of an element type that the format does not have, or a file that cannot be written.
pub fn write_safetensors(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), WeightsError> {
    let failed = |source| WeightsError::Io { path: path.into(), source };
    let torch = |name: &str, source| WeightsError::Torch { path: path.into(), name: name.into(), source };
    let mut metadata = metadata.clone();
    metadata.insert(seal::KEY.to_owned(), seal::open());
    let header = Header {
        metadata: &metadata,
        tensors: lay_out(tensors).map_err(|(name, source)| torch(name, source))?,
    };
    let mut json = serde_json::to_vec(&header).map_err(|error| failed(error.into()))?;
    json.resize(json.len().next_multiple_of(LENGTH), b' ');
    let digits = seal::digits(&json).map(|digits| LENGTH + digits.start);

    let temporary = artifacts::atomic::beside(path).map_err(failed)?;
    let mut file = BufWriter::new(temporary.as_file());
    let mut sealer = seal::Sealer::default();
    let mut write = |bytes: &[u8]| {
        sealer.update(bytes);
        file.write_all(bytes).map_err(failed)
    };
    write(&(json.len() as u64).to_le_bytes())?;
    write(&json)?;
    for (name, _) in &header.tensors {
        write(&elements(&tensors[*name]).map_err(|source| torch(name, source))?)?;
    }
    if let Some(digits) = digits {
        file.seek(SeekFrom::Start(digits as u64)).map_err(failed)?;
        file.write_all(sealer.finish().as_bytes()).map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    drop(file);
    artifacts::atomic::persist(temporary, path).map_err(failed)
}

struct Header<'a> {
    metadata: &'a BTreeMap<String, String>,
    /// In the order of the data.
    tensors: Vec<(&'a str, Entry)>,
}

#[derive(Serialize)]
struct Entry {
    dtype: Dtype,
    shape: Vec<i64>,
    data_offsets: [usize; 2],
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.tensors.len() + 1))?;
        map.serialize_entry("__metadata__", self.metadata)?;
        for (name, entry) in &self.tensors {
            map.serialize_entry(name, entry)?;
        }
        map.end()
    }
}

/// Orders tensors by falling element size, so that each is aligned, and then by name.
fn lay_out(tensors: &BTreeMap<String, Tensor>) -> Result<Vec<(&str, Entry)>, (&str, TchError)> {
    let mut ranked = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let kind = tensor.f_kind().map_err(|error| (name.as_str(), error))?;
        let rank = KINDS.iter().position(|(known, _)| *known == kind);
        let rank =
            rank.ok_or_else(|| (name.as_str(), TchError::Kind(format!("{kind:?} cannot be written"))))?;
        ranked.push((rank, name.as_str(), tensor));
    }
    ranked.sort_by_key(|(rank, name, _)| (*rank, *name));
    let mut end = 0;
    let mut entry = |(rank, name, tensor): (usize, _, &Tensor)| {
        let (kind, dtype) = KINDS[rank];
        let start = end;
        end += tensor.numel() * kind.elt_size_in_bytes();
        (name, Entry { dtype, shape: tensor.size(), data_offsets: [start, end] })
    };
    Ok(ranked.into_iter().map(&mut entry).collect())
}

/// The elements of a tensor in row-major order, as little-endian bytes.
fn elements(tensor: &Tensor) -> Result<Vec<u8>, TchError> {
    let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0; tensor.numel() * tensor.f_kind()?.elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_written_the_same_again() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        let matrix = Tensor::arange(6, (Kind::Float, Device::Cpu)).view([2, 3]);
        let tensors = BTreeMap::from([
            ("half".to_owned(), matrix.to_kind(Kind::Half)),
            ("matrix".to_owned(), matrix.shallow_clone()),
            ("transposed".to_owned(), matrix.tr()),
            ("scalar".to_owned(), Tensor::from(7i64)),
            ("empty".to_owned(), Tensor::zeros([0, 3], (Kind::Float, Device::Cpu))),
        ]);
        let metadata = (0..20).map(|key| (format!("key {key}"), "value \"é\"".to_owned())).collect();
        for path in &paths {
            write_safetensors(path, &tensors, &metadata).unwrap();
        }
        let [first, second] = paths.map(|path| std::fs::read(path).unwrap());
        assert_eq!(first, second);

        let (found, found_metadata) = parse(&first).unwrap();
        assert_eq!(found, tensors);
        assert_eq!(found_metadata, metadata);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "no temporary files stay");
    }

    #[test]
    fn sizes_that_overflow_beside_a_zero_are_refused() {
        for (shape, allowed) in
            [("4611686018427387904,2,0", false), ("9223372036854775808,0", false), ("2,0", true)]
        {
            let header = format!(r#"{{"w":{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,0]}}}}"#);
            let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
            assert_eq!(parse(&bytes).is_ok(), allowed, "{shape}");
        }
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
