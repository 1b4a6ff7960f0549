//! A folder of images, each with its captions in a text file beside it.
//!
//! ```text
//! root/
//!   beach.jpg   beach.txt           one caption per line
//!   2024/cat.png   2024/cat.txt
//!   dog.jpg   dog.jpg.txt           as `caption --sidecar` writes it
//!   bird.jpg   bird.caption
//! ```
//!
//! Folders inside are read too; names that begin with a dot are not, nor what systems leave. Where the root has folders of
//! train and val, they and that of test are the splits, and an image outside them is left out; otherwise no image has a
//! split. A picture that is not read is left out and counted; of videos it is said how many there are.

use std::path::{Path, PathBuf};

use annotations::{Location, text};
use artifacts::Split;

use super::beside::{self, Pairs};
use super::collect::Collector;
use super::files::{self, Kind};
use super::{LayoutError, RawDataset, split_name};

/// Reads the images below `root`, in the order of their paths.
///
/// # Errors
/// A folder or text file that cannot be read, text that is not UTF-8, and two images with one text file.
pub fn read(root: &Path) -> Result<RawDataset, LayoutError> {
    let mut collector = Collector::new(root)?;
    let named = split_name::folders(root)?;
    let splits_given = [Split::Train, Split::Val].iter().all(|split| named.iter().any(|(_, of)| of == split));
    if splits_given {
        collector.expect_splits();
    }
    let (images, texts) = list(root, &mut collector)?;
    let Pairs { captions, left } = beside::pair(&images, texts)?;
    for (image, captions) in images.into_iter().zip(captions) {
        let split = split_of(&image).filter(|_| splits_given);
        let at = Location::new(&root.join(&image), 1);
        let index = collector.found(image);
        if let Some(split) = split {
            collector.split(&at, index, split)?;
        }
        if let Some(captions) = captions {
            let file = root.join(captions);
            for (line, caption) in text::lines(&text::read(&file)?) {
                collector.caption(&Location::new(&file, line), index, caption);
            }
            collector.source(&file);
        }
    }
    for captions in left {
        collector.skip_file(&captions, "no image of that name beside it, or one that has other captions");
    }
    collector.finish()
}

/// The images below the root, in order, and the files of captions.
fn list(root: &Path, collector: &mut Collector) -> Result<(Vec<PathBuf>, Vec<PathBuf>), LayoutError> {
    let (mut images, mut texts) = (Vec::new(), Vec::new());
    for path in files::below(root, Path::new("")) {
        let path = path?;
        match files::kind(&root.join(&path)) {
            Kind::Image => images.push(path),
            Kind::Captions => texts.push(path),
            Kind::Unread(kind) => collector.skip_unread(&path, &kind),
            Kind::Video => collector.video(path),
            Kind::Other => {}
        }
    }
    Ok((images, texts))
}

/// The split whose folder an image lies in.
fn split_of(image: &Path) -> Option<Split> {
    split_name::of(image.parent()?.components().next()?.as_os_str().to_str()?)
}
