//! What lies beside photos and videos: texts, subtitles, and the sidecars of photo libraries.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use artifacts::recipe::digest_file;
use caption::Keyword;
use caption::video::{CaptionedShot, is_video};
use xmp::{Contents, MAX_BYTES, Said, Source};

use super::input::Input;

/// A name with something after it: `photo.jpg` → `photo.jpg.txt`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Where players look for a video's subtitles: `clip.mp4` → `clip.srt`; where another video beside it has that stem too,
/// `clip.mp4.srt`, or one would take the other's place.
pub(crate) fn subtitle_file(path: &Path, extension: &str) -> PathBuf {
    let video =
        |other: &PathBuf| is_video(other) || matches!(imaging::content(other), Ok(imaging::Content::Video));
    match namesakes(path).any(|other| video(&other)) {
        true => beside(path, &format!(".{extension}")),
        false => path.with_extension(extension),
    }
}

/// Where a photo library keeps what it knows of a file: `photo.jpg.xmp`. Some programs name it `photo.xmp`: where that is there
/// alone and no other file has its stem, it is the photo's, and another beside it would hide what it holds.
pub(crate) fn library_file(path: &Path) -> PathBuf {
    let (own, short) = (beside(path, ".xmp"), path.with_extension("xmp"));
    let is_short = !own.exists() && short.is_file() && namesakes(path).all(|other| other == short);
    if is_short { short } else { own }
}

/// The files beside one that have its stem.
fn namesakes(path: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
    let files = fs::read_dir(listed).into_iter().flatten().flatten();
    let files = files.map(move |file| folder.join(file.file_name()));
    files.filter(|other| other.file_stem() == path.file_stem() && other.file_name() != path.file_name())
}

/// What is told of a whole video: the captions of its shots, each once, in their order.
pub(crate) fn description(shots: &[CaptionedShot]) -> String {
    let mut lines: Vec<&str> = vec![];
    for shot in shots {
        let caption = shot.best().caption.as_str();
        if !lines.contains(&caption) {
            lines.push(caption);
        }
    }
    lines.join("\n")
}

/// The sidecars that photo libraries read, and what of a run decides what stands in them.
pub(crate) struct Library {
    /// Hash of the model's file.
    pub(crate) model: String,
    pub(crate) settings: String,
    /// Whether photos get keywords.
    pub(crate) keywords: bool,
    pub(crate) overwrite: bool,
}

impl Library {
    /// Whether a file's sidecar would stay as it is: its caption is of this file, this model and these settings, or people wrote
    /// all that there is to write.
    pub(crate) fn has(&self, input: &Input) -> bool {
        let (Input::Photo(path) | Input::Video(path)) = input else { return false };
        // What is wrong with it is said when it is to be written.
        let Ok(Some(bytes)) = read(&library_file(path)) else { return false };
        let Ok(contents) = Contents::read(&bytes) else { return false };
        if !contents.has_room(self.keywords && matches!(input, Input::Photo(_))) {
            return true;
        }
        let same = |source: &Source| source.model == self.model && source.settings == self.settings;
        let captioned = contents.source.filter(same);
        captioned.is_some_and(|source| digest_file(path).is_ok_and(|photo| photo == source.photo))
    }

    /// What is to be remembered of a file with this hash.
    fn source(&self, photo: String) -> Source {
        Source { photo, model: self.model.clone(), settings: self.settings.clone() }
    }

    /// Writes a caption into a sidecar, unless it says so already.
    ///
    /// `photo` is the hash of the file that was captioned.
    pub(crate) fn write(
        &self,
        sidecar: &Path,
        photo: String,
        caption: &str,
        keywords: &[Keyword],
    ) -> anyhow::Result<()> {
        let old = read(sidecar)?;
        let keywords = keywords.iter().map(|found| found.word.clone()).collect();
        let said = Said { caption: caption.to_owned(), keywords, source: self.source(photo) };
        let new = xmp::merged(old.as_deref(), &said, self.overwrite)?;
        if old.as_ref() == Some(&new) {
            return Ok(());
        }
        // A link stays one, and whoever could read the file still can.
        let place = fs::canonicalize(sidecar).unwrap_or_else(|_| sidecar.to_owned());
        let permissions = fs::metadata(&place).map(|metadata| metadata.permissions()).ok();
        anyhow::ensure!(
            !permissions.as_ref().is_some_and(fs::Permissions::readonly),
            "may not be written to"
        );
        artifacts::atomic::write(&place, |file| file.write_all(&new))?;
        permissions.map_or(Ok(()), |permissions| fs::set_permissions(&place, permissions))?;
        Ok(())
    }
}

/// The bytes of a sidecar, if it is there; of one that is too large, as many as show that it is.
fn read(sidecar: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(sidecar) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_file() => return Err(io::Error::other("is no file")),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    File::open(sidecar)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_a_photos_own_where_it_can_be_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let file = |name: &str| fs::write(path(name), "").unwrap();
        let name = || library_file(&path("photo.jpg")).file_name().unwrap().to_str().unwrap().to_owned();
        file("photo.jpg");
        file("photo2.jpg");
        assert_eq!(name(), "photo.jpg.xmp");
        file("photo.xmp");
        assert_eq!(name(), "photo.xmp");
        file("photo.cr2");
        assert_eq!(name(), "photo.jpg.xmp", "that of the raw photo");
        fs::remove_file(path("photo.cr2")).unwrap();
        file("photo.jpg.xmp");
        assert_eq!(name(), "photo.jpg.xmp");
    }
}
