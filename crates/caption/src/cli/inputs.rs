//! What is to be captioned, in the order in which it was named.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use imaging::FileError;

use super::folder::{Entry, LeftOut, entries};
use super::input::Input;

/// What was found, what was named but is not there, with the reason, and what folders hold beside photos and videos.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) found: Vec<Input>,
    pub(crate) missing: Vec<(PathBuf, String)>,
    pub(crate) left_out: LeftOut,
}

impl Inputs {
    /// Files, the photos and videos of folders in the order of their names, patterns, and `-`.
    pub(crate) fn find(names: &[OsString], recursive: bool) -> Inputs {
        let mut inputs = Inputs::default();
        for name in names {
            inputs.add(Path::new(name), recursive);
        }
        inputs
    }

    fn add(&mut self, name: &Path, recursive: bool) {
        if name == Path::new("-") {
            self.found.push(Input::Stdin);
        } else if name.exists() {
            self.add_path(name, recursive);
        } else if let Some(pattern) = name.to_str().filter(|name| name.contains(['*', '?', '['])) {
            self.add_pattern(pattern, recursive);
        } else {
            self.missing.push((name.to_owned(), "there is no such file or folder".to_owned()));
        }
    }

    fn add_pattern(&mut self, pattern: &str, recursive: bool) {
        let before = self.found.len() + self.missing.len();
        match glob::glob(pattern) {
            Err(error) => self.missing.push((pattern.into(), format!("is no pattern: {error}"))),
            Ok(paths) => {
                for path in paths {
                    match path {
                        Ok(path) => self.add_path(&path, recursive),
                        Err(error) => self.missing.push((pattern.into(), error.to_string())),
                    }
                }
                if self.found.len() + self.missing.len() == before {
                    self.missing.push((pattern.into(), "no file matches".to_owned()));
                }
            }
        }
    }

    fn add_path(&mut self, path: &Path, recursive: bool) {
        if path.is_dir() {
            self.add_folder(path, recursive);
        } else {
            // What is no ordinary file is refused when it is read as a photo.
            match imaging::content(path) {
                Err(FileError::Kind(_)) => self.found.push(Input::Photo(path.to_owned())),
                content => self.found.push(Input::of(path.to_owned(), content.ok())),
            }
        }
    }

    fn add_folder(&mut self, folder: &Path, recursive: bool) {
        let before = self.found.len() + self.missing.len();
        for entry in entries(folder, recursive) {
            match entry {
                Entry::Input(input) => self.found.push(input),
                Entry::Other(kind) => self.left_out.add(&kind),
                Entry::Failed(path, reason) => self.missing.push((path, reason)),
            }
        }
        if self.found.len() + self.missing.len() == before {
            let deeper = if recursive { "" } else { " (--recursive looks into folders below)" };
            self.missing.push((folder.to_owned(), format!("holds no photo or video{deeper}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_keep_the_order_of_the_command_line_and_folders_that_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("album/deep")).unwrap();
        for name in ["b.JPG", "a", "deep/c.pjpeg"] {
            std::fs::write(path("album").join(name), b"\xff\xd8\xff\xe0").unwrap();
        }
        for name in ["clip", "film.ts"] {
            let mut stream = vec![0; 400];
            (stream[0], stream[188]) = (0x47, 0x47);
            std::fs::write(path("album").join(name), stream).unwrap();
        }
        for (name, content) in [
            ("notes.TXT", &b"no photo"[..]),
            ("script.ts", b"let ten = 10;"),
            ("pages.zip", b"PK\x03\x04"),
            ("gone.jpg", b"<html>404</html>"),
            ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0"),
            ("empty.mov", b""),
            (".hidden.jpg", b"\xff\xd8\xff"),
            (".DS_Store", b"\0\0\0\x01Bud1"),
            ("Thumbs.db", b"\xd0\xcf\x11\xe0"),
            ("._b.JPG", b"\0\x05\x16\x07"),
        ] {
            std::fs::write(path("album").join(name), content).unwrap();
        }
        let name = |name: &str| path(name).into_os_string();
        let find = |names: &[OsString], recursive| {
            let inputs = Inputs::find(names, recursive);
            let named = |input: &Input| {
                let name = input.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
                if matches!(input, Input::Video(_)) { format!("{name} (video)") } else { name }
            };
            (inputs.found.iter().map(named).collect::<Vec<_>>(), inputs)
        };
        let (found, inputs) = find(&[name("album"), name("album/notes.TXT"), "-".into()], false);
        let album =
            ["a", "b.JPG", "clip (video)", "empty.mov (video)", "film.ts (video)", "gone.jpg", "phone.heic"];
        assert_eq!(found, [&album[..], &["notes.TXT", "-"]].concat());
        assert!(inputs.missing.is_empty());
        assert_eq!(inputs.left_out.to_string(), "1 ZIP archive, 1 hidden file, 2 texts");
        assert_eq!(find(&[name("album")], true).0, [&album[..3], &["c.pjpeg"], &album[3..]].concat());
        assert_eq!(find(&[name("album/*.TXT"), name("album/deep/*")], false).0, ["notes.TXT", "c.pjpeg"]);
        let (found, Inputs { missing, .. }) = find(&[name("no.jpg"), name("*.gif")], false);
        assert!(found.is_empty());
        assert!(missing[0].1.contains("no such file") && missing[1].1.contains("no file matches"));
        std::fs::create_dir(path("empty")).unwrap();
        assert!(find(&[name("empty")], false).1.missing[0].1.contains("--recursive"));
    }
}
