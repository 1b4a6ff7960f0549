//! Karpathy's splits of COCO, Flickr8k and Flickr30k (Karpathy and Fei-Fei 2015), one JSON file each.
//!
//! ```text
//! root/
//!   dataset_coco.json | dataset_flickr30k.json | dataset_flickr8k.json | dataset.json, or the only JSON file
//!   the images, in the root or in folders below it
//! ```
//!
//! ```json
//! {"images": [{"filepath": "val2014", "filename": "COCO_val2014_000000391895.jpg", "imgid": 0, "split": "test",
//!              "sentences": [{"raw": "A man with a red helmet on a small moped."}]}]}
//! ```
//!
//! `filepath` is COCO's alone; other keys are not read. `restval`, the part of COCO's val that no split holds out,
//! belongs to train, as in all work with these splits.

use std::path::{Path, PathBuf};

use annotations::karpathy::{Image, Karpathy, SHAPE};
use annotations::{Location, json};

use super::collect::Collector;
use super::flickr8k::IMAGE_FOLDERS;
use super::unique::Once;
use super::{LayoutError, RawDataset, files, folder_of, split_name};

const FILES: [&str; 4] =
    ["dataset_coco.json", "dataset_flickr30k.json", "dataset_flickr8k.json", "dataset.json"];

/// Reads the JSON file `root`, or the one in the folder `root`; the images lie in the file's folder.
///
/// # Errors
/// A missing or second JSON file, an entry of another shape, an unknown split, an `imgid` or a file that two entries
/// name, and a file of which no image is found.
pub fn read(root: &Path) -> Result<RawDataset, LayoutError> {
    let file = if root.is_dir() { find_file(&files::innermost(root))? } else { root.to_owned() };
    let images = json::read::<Karpathy>(&file, SHAPE)?.images;
    let root = folder_of(&file);
    let mut collector = Collector::new(root)?;
    let splits_given = images.iter().any(|image| image.split.is_some());
    if splits_given {
        collector.expect_splits();
    }
    let folder = find_images(root, &images);
    let (mut ids, mut named) = (Once::new(), Once::new());
    for (index, image) in images.into_iter().enumerate() {
        let at = Location::entry(&file, "images", index);
        let path = path(&image);
        if let Some(imgid) = image.imgid {
            ids.name(imgid.clone(), &at, || format!("imgid {imgid}"))?;
        }
        let found = collector.image(&at, folder, &path)?;
        named.name(found, &at, || format!("the file {path}"))?;
        if let Some(split) = image.split {
            collector.split(&at, found, split_name::parse(&at, &split)?)?;
        }
        for sentence in &image.sentences.0 {
            collector.caption(&at, found, sentence);
        }
    }
    collector.source(&file);
    collector.finish()
}

/// Below the folder of images; empty without a file name.
fn path(image: &Image) -> String {
    match (image.filepath.as_str(), image.filename.as_str()) {
        (_, name) if name.trim().is_empty() => String::new(),
        ("", name) => name.to_owned(),
        (folder, name) => format!("{folder}/{name}"),
    }
}

/// The file of a usual name, or else the only JSON file.
fn find_file(root: &Path) -> Result<PathBuf, LayoutError> {
    let mut found: Vec<PathBuf> =
        FILES.into_iter().map(PathBuf::from).filter(|name| root.join(name).is_file()).collect();
    if found.is_empty() {
        found = files::of_ending(root, &["json"])?;
    }
    match found.as_slice() {
        [name] => Ok(root.join(name)),
        [] => Err(LayoutError::NotFound {
            root: root.to_owned(),
            what: "file of Karpathy's splits",
            names: FILES.join(", "),
        }),
        _ => Err(LayoutError::several(root, &found)),
    }
}

/// The first folder in which any of the images lies; the root, where they have to be searched for.
fn find_images(root: &Path, images: &[Image]) -> &'static Path {
    let holds_any = |folder: &&str| images.iter().any(|image| root.join(folder).join(path(image)).is_file());
    Path::new([""].into_iter().chain(IMAGE_FOLDERS).find(holds_any).unwrap_or(""))
}
