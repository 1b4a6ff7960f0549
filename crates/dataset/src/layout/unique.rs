//! What may be named once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::path::Path;

use annotations::Location;

use super::LayoutError;

/// Ids or images that a file may name once, each with its place.
pub(super) struct Once<K>(HashMap<K, Location>);

impl<K: Eq + Hash> Once<K> {
    pub(super) fn new() -> Self {
        Once(HashMap::new())
    }

    /// Notes `key`; refuses it, as `what`, the second time.
    pub(super) fn name(
        &mut self,
        key: K,
        at: &Location,
        what: impl FnOnce() -> String,
    ) -> Result<(), LayoutError> {
        match self.0.entry(key) {
            Entry::Vacant(new) => {
                new.insert(at.clone());
                Ok(())
            }
            Entry::Occupied(first) => {
                let first_at = first.get().clone();
                Err(LayoutError::Duplicate { at: at.clone(), what: what(), first_at })
            }
        }
    }
}

/// The id of each path: its file stem, or the whole path where the stem names several files.
pub(super) fn image_ids(paths: &[&Path]) -> Result<Vec<String>, LayoutError> {
    let stem = |path: &Path| path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let mut files_of_stem = HashMap::<String, usize>::new();
    for path in paths {
        *files_of_stem.entry(stem(path)).or_default() += 1;
    }
    let mut path_of_id = HashMap::<String, &Path>::new();
    let mut ids = Vec::with_capacity(paths.len());
    for path in paths {
        let stem = stem(path);
        let id = if files_of_stem[&stem] == 1 { stem } else { path.to_string_lossy().into_owned() };
        if let Some(first) = path_of_id.insert(id.clone(), path) {
            return Err(LayoutError::SameId { id, first: first.to_owned(), second: (*path).to_owned() });
        }
        ids.push(id);
    }
    Ok(ids)
}
