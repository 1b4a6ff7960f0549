//! Which file of captions belongs to which image.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::LayoutError;
use super::finder::fold_part;

/// Images and the files of captions that lie beside them.
pub(super) struct Pairs {
    /// Of each image, in their order.
    pub(super) captions: Vec<Option<PathBuf>>,
    /// Files of captions that belong to no image, or to one that has another file.
    pub(super) left: BTreeSet<PathBuf>,
}

/// Pairs `photo.jpg` with `photo.jpg.txt`, `photo.txt` or `photo.caption`, in this order, and where it has none of them with one
/// whose name differs in letter case alone.
///
/// # Errors
/// Two images with one file.
pub(super) fn pair(images: &[PathBuf], texts: Vec<PathBuf>) -> Result<Pairs, LayoutError> {
    let mut left: BTreeSet<PathBuf> = texts.into_iter().collect();
    // `.txt` comes before `.caption` in the order of endings turned around.
    let by_name: HashMap<PathBuf, PathBuf> =
        left.iter().map(|text| (text.with_extension(""), text.clone())).collect();
    let mut taken: HashMap<PathBuf, &Path> = HashMap::new();
    let mut captions: Vec<Option<PathBuf>> = vec![None; images.len()];
    for (image, captions) in images.iter().zip(&mut captions) {
        let Some(text) = by_name.get(image).or_else(|| by_name.get(&image.with_extension(""))) else {
            continue;
        };
        if let Some(first) = taken.insert(text.clone(), image) {
            return Err(LayoutError::SharedCaptions { first: first.to_owned(), second: image.clone() });
        }
        left.remove(text);
        *captions = Some(text.clone());
    }

    let mut by_fold: HashMap<String, Vec<PathBuf>> = HashMap::new();
    for text in &left {
        by_fold.entry(fold(&text.with_extension(""))).or_default().push(text.clone());
    }
    for (image, captions) in images.iter().zip(&mut captions).filter(|(_, captions)| captions.is_none()) {
        let keys = [fold(image), fold(&image.with_extension(""))];
        let found = keys.iter().find_map(|key| by_fold.get(key)).filter(|texts| texts.len() == 1);
        if let Some([text]) = found.map(Vec::as_slice)
            && left.remove(text)
        {
            *captions = Some(text.clone());
        }
    }
    Ok(Pairs { captions, left })
}

fn fold(path: &Path) -> String {
    fold_part(&path.to_string_lossy())
}
