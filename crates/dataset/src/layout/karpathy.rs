//! Karpathy's splits of COCO, Flickr8k and Flickr30k (Karpathy and Fei-Fei 2015), one JSON file each.
//!
//! ```text
//! root/
//!   dataset_coco.json | dataset_flickr30k.json | dataset_flickr8k.json | dataset.json
//!   the images, in the root or in a folder of the usual names
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

use artifacts::Split;
use serde::Deserialize;

use super::collect::{Collector, Once};
use super::{LayoutError, Location, RawDataset, folder_of, json};

const FILES: [&str; 4] =
    ["dataset_coco.json", "dataset_flickr30k.json", "dataset_flickr8k.json", "dataset.json"];
const IMAGE_FOLDERS: [&str; 8] = [
    "",
    "images",
    "Images",
    "Flicker8k_Dataset",
    "Flickr8k_Dataset",
    "flickr30k-images",
    "flickr30k_images",
    "flickr30k_images/flickr30k_images",
];
const SHAPE: &str =
    r#"{"images": [{"filename": "…", "imgid": 0, "split": "train", "sentences": [{"raw": "…"}]}]}"#;

#[derive(Deserialize)]
struct Dataset {
    images: Vec<Image>,
}

#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    filepath: PathBuf,
    filename: String,
    imgid: u64,
    split: String,
    sentences: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    raw: String,
}

/// Reads the JSON file `root`, or the one in the folder `root`; the images lie in the file's folder.
///
/// # Errors
/// A missing or second JSON file, an entry of another shape, an unknown split, an `imgid` or a file that two entries
/// name, and a folder in which none of the images is found.
pub fn read(root: &Path) -> Result<RawDataset, LayoutError> {
    let file = if root.is_dir() { find_file(root)? } else { root.to_owned() };
    let images = json::read::<Dataset>(&file, SHAPE)?.images;
    let root = folder_of(&file);
    let mut collector = Collector::new(root)?;
    collector.expect_splits();
    let folder = find_images(root, &images)?;
    let (mut ids, mut files) = (Once::new(), Once::new());
    for (index, image) in images.iter().enumerate() {
        let at = Location::entry(&file, "images", index);
        ids.name(image.imgid, &at, || format!("imgid {}", image.imgid))?;
        let path = image.path();
        let found = collector.image(&at, folder, &path.to_string_lossy())?;
        files.name(found, &at, || format!("the file {}", path.display()))?;
        collector.split(&at, found, parse_split(&at, &image.split)?)?;
        for sentence in &image.sentences {
            collector.caption(&at, found, &sentence.raw);
        }
    }
    collector.source(&file);
    collector.finish()
}

impl Image {
    /// Below the folder of images; empty without a file name.
    fn path(&self) -> PathBuf {
        match self.filename.trim() {
            "" => PathBuf::new(),
            name => self.filepath.join(name),
        }
    }
}

fn find_file(root: &Path) -> Result<PathBuf, LayoutError> {
    let found: Vec<&str> = FILES.into_iter().filter(|name| root.join(name).is_file()).collect();
    match found.as_slice() {
        [name] => Ok(root.join(name)),
        [] => Err(LayoutError::NotFound {
            root: root.to_owned(),
            what: "file of Karpathy's splits",
            names: FILES.join(", "),
        }),
        _ => Err(LayoutError::Several { root: root.to_owned(), names: found.join(", ") }),
    }
}

/// The first folder in which any of the images lies.
fn find_images(root: &Path, images: &[Image]) -> Result<&'static Path, LayoutError> {
    let holds_any = |folder: &&str| images.iter().any(|image| root.join(folder).join(image.path()).is_file());
    match IMAGE_FOLDERS.into_iter().find(holds_any) {
        Some(folder) => Ok(Path::new(folder)),
        None if images.is_empty() => Ok(Path::new("")),
        None => Err(LayoutError::NotFound {
            root: root.to_owned(),
            what: "image that the JSON file names",
            names: IMAGE_FOLDERS
                .map(|folder| Path::new(folder).join(images[0].path()).display().to_string())
                .join(", "),
        }),
    }
}

fn parse_split(at: &Location, name: &str) -> Result<Split, LayoutError> {
    match name {
        "train" | "restval" => Ok(Split::Train),
        "val" => Ok(Split::Val),
        "test" => Ok(Split::Test),
        _ => Err(LayoutError::UnknownSplit {
            at: at.clone(),
            name: name.to_owned(),
            known: "train, restval, val or test",
        }),
    }
}
