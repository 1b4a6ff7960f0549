//! The two files of `torch.save`: a zip archive since PyTorch 1.6, and before it pickles with the elements behind them.
//!
//! Both hold one pickle that describes tensors as strided views of storages, and the bytes of each storage apart.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};

use bytes::Bytes;
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{Pickle, Storage, StridedTensor};
use super::{Array, Malformed};

/// How a file from before PyTorch 1.6 begins: a pickle of the protocol 2 with a ten-byte integer in it.
pub(super) const LEGACY_START: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// Strided views are gathered into memory of their own: no file may ask for more than this many times its size.
const MAX_GATHERED: usize = 4;

/// Reads the zip form.
pub(super) fn parse_zip(bytes: &Bytes) -> Result<BTreeMap<String, Array>, Malformed> {
    let mut archive = ZipArchive::new(Cursor::new(bytes.as_ref()))?;
    let mut pickles = archive
        .file_names()
        .filter_map(Result::ok)
        .filter_map(|name| Some(name.strip_suffix("data.pkl")?.to_owned()));
    let prefix = pickles.next().ok_or_else(|| expected("a member data.pkl"))?;
    drop(pickles);

    let mut budget = bytes.len();
    if archive.index_for_name(&format!("{prefix}byteorder")).is_some()
        && member(&mut archive, &format!("{prefix}byteorder"), &mut budget)? != b"little"
    {
        return Err(expected("little-endian elements"));
    }
    let description = member(&mut archive, &format!("{prefix}data.pkl"), &mut budget)?;
    let pickle = Pickle::read(&description)?;
    let mut elements = HashMap::new();
    for storage in pickle.storages() {
        if !elements.contains_key(storage.key) {
            let content = member(&mut archive, &format!("{prefix}data/{}", storage.key), &mut budget)?;
            elements.insert(storage.key, content.into());
        }
    }
    assemble(&pickle, &elements, bytes.len())
}

/// Reads the form from before PyTorch 1.6.
pub(super) fn parse_legacy(bytes: &Bytes) -> Result<BTreeMap<String, Array>, Malformed> {
    let mut rest = bytes.as_ref();
    let mut next = || -> Result<Pickle<'_>, Malformed> {
        let pickle = Pickle::read(rest)?;
        rest = &rest[pickle.length..];
        Ok(pickle)
    };
    next()?; // The magic number of LEGACY_START.
    if next()?.integer() != Some(1001) {
        return Err(expected("protocol version 1001"));
    }
    if next()?.flag("little_endian") != Some(true) {
        return Err(expected("little-endian elements"));
    }
    let pickle = next()?;
    let keys = next()?.texts().ok_or_else(|| expected("a list of storage keys"))?;

    let storages: HashMap<&str, Storage<'_>> =
        pickle.storages().map(|storage| (storage.key, storage)).collect();
    let mut elements = HashMap::new();
    for key in keys {
        let storage = storages.get(key).ok_or_else(|| expected("storages that tensors use"))?;
        let (count, behind) =
            rest.split_first_chunk().ok_or_else(|| expected("a longer file: it is cut off"))?;
        if usize::try_from(u64::from_le_bytes(*count)) != Ok(storage.elements) {
            return Err(expected("storages as long as their tensors say"));
        }
        let (content, behind) = storage
            .bytes()
            .and_then(|length| behind.split_at_checked(length))
            .ok_or_else(|| expected("a longer file: it is cut off"))?;
        elements.insert(key, bytes.slice_ref(content));
        rest = behind;
    }
    assemble(&pickle, &elements, bytes.len())
}

/// Reads one member that is stored as it is, as `torch.save` does; all of them together within `budget` bytes.
fn member(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    name: &str,
    budget: &mut usize,
) -> Result<Vec<u8>, Malformed> {
    let file = archive.by_name(name)?;
    if file.compression() != CompressionMethod::Stored {
        return Err(expected("members that are not compressed"));
    }
    let length = usize::try_from(file.size()).ok().filter(|length| length <= budget);
    let length = length.ok_or_else(|| expected("members no longer than the file"))?;
    *budget -= length;
    let mut content = Vec::with_capacity(length);
    file.take(length as u64).read_to_end(&mut content)?;
    Ok(content)
}

/// Makes every tensor of the state dict, gathering its elements into row-major order.
fn assemble(
    pickle: &Pickle<'_>,
    elements: &HashMap<&str, Bytes>,
    file_bytes: usize,
) -> Result<BTreeMap<String, Array>, Malformed> {
    let mut storages = HashMap::new();
    for storage in pickle.storages() {
        let content = elements.get(storage.key).ok_or_else(|| expected("all storages that tensors use"))?;
        if storage.bytes() != Some(content.len()) {
            return Err(expected("storages as long as their tensors say"));
        }
        storages.entry(storage.key).or_insert((storage.dtype, content));
    }
    let mut budget = file_bytes.saturating_mul(MAX_GATHERED);
    let mut arrays = BTreeMap::new();
    for (name, view) in pickle.state_dict().map_err(Malformed::Expected)? {
        let (dtype, content) = storages[view.storage.key];
        if dtype != view.storage.dtype {
            return Err(expected("one element type a storage"));
        }
        let elements: i64 = view.size.iter().product();
        budget = (elements as usize)
            .checked_mul(dtype.size())
            .and_then(|bytes| budget.checked_sub(bytes))
            .ok_or_else(|| expected("tensors no larger than the file"))?;
        let array = Array::new(dtype, view.size.clone(), gather(view, content, elements as usize));
        arrays.insert(name.to_owned(), array.ok_or_else(|| expected("shapes that can be"))?);
    }
    Ok(arrays)
}

/// The elements of a view in row-major order; it lies inside of its storage, whose content this is.
fn gather(view: &StridedTensor<'_>, content: &Bytes, elements: usize) -> Bytes {
    let size = view.storage.dtype.size();
    let row_major = view
        .size
        .iter()
        .zip(&view.stride)
        .rev()
        .try_fold(1, |step, (&size, &stride)| (size == 1 || stride == step).then_some(step * size));
    if row_major.is_some() && elements > 0 {
        let start = view.offset as usize * size;
        return content.slice(start..start + elements * size);
    }
    let mut gathered = Vec::with_capacity(elements * size);
    let mut place = vec![0; view.size.len()];
    let mut at = view.offset;
    for _ in 0..elements {
        let start = at as usize * size;
        gathered.extend_from_slice(&content[start..start + size]);
        // The last dimension runs fastest; what has come to its end starts again.
        for (place, (&size, &stride)) in place.iter_mut().zip(view.size.iter().zip(&view.stride)).rev() {
            (*place, at) = (*place + 1, at + stride);
            if *place < size {
                break;
            }
            (*place, at) = (0, at - size * stride);
        }
    }
    gathered.into()
}

fn expected(what: &str) -> Malformed {
    Malformed::Expected(what.to_owned())
}
