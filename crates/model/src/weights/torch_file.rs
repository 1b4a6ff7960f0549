//! The two files of `torch.save`: a zip archive since PyTorch 1.6, and before it pickles with the elements behind them.
//!
//! Both hold one pickle that describes tensors as strided views of storages, and the bytes of each storage apart.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};

use tch::Tensor;
use zip::{CompressionMethod, ZipArchive};

use super::Malformed;
use super::pickle::{Pickle, Storage};

/// How a file from before PyTorch 1.6 begins: a pickle of the protocol 2 with a ten-byte integer in it.
pub(super) const LEGACY_START: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// Strided views are gathered into memory of their own: no file may ask for more than this many times its size.
const MAX_GATHERED: usize = 4;

/// Reads the zip form.
pub(super) fn parse_zip(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, Malformed> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))?;
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
            elements.insert(storage.key, Cow::Owned(content));
        }
    }
    assemble(&pickle, &elements, bytes.len())
}

/// Reads the form from before PyTorch 1.6.
pub(super) fn parse_legacy(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, Malformed> {
    let mut rest = bytes;
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
        elements.insert(key, Cow::Borrowed(content));
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
    elements: &HashMap<&str, Cow<'_, [u8]>>,
    file_bytes: usize,
) -> Result<BTreeMap<String, Tensor>, Malformed> {
    let mut storages = HashMap::new();
    for storage in pickle.storages() {
        let content = elements.get(storage.key).ok_or_else(|| expected("all storages that tensors use"))?;
        if storage.bytes() != Some(content.len()) {
            return Err(expected("storages as long as their tensors say"));
        }
        if !storages.contains_key(storage.key) {
            let tensor = Tensor::f_from_data_size(content, &[storage.elements as i64], storage.kind)?;
            storages.insert(storage.key, (storage.kind, tensor));
        }
    }
    let mut budget = file_bytes.saturating_mul(MAX_GATHERED);
    let mut tensors = BTreeMap::new();
    for (name, view) in pickle.state_dict().map_err(Malformed::Expected)? {
        let (kind, storage) = &storages[view.storage.key];
        if *kind != view.storage.kind {
            return Err(expected("one element type a storage"));
        }
        let elements: i64 = view.size.iter().product();
        budget = (elements as usize)
            .checked_mul(kind.elt_size_in_bytes())
            .and_then(|bytes| budget.checked_sub(bytes))
            .ok_or_else(|| expected("tensors no larger than the file"))?;
        let tensor = storage.f_as_strided(&view.size, &view.stride, view.offset)?.f_contiguous()?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}

fn expected(what: &str) -> Malformed {
    Malformed::Expected(what.to_owned())
}
