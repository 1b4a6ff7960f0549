//! The rules that all layouts share.
//!
//! A layout feeds rows in file order; [`Collector::finish`] decides for every image whether it can be used, so the
//! verdict never depends on the order in which a layout reads its files.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use annotations::{Location, text};
use artifacts::Split;

use super::files::{self, Kind};
use super::finder::{Likeness, alike};
use super::places::{NOT_FOUND, Places};
use super::unique::image_ids;
use super::{LayoutError, Note, RawCaption, RawDataset, RawImage, Skip};

/// An image that some row, split file or folder names; its place in [`Collector`].
pub(super) type ImageIndex = usize;

/// Gathers a dataset row by row.
pub(super) struct Collector {
    root: PathBuf,
    images: Vec<Image>,
    by_path: HashMap<PathBuf, ImageIndex>,
    /// By folder, then by name as written.
    by_name: HashMap<PathBuf, HashMap<String, ImageIndex>>,
    places: Places,
    /// Images that were found elsewhere or under another name than written: the first one, and how many.
    moved: Option<(String, PathBuf, usize)>,
    videos: Vec<PathBuf>,
    captions: Vec<(ImageIndex, String)>,
    skipped: Vec<Skip>,
    notes: Vec<Note>,
    sources: Vec<PathBuf>,
    splits_given: bool,
}

struct Image {
    path: PathBuf,
    /// Why there is no file, if so.
    problem: Option<String>,
    /// The name that stands for it, where another name could mean the file as well.
    guessed: Option<String>,
    captions: usize,
    /// Whether a caption was left out because it is empty.
    has_empty: bool,
    split: Option<(Split, Location)>,
}

impl Collector {
    /// A collector of images below `root`, which must be a folder.
    pub(super) fn new(root: &Path) -> Result<Self, LayoutError> {
        std::fs::read_dir(root).map_err(|source| match source.kind() {
            ErrorKind::NotADirectory => LayoutError::NotAFolder { root: root.to_owned() },
            _ => LayoutError::Io { path: root.to_owned(), source },
        })?;
        Ok(Collector {
            root: root.to_owned(),
            images: Vec::new(),
            by_path: HashMap::new(),
            by_name: HashMap::new(),
            places: Places::new(root),
            moved: None,
            videos: Vec::new(),
            captions: Vec::new(),
            skipped: Vec::new(),
            notes: Vec::new(),
            sources: Vec::new(),
            splits_given: false,
        })
    }

    /// Notes a text file that was read.
    pub(super) fn source(&mut self, file: &Path) {
        self.sources.push(file.to_owned());
    }

    /// From now on an image without a split is left out.
    pub(super) fn expect_splits(&mut self) {
        self.splits_given = true;
    }

    /// The image that a row at `at` names, `name` being relative to `folder`, itself below the root.
    pub(super) fn image(
        &mut self,
        at: &Location,
        folder: &Path,
        name: &str,
    ) -> Result<ImageIndex, LayoutError> {
        if name.trim().is_empty() {
            return Err(LayoutError::NoImage { at: at.clone() });
        }
        if let Some(&known) = self.by_name.get(folder).and_then(|names| names.get(name)) {
            return Ok(known);
        }
        let place = self.places.of(at, folder, name)?;
        let moved = place.likeness >= Some(Likeness::Deeper);
        let doubtful = place.likeness >= Some(Likeness::Shorter);
        let index = match self.by_path.get(&place.path) {
            Some(&known) => {
                let first = self.images[known].guessed.as_deref();
                if (doubtful || first.is_some()) && !first.is_some_and(|first| alike(first, name)) {
                    let first = first.map_or_else(|| place.path.display().to_string(), str::to_owned);
                    let second = name.to_owned();
                    return Err(LayoutError::TwoNames { at: at.clone(), first, second, file: place.path });
                }
                known
            }
            None => {
                if moved {
                    let (.., count) =
                        self.moved.get_or_insert_with(|| (name.to_owned(), place.path.clone(), 0));
                    *count += 1;
                }
                self.add(place.path, place.problem, doubtful.then(|| name.to_owned()))
            }
        };
        self.by_name.entry(folder.to_owned()).or_default().insert(name.to_owned(), index);
        Ok(index)
    }

    /// The image at a path below the root, where a folder was found to hold it.
    pub(super) fn found(&mut self, path: PathBuf) -> ImageIndex {
        match self.by_path.get(&path) {
            Some(&known) => known,
            None => self.add(path, None, None),
        }
    }

    fn add(&mut self, path: PathBuf, problem: Option<String>, guessed: Option<String>) -> ImageIndex {
        self.by_path.insert(path.clone(), self.images.len());
        self.images.push(Image { path, problem, guessed, captions: 0, has_empty: false, split: None });
        self.images.len() - 1
    }

    /// Makes all images below `folder` known, so that those are counted which nothing else names; pictures that are not read
    /// are left out and counted.
    pub(super) fn list(&mut self, folder: &Path) -> Result<(), LayoutError> {
        let listed = files::below(&self.root, folder).collect::<Result<Vec<_>, _>>()?;
        for file in listed {
            match files::kind(&self.root.join(&file)) {
                Kind::Image => drop(self.found(file)),
                Kind::Unread(kind) if !self.by_path.contains_key(&file) => self.skip_unread(&file, &kind),
                Kind::Video => self.video(file),
                Kind::Unread(_) | Kind::Captions | Kind::Other => {}
            }
        }
        Ok(())
    }

