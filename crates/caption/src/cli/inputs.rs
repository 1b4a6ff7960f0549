//! What is to be captioned, in the order in which it was named.

use std::path::{Path, PathBuf};

use caption::video::is_video;
use imaging::FileError;
use walkdir::WalkDir;

/// Names that photos have in folders; a file that is named itself may be called anything.
const PHOTOS: [&str; 9] = ["jpg", "jpeg", "jpe", "png", "webp", "gif", "tif", "tiff", "bmp"];

/// One thing to caption.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    Stdin,
    Photo(PathBuf),
    Video(PathBuf),
}

impl Input {
    pub(crate) fn name(&self) -> String {
        match self {
            Input::Stdin => "-".to_owned(),
            Input::Photo(path) | Input::Video(path) => path.display().to_string(),
        }
    }

    /// The bytes of a photo.
    pub(crate) fn read(&self) -> Result<Vec<u8>, FileError> {
        match self {
            Input::Stdin => imaging::read(std::io::stdin()),
            Input::Photo(path) | Input::Video(path) => imaging::read_file(path),
        }
    }
}

/// What was found, and what was named but is not there, with the reason.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) found: Vec<Input>,
    pub(crate) missing: Vec<(String, String)>,
}

impl Inputs {
    /// Files, the photos and videos of folders in the order of their names, patterns, and `-`.
    pub(crate) fn find(names: &[String], recursive: bool) -> Inputs {
        let mut inputs = Inputs::default();
        for name in names {
            inputs.add(name, recursive);
        }
        inputs
    }

    fn add(&mut self, name: &str, recursive: bool) {
        let path = Path::new(name);
        if name == "-" {
            self.found.push(Input::Stdin);
        } else if path.exists() {
            self.add_path(path, recursive);
        } else if name.contains(['*', '?', '[']) {
            self.add_pattern(name, recursive);
        } else {
            self.missing.push((name.to_owned(), "there is no such file or folder".to_owned()));
        }
    }

    fn add_pattern(&mut self, pattern: &str, recursive: bool) {
        let before = self.found.len() + self.missing.len();
        match glob::glob(pattern) {
            Err(error) => self.missing.push((pattern.to_owned(), format!("is no pattern: {error}"))),
            Ok(paths) => {
                for path in paths {
                    match path {
                        Ok(path) => self.add_path(&path, recursive),
                        Err(error) => self.missing.push((pattern.to_owned(), error.to_string())),
                    }
                }
                if self.found.len() + self.missing.len() == before {
                    self.missing.push((pattern.to_owned(), "no file matches".to_owned()));
                }
            }
        }
    }

    fn add_path(&mut self, path: &Path, recursive: bool) {
        if path.is_dir() {
            self.add_folder(path, recursive);
        } else if is_video(path) && !path.is_file() {
            self.missing.push((path.display().to_string(), "is not a file".to_owned()));
        } else if is_video(path) {
            self.found.push(Input::Video(path.to_owned()));
        } else {
            self.found.push(Input::Photo(path.to_owned()));
        }
    }

    fn add_folder(&mut self, folder: &Path, recursive: bool) {
        let before = self.found.len() + self.missing.len();
        let depth = if recursive { usize::MAX } else { 1 };
        let walk = WalkDir::new(folder).max_depth(depth).follow_links(true).sort_by_file_name();
        let hidden = |entry: &walkdir::DirEntry| {
            entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.')
        };
        for entry in walk.into_iter().filter_entry(|entry| !hidden(entry)) {
            match entry {
                Err(error) => self.missing.push((folder.display().to_string(), error.to_string())),
                Ok(entry) if !entry.file_type().is_file() => {}
                Ok(entry) if is_video(entry.path()) => self.found.push(Input::Video(entry.into_path())),
                Ok(entry) if is_photo(entry.path()) => self.found.push(Input::Photo(entry.into_path())),
                Ok(_) => {}
            }
        }
        if self.found.len() + self.missing.len() == before {
            let deeper = if recursive { "" } else { " (--recursive looks into folders below)" };
            let reason = format!("holds no photo or video{deeper}");
            self.missing.push((folder.display().to_string(), reason));
        }
    }
}

fn is_photo(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| PHOTOS.contains(&extension.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_keep_the_order_of_the_command_line_and_folders_that_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("album/deep")).unwrap();
        for name in ["b.JPG", "a.png", "notes.txt", "clip.mp4", ".hidden.jpg", "deep/c.webp"] {
            std::fs::write(path("album").join(name), "").unwrap();
        }
        std::fs::write(path("unnamed"), "").unwrap();
        let text = |name: &str| path(name).display().to_string();
        let find = |names: &[String], recursive| {
            let inputs = Inputs::find(names, recursive);
            let names = inputs.found.iter().map(|input| {
                let name = input.name();
                name.rsplit('/').next().unwrap().to_owned()
            });
            (names.collect::<Vec<_>>(), inputs.missing)
        };
        let (found, missing) = find(&[text("unnamed"), text("album"), "-".to_owned()], false);
        assert_eq!(found, ["unnamed", "a.png", "b.JPG", "clip.mp4", "-"]);
        assert!(missing.is_empty());
        assert_eq!(find(&[text("album")], true).0, ["a.png", "b.JPG", "clip.mp4", "c.webp"]);
        assert_eq!(find(&[text("album/*.txt"), text("album/deep/*")], false).0, ["notes.txt", "c.webp"]);
        let (found, missing) = find(&[text("no.jpg"), text("*.gif")], false);
        assert!(found.is_empty());
        assert!(missing[0].1.contains("no such file") && missing[1].1.contains("no file matches"));
        std::fs::create_dir(path("empty")).unwrap();
        assert!(find(&[text("empty")], false).1[0].1.contains("--recursive"));
    }
}
