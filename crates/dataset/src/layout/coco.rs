//! COCO captions (Chen et al. 2015), as the project distributes them.
//!
//! ```text
//! root/
//!   annotations/captions_train2017.json   annotations/captions_val2017.json
//!   train2017/                            val2017/
//! ```
//!
//! or the same with 2014. The JSON files may also lie in the root, and the folders of images in `images/`. With both
//! files the first is train and the second val; of a single one no image has a split.
//!
//! ```json
//! {"images": [{"id": 397133, "file_name": "000000397133.jpg"}],
//!  "annotations": [{"id": 370509, "image_id": 397133, "caption": "A man is in a kitchen making pizzas."}]}
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use artifacts::Split;
use serde::Deserialize;

use super::collect::{Collector, ImageIndex, Once};
use super::{LayoutError, Location, RawDataset, json};

const YEARS: [&str; 2] = ["2017", "2014"];
const ANNOTATION_FOLDERS: [&str; 2] = ["annotations", ""];
const IMAGE_FOLDERS: [&str; 2] = ["", "images"];
const SHAPE: &str =
    r#"{"images": [{"id": 1, "file_name": "…"}], "annotations": [{"id": 1, "image_id": 1, "caption": "…"}]}"#;

#[derive(Deserialize)]
struct Annotations {
    images: Vec<Image>,
    annotations: Vec<Caption>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Caption {
    id: u64,
    image_id: u64,
    caption: String,
}

/// What was read so far: ids are unique over both files.
struct Known {
    images: HashMap<u64, ImageIndex>,
    image_ids: Once<u64>,
    files: Once<ImageIndex>,
    caption_ids: Once<u64>,
}

/// Reads the dataset below `root`: of the years that are there the later.
///
/// # Errors
/// No captions file, a missing folder of images, an entry of another shape, an id or a file that two entries name,
/// and a caption of an image that is not listed.
pub fn read(root: &Path) -> Result<RawDataset, LayoutError> {
    let mut collector = Collector::new(root)?;
    let files = find_files(root)?;
    if files.len() > 1 {
        collector.expect_splits();
    }
    let mut known = Known {
        images: HashMap::new(),
        image_ids: Once::new(),
        files: Once::new(),
        caption_ids: Once::new(),
    };
    for (file, folder, split) in &files {
        let split = (files.len() > 1).then_some(*split);
        read_file(file, folder, split, &mut known, &mut collector)?;
        collector.source(file);
    }
    collector.finish()
}

/// The captions files of a year, each with its folder of images below the root.
fn find_files(root: &Path) -> Result<Vec<(PathBuf, PathBuf, Split)>, LayoutError> {
    for year in YEARS {
        let mut files = Vec::new();
        for split in [Split::Train, Split::Val] {
            let name = format!("captions_{split}{year}.json");
            let mut places = ANNOTATION_FOLDERS.iter().map(|folder| root.join(folder).join(&name));
            if let Some(file) = places.find(|file| file.is_file()) {
                files.push((file, find_images(root, &format!("{split}{year}"))?, split));
            }
        }
        if !files.is_empty() {
            return Ok(files);
        }
    }
    let names = YEARS
        .map(|year| format!("annotations/captions_train{year}.json, annotations/captions_val{year}.json"));
    Err(LayoutError::NotFound { root: root.to_owned(), what: "captions file", names: names.join(", ") })
}

fn find_images(root: &Path, name: &str) -> Result<PathBuf, LayoutError> {
    let places = IMAGE_FOLDERS.map(|folder| Path::new(folder).join(name));
    let names = places.each_ref().map(|place| format!("{}/", place.display())).join(", ");
    let found = places.into_iter().find(|place| root.join(place).is_dir());
    found.ok_or_else(|| LayoutError::NotFound { root: root.to_owned(), what: "folder of images", names })
}

fn read_file(
    file: &Path,
    folder: &Path,
    split: Option<Split>,
    known: &mut Known,
    collector: &mut Collector,
) -> Result<(), LayoutError> {
    let Annotations { images, annotations } = json::read(file, SHAPE)?;
    for (index, image) in images.iter().enumerate() {
        let at = Location::entry(file, "images", index);
        known.image_ids.name(image.id, &at, || format!("the id {}", image.id))?;
        let found = collector.image(&at, folder, &image.file_name)?;
        known.files.name(found, &at, || format!("the file {}", image.file_name))?;
        known.images.insert(image.id, found);
        if let Some(split) = split {
            collector.split(&at, found, split)?;
        }
    }
    for (index, caption) in annotations.iter().enumerate() {
        let at = Location::entry(file, "annotations", index);
        known.caption_ids.name(caption.id, &at, || format!("the id {}", caption.id))?;
        let Some(&image) = known.images.get(&caption.image_id) else {
            return Err(LayoutError::UnknownImage { at, id: caption.image_id });
        };
        collector.caption(&at, image, &caption.caption);
    }
    Ok(())
}
