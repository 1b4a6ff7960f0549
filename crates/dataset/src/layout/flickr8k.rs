//! Flickr8k, as its authors, Kaggle and the tutorials hand it out.
//!
//! ```text
//! root/
//!   images/ | Images/ | Flicker8k_Dataset/ | Flickr8k_Dataset/      the photos
//!   captions.txt | captions.csv                                    header `image,caption`
//!     | Flickr8k.token.txt                                         `photo.jpg#0<TAB>caption`
//!   splits/{train,val,test}.txt                                    one file name per line; any may be absent
//!     | Flickr_8k.{trainImages,devImages,testImages}.txt
//! ```
//!
//! The text files may also lie in `Flickr8k_text/`. Where several names are there, the first of the list counts. With
//! split files, an image in none of them is left out; without any, no image has a split.

use std::path::{Path, PathBuf};

use artifacts::Split;

use super::collect::{Collector, is_image};
use super::{LayoutError, Location, RawDataset, csv_rows, text};

const IMAGE_FOLDERS: [&str; 4] = ["images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset"];
const CAPTION_FILES: [&str; 3] = ["captions.txt", "captions.csv", "Flickr8k.token.txt"];
const TOKEN_FILE: &str = "Flickr8k.token.txt";
const TEXT_FOLDERS: [&str; 2] = ["", "Flickr8k_text"];
const SPLIT_FILES: [[(&str, Split); 3]; 2] = [
    [("splits/train.txt", Split::Train), ("splits/val.txt", Split::Val), ("splits/test.txt", Split::Test)],
    [
        ("Flickr_8k.trainImages.txt", Split::Train),
        ("Flickr_8k.devImages.txt", Split::Val),
        ("Flickr_8k.testImages.txt", Split::Test),
    ],
];

/// Reads the dataset below `root`.
///
/// # Errors
/// A missing folder or captions file, a malformed row, and an image in two splits are refused with their place.
pub fn read(root: &Path) -> Result<RawDataset, LayoutError> {
    let mut collector = Collector::new(root)?;
    let Some(folder) = IMAGE_FOLDERS.iter().map(Path::new).find(|folder| root.join(folder).is_dir()) else {
        let names = IMAGE_FOLDERS.map(|name| format!("{name}/")).join(", ");
        return Err(LayoutError::NotFound { root: root.to_owned(), what: "folder of images", names });
    };
    let Some(captions) = CAPTION_FILES.iter().find_map(|name| text_file(root, name)) else {
        let names = CAPTION_FILES.join(", ");
        return Err(LayoutError::NotFound { root: root.to_owned(), what: "captions file", names });
    };

    if captions.ends_with(TOKEN_FILE) {
        read_tokens(&captions, folder, &mut collector)?;
    } else {
        for row in csv_rows::read(&captions, false)? {
            let at = Location::new(&captions, row.line);
            let image = collector.image(&at, folder, &row.image)?;
            collector.caption(&at, image, &row.caption);
        }
    }
    collector.source(&captions);
    read_splits(root, folder, &mut collector)?;
    list_images(root, folder, &mut collector)?;
    collector.finish()
}

/// The file of that name in the root or in `Flickr8k_text/`.
fn text_file(root: &Path, name: &str) -> Option<PathBuf> {
    TEXT_FOLDERS.iter().map(|folder| root.join(folder).join(name)).find(|file| file.is_file())
}

fn read_tokens(file: &Path, folder: &Path, collector: &mut Collector) -> Result<(), LayoutError> {
    let text = text::read(file)?;
    for (line, row) in text::lines(&text) {
        let at = Location::new(file, line);
        let fields = row.split_once('\t').and_then(|(key, caption)| Some((key.rsplit_once('#')?, caption)));
        let Some(((name, number), caption)) = fields else {
            return Err(LayoutError::TokenLine { at });
        };
        if number.trim().parse::<u32>().is_err() {
            return Err(LayoutError::TokenLine { at });
        }
        let image = collector.image(&at, folder, name)?;
        collector.caption(&at, image, caption);
    }
    Ok(())
}

fn read_splits(root: &Path, folder: &Path, collector: &mut Collector) -> Result<(), LayoutError> {
    for naming in SPLIT_FILES {
        let files = naming.map(|(name, split)| (text_file(root, name), split));
        if files.iter().any(|(file, _)| file.is_some()) {
            collector.expect_splits();
            for (file, split) in files {
                file.map_or(Ok(()), |file| collector.split_file(&file, folder, split))?;
            }
            return Ok(());
        }
    }
    Ok(())
}

/// Makes photos that no text file names known to the collector, so that they are counted.
fn list_images(root: &Path, folder: &Path, collector: &mut Collector) -> Result<(), LayoutError> {
    let failed = |source| LayoutError::Io { path: root.join(folder), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root.join(folder)).map_err(failed)? {
        let name = PathBuf::from(entry.map_err(failed)?.file_name());
        if is_image(&name) {
            names.push(name);
        }
    }
    names.sort();
    for name in names {
        collector.found(folder.join(name));
    }
    Ok(())
}