    /// Notes a video, which is nobody's missing photo.
    pub(super) fn video(&mut self, file: PathBuf) {
        self.videos.push(file);
    }

    /// Counts a picture of a kind that is not read.
    pub(super) fn skip_unread(&mut self, file: &Path, kind: &str) {
        self.skip_file(file, &format!("{kind}, which is not read"));
    }

    /// Says something of what was read that is no fault of a row.
    pub(super) fn note(&mut self, what: String, reason: String) {
        self.notes.push(Note { what, reason });
    }

    /// Adds a caption; an empty one is left out and counted.
    pub(super) fn caption(&mut self, at: &Location, image: ImageIndex, caption: &str) {
        let caption = caption.trim();
        if caption.is_empty() {
            let name = self.images[image].path.display();
            let what = format!("{at} ({name})");
            self.images[image].has_empty = true;
            return self.skip_row(what, "empty caption");
        }
        self.images[image].captions += 1;
        self.captions.push((image, caption.to_owned()));
    }

    /// Counts a caption, or a row that should hold one, that cannot be used.
    pub(super) fn skip_row(&mut self, what: String, reason: &str) {
        self.skipped.push(Skip { what, reason: reason.to_owned(), is_row: true });
    }

    /// Counts a file that is of no use.
    pub(super) fn skip_file(&mut self, file: &Path, reason: &str) {
        let what = file.display().to_string();
        self.skipped.push(Skip { what, reason: reason.to_owned(), is_row: false });
    }

    /// Puts an image into a split; refuses a second, different one.
    pub(super) fn split(
        &mut self,
        at: &Location,
        image: ImageIndex,
        split: Split,
    ) -> Result<(), LayoutError> {
        let image = &mut self.images[image];
        match &image.split {
            Some((first, first_at)) if *first != split => Err(LayoutError::TwoSplits {
                image: image.path.display().to_string(),
                first: *first,
                first_at: first_at.clone(),
                second: split,
                second_at: at.clone(),
            }),
            Some(_) => Ok(()),
            None => {
                image.split = Some((split, at.clone()));
                Ok(())
            }
        }
    }

    /// Reads a split file: one image per line, relative to `folder`.
    pub(super) fn split_file(&mut self, file: &Path, folder: &Path, split: Split) -> Result<(), LayoutError> {
        let text = text::read(file)?;
        for (line, name) in text::lines(&text) {
            let at = Location::new(file, line);
            let image = self.image(&at, folder, name)?;
            self.split(&at, image, split)?;
        }
        self.source(file);
        Ok(())
    }

    /// Leaves out the images that cannot be used, each with its reason, and names the rest.
    pub(super) fn finish(mut self) -> Result<RawDataset, LayoutError> {
        if let Some((name, path, count)) = self.moved.take() {
            let reason = format!(
                "{count} images were found elsewhere or under another name than written; this one as {}",
                path.display()
            );
            self.note(name, reason);
        }
        if let Some(first) = self.videos.first() {
            let reason = match self.videos.len() {
                1 => "a video, which is not read".to_owned(),
                count => format!("the first of {count} videos, which are not read"),
            };
            self.note(first.display().to_string(), reason);
        }
        let mut usable = Vec::new();
        for (index, image) in self.images.iter().enumerate() {
            match image.refusal(self.splits_given) {
                None => usable.push(index),
                // Its empty captions are counted already.
                Some(_) if image.problem.is_none() && image.captions == 0 && image.has_empty => {}
                Some(reason) => {
                    let what = image.path.display().to_string();
                    self.skipped.push(Skip { what, reason, is_row: false });
                }
            }
        }
        if usable.is_empty() {
            // A file that is not there says more than an empty caption before it.
            let missing = self.skipped.iter().find(|skip| skip.reason.starts_with(NOT_FOUND));
            let first = missing.or(self.skipped.first());
            let example = first.map(|skip| format!(", the first {}: {}", skip.what, skip.reason));
            let (root, skipped) = (self.root, self.skipped.len());
            return Err(LayoutError::Empty { root, skipped, example: example.unwrap_or_default() });
        }
        let paths: Vec<&Path> = usable.iter().map(|&index| self.images[index].path.as_path()).collect();
        let ids: HashMap<ImageIndex, String> = usable.iter().copied().zip(image_ids(&paths)?).collect();

        let image = |index: &ImageIndex| RawImage {
            image_id: ids[index].clone(),
            path: self.images[*index].path.clone(),
            split: self.images[*index].split.as_ref().map(|(split, _)| *split),
        };
        let caption = |(index, caption)| Some(RawCaption { image_id: ids.get(&index)?.clone(), caption });
        Ok(RawDataset {
            images: usable.iter().map(image).collect(),
            captions: self.captions.into_iter().filter_map(caption).collect(),
            root: self.root,
            skipped: self.skipped,
            notes: self.notes,
            sources: self.sources,
        })
    }
}

impl Image {
    /// Why this image cannot be used, if so.
    fn refusal(&self, splits_given: bool) -> Option<String> {
        if let Some(problem) = &self.problem {
            let named_by = match (&self.split, self.captions) {
                (Some((_, at)), 0) => format!("named at {at}"),
                (_, 1) => "its caption is left out".to_owned(),
                (_, captions) => format!("its {captions} captions are left out"),
            };
            return Some(format!("{problem}; {named_by}"));
        }
        if self.captions == 0 {
            return Some("no caption".to_owned());
        }
        (splits_given && self.split.is_none()).then(|| "in none of the splits".to_owned())
    }
}
