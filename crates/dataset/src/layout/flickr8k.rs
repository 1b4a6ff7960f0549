//! Flickr8k and Flickr30k, as their authors, Kaggle and the tutorials hand them out.
//!
//! ```text
//! root/
//!   images/ | Images/ | Flicker8k_Dataset/ | flickr30k_images/ | …  the photos
//!   captions.txt | captions.csv | results.csv                      a table of images and captions
//!     | Flickr8k.token.txt | results_20130124.token                `photo.jpg#0<TAB>caption`
//!   splits/{train,val,test}.txt                                    one file name per line; any may be absent
//!     | Flickr_8k.{trainImages,devImages,testImages}.txt
//! ```
//!
//! The text files may also lie in `Flickr8k_text/` or beside the photos. Where several names are there, the first of the list
//! counts; photos may also lie in the root or a folder of another name. With split files, an image in none of them is left out; without any, no image has a split.

use std::path::{Path, PathBuf};

use artifacts::Split;

use super::collect::Collector;
use super::{LayoutError, RawDataset, files, table};

/// Of the photos; Karpathy's files name images in them too.
pub(super) const IMAGE_FOLDERS: [&str; 6] =
    ["images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k-images", "flickr30k_images"];
const CAPTION_FILES: [&str; 5] =
    ["captions.txt", "captions.csv", "results.csv", "Flickr8k.token.txt", "results_20130124.token"];
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
    let root = &files::innermost(root);
    let mut collector = Collector::new(root)?;
    let Some(folder) = images_folder(root) else {
        let names = IMAGE_FOLDERS.map(|name| format!("{name}/")).join(", ");
        return Err(LayoutError::NotFound { root: root.to_owned(), what: "folder of images", names });
    };
    let places = TEXT_FOLDERS.map(|folder| root.join(folder)).into_iter().chain([root.join(&folder)]);
    let places: Vec<PathBuf> = places.collect();
    let Some(captions) = CAPTION_FILES.iter().find_map(|name| text_file(&places, name)) else {
        let names = CAPTION_FILES.join(", ");
        return Err(LayoutError::NotFound { root: root.to_owned(), what: "captions file", names });
    };

    table::read_rows(&captions, &folder, None, &mut collector)?;
    read_splits(&places, &folder, &mut collector)?;
    collector.list(&folder)?;
    collector.finish()
}

/// The folder of the photos below the root; the root itself where they lie there, or in a folder of another name.
fn images_folder(root: &Path) -> Option<PathBuf> {
    let anywhere = || files::below(root, Path::new("")).flatten().any(|file| files::is_image_name(&file));
    files::folder_named(root, &IMAGE_FOLDERS).or_else(|| anywhere().then(PathBuf::new))
}

/// The file of that name in the first place that has it.
fn text_file(places: &[PathBuf], name: &str) -> Option<PathBuf> {
    places.iter().map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn read_splits(places: &[PathBuf], folder: &Path, collector: &mut Collector) -> Result<(), LayoutError> {
    for naming in SPLIT_FILES {
        let files = naming.map(|(name, split)| (text_file(places, name), split));
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
