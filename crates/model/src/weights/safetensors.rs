//! The safetensors format: read through its own crate, written here so that equal content gives equal bytes.
//!
//! The crate writes its metadata in the order of a hash map; we sort it, and keep the rest of its layout. Files of ours carry
//! a checksum of themselves, which is no part of what they say.

use std::collections::BTreeMap;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use artifacts::{seal, tensor_file};
use bytes::Bytes;
use safetensors::SafeTensors;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::{Array, Content, Dtype, Malformed, WeightsError, element_count};

/// What the format calls the element types that we know.
const DTYPES: [(Dtype, safetensors::Dtype); 9] = [
    (Dtype::F64, safetensors::Dtype::F64),
    (Dtype::I64, safetensors::Dtype::I64),
    (Dtype::F32, safetensors::Dtype::F32),
    (Dtype::I32, safetensors::Dtype::I32),
    (Dtype::F16, safetensors::Dtype::F16),
    (Dtype::BF16, safetensors::Dtype::BF16),
    (Dtype::I16, safetensors::Dtype::I16),
    (Dtype::I8, safetensors::Dtype::I8),
    (Dtype::U8, safetensors::Dtype::U8),
];

/// The header's length stands in so many bytes before it.
const LENGTH: usize = 8;

/// Reads tensors and metadata.
pub(super) fn parse(bytes: &Bytes) -> Result<Content, Malformed> {
    let (length, header) = SafeTensors::read_metadata(bytes)?;
    let entries = || header.metadata().iter().flatten();
    seal::check(bytes, LENGTH + length).map_err(|broken| Malformed::Checksum {
        broken,
        remedy: tensor_file::remedy(entries().map(|(key, _)| key.as_str())),
    })?;
    let said = entries().filter(|(key, _)| *key != seal::KEY);
    let metadata = said.map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut arrays = BTreeMap::new();
    for (name, view) in SafeTensors::deserialize(bytes)?.tensors() {
        let dtype = DTYPES.iter().find(|(_, named)| *named == view.dtype());
        let (dtype, _) = dtype.ok_or_else(|| Malformed::Expected(format!("numbers as tensor `{name}`")))?;
        let shape: Result<Vec<i64>, _> = view.shape().iter().map(|&dim| i64::try_from(dim)).collect();
        let shape = shape.ok().filter(|shape| element_count(shape).is_some());
        let array = shape.and_then(|shape| Array::new(*dtype, shape, bytes.slice_ref(view.data())));
        let array =
            array.ok_or_else(|| Malformed::Expected(format!("a shape that can be, of tensor `{name}`")))?;
        arrays.insert(name, array);
    }
    Ok((arrays, metadata))
}

/// Writes tensors and metadata; the same content gives the same bytes.
///
/// The file appears under its name complete or not at all.
///
/// # Errors
///
/// A file that cannot be written.
pub fn write_safetensors(
    path: &Path,
    arrays: &BTreeMap<String, Array>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), WeightsError> {
    let failed = |source| WeightsError::Io { path: path.into(), source };
    let mut metadata = metadata.clone();
    metadata.insert(seal::KEY.to_owned(), seal::open());
    let header = Header { metadata: &metadata, tensors: lay_out(arrays) };
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
        write(arrays[*name].bytes())?;
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
    dtype: safetensors::Dtype,
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
fn lay_out(arrays: &BTreeMap<String, Array>) -> Vec<(&str, Entry)> {
    let mut ranked = Vec::with_capacity(arrays.len());
    for (dtype, named) in DTYPES {
        let of_type = arrays.iter().filter(|(_, array)| array.dtype() == dtype);
        ranked.extend(of_type.map(|(name, array)| (name.as_str(), named, array)));
    }
    let mut end = 0;
    let entry = |(name, dtype, array): (_, _, &Array)| {
        let start = end;
        end += array.bytes().len();
        (name, Entry { dtype, shape: array.shape().to_vec(), data_offsets: [start, end] })
    };
    ranked.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_written_the_same_again() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        let matrix = Array::of_f32(vec![2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let tensors = BTreeMap::from([
            ("half".to_owned(), matrix.halved()),
            ("matrix".to_owned(), matrix),
            ("scalar".to_owned(), Array::new(Dtype::I64, vec![], 7i64.to_le_bytes().to_vec()).unwrap()),
            ("empty".to_owned(), Array::of_f32(vec![0, 3], &[]).unwrap()),
        ]);
        let metadata = (0..20).map(|key| (format!("key {key}"), "value \"é\"".to_owned())).collect();
        for path in &paths {
            write_safetensors(path, &tensors, &metadata).unwrap();
        }
        let [first, second] = paths.map(|path| std::fs::read(path).unwrap());
        assert_eq!(first, second);

        let (found, found_metadata) = parse(&first.into()).unwrap();
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
            assert_eq!(parse(&bytes.into()).is_ok(), allowed, "{shape}");
        }
    }
}
