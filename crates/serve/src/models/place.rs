//! Where models lie: which file is the one to serve now, under which name.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use caption::DefaultModel;

use super::ModelError;

/// The file of a version, and of a checkpoint of `train`.
pub(crate) const FILE: &str = "model.safetensors";
/// Names that the addresses of some protocol keep for themselves, where a model's would stand.
pub(crate) const KEPT: [&str; 1] = ["stats"];

/// A model's name, and where its file is looked for.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    source: Source,
}

/// Where the file of a model comes from.
#[derive(Debug, PartialEq)]
enum Source {
    /// One file, which may be replaced.
    File(PathBuf),
    /// `<folder>/<version>/model.safetensors`.
    Versions(PathBuf),
    /// What [`caption::default_model`] chooses.
    Default,
}

/// A file as it was found: when any of this changes, it is another model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Said by its folder.
    pub(super) version: Option<u64>,
    /// Why this one, for the log.
    pub(super) why: &'static str,
    pub(super) modified: SystemTime,
    pub(super) bytes: u64,
}

impl Place {
    /// The models that the values of `--model` name: `NAME=PATH`, or a path, whose model takes `name`; a folder may hold
    /// several, each under a name of its own. Without values it is the newest model that there is.
    ///
    /// # Errors
    ///
    /// A folder without models, a name that no address can hold.
    pub(crate) fn all(values: &[impl AsRef<OsStr>], name: &str) -> Result<Vec<Place>, ModelError> {
        let mut places = Vec::new();
        for value in values {
            match named(value.as_ref()) {
                (Some(name), path) => {
                    let source = Source::of(path).ok_or_else(|| none(path))?;
                    places.push(Place { name: name.to_owned(), source });
                }
                (None, path) => match Source::of(path) {
                    Some(source) => places.push(Place { name: name.to_owned(), source }),
                    None => places.extend(inside(path)?),
                },
            }
        }
        if values.is_empty() {
            places.push(Place { name: name.to_owned(), source: Source::Default });
        }
        places.iter().try_for_each(|place| check(&place.name))?;
        Ok(places)
    }

    /// The file to serve now.
    pub(super) fn find(&self) -> Result<Found, ModelError> {
        match &self.source {
            Source::File(path) => found(path.clone(), None, "named"),
            Source::Default => {
                let DefaultModel { path, why } = caption::default_model(Path::new(""))?;
                found(path, None, why)
            }
            Source::Versions(folder) => {
                let (version, path) = versions(folder)?.into_iter().max().ok_or_else(|| none(folder))?;
                found(path, Some(version), "the highest version")
            }
        }
    }
}

impl Source {
    /// That of one model, unless a folder holds none of its own.
    fn of(path: &Path) -> Option<Source> {
        if !path.is_dir() {
            return Some(Source::File(path.to_owned()));
        }
        let file = path.join(FILE);
        if file.is_file() {
            return Some(Source::File(file));
        }
        let versions = versions(path).is_ok_and(|versions| !versions.is_empty());
        versions.then(|| Source::Versions(path.to_owned()))
    }
}

/// `NAME=PATH` in its parts. A path may hold the sign too: then it is there, or its beginning is no name.
fn named(value: &OsStr) -> (Option<&str>, &Path) {
    let whole = (None, Path::new(value));
    let Some(text) = value.to_str() else { return whole };
    match text.split_once('=') {
        Some((name, path)) if !path.is_empty() && is_plain(name) && !whole.1.exists() => {
            (Some(name), Path::new(path))
        }
        _ => whole,
    }
}

/// The models of a folder: `<name>/<version>/model.safetensors`, `<name>/model.safetensors`, `<name>.safetensors`.
fn inside(folder: &Path) -> Result<Vec<Place>, ModelError> {
    let read = |source| ModelError::Read { path: folder.to_owned(), source };
    let mut places = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let is_file = path.extension() == Some(OsStr::new("safetensors"));
        let name = if path.is_dir() { path.file_name() } else { path.file_stem().filter(|_| is_file) };
        if let (Some(name), Some(source)) = (name.and_then(OsStr::to_str), Source::of(&path)) {
            places.push(Place { name: name.to_owned(), source });
        }
    }
    places.sort_by(|a, b| a.name.cmp(&b.name));
    if places.is_empty() { Err(none(folder)) } else { Ok(places) }
}

fn versions(folder: &Path) -> Result<Vec<(u64, PathBuf)>, ModelError> {
    let read = |source| ModelError::Read { path: folder.to_owned(), source };
    let entries = std::fs::read_dir(folder).map_err(read)?.flatten();
    let versions = entries.filter_map(|entry| {
        let version: u64 = entry.file_name().to_str()?.parse().ok()?;
        let path = entry.path().join(FILE);
        path.is_file().then_some((version, path))
    });
    Ok(versions.collect())
}

fn none(folder: &Path) -> ModelError {
    ModelError::None { folder: folder.to_owned() }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "._-+".contains(c))
}

/// Refuses a name that addresses, or the names of versions behind a colon, could not hold.
fn check(name: &str) -> Result<(), ModelError> {
    let reason = if KEPT.contains(&name) {
        "an address keeps it for itself"
    } else if !is_plain(name) {
        "letters, digits and . _ - + are"
    } else {
        return Ok(());
    };
    Err(ModelError::Name { name: name.to_owned(), reason })
}

fn found(path: PathBuf, version: Option<u64>, why: &'static str) -> Result<Found, ModelError> {
    let read = |source| ModelError::Read { path: path.clone(), source };
    let metadata = std::fs::metadata(&path).map_err(read)?;
    let modified = metadata.modified().map_err(read)?;
    Ok(Found { version, why, modified, bytes: metadata.len(), path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(folder: &Path, values: &[&str]) -> Result<Vec<(String, String)>, String> {
        let values: Vec<PathBuf> = values
            .iter()
            .map(|value| match value.split_once('=') {
                Some((name, path)) => format!("{name}={}", folder.join(path).display()).into(),
                None => folder.join(value),
            })
            .collect();
        let places = Place::all(&values, "caption").map_err(|error| error.to_string())?;
        let found = places.into_iter().map(|place| {
            let path = place.find().map_err(|error| error.to_string())?.path;
            Ok((place.name, path.strip_prefix(folder).unwrap().display().to_string()))
        });
        found.collect()
    }

    #[test]
    fn models_are_found_by_how_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        for file in [
            "one.safetensors",
            "versions/3/model.safetensors",
            "versions/12/model.safetensors",
            "versions/notes/model.txt",
            "plain/model.safetensors",
            "several/b/1/model.safetensors",
            "several/a/model.safetensors",
            "several/c.safetensors",
            "several/readme.md",
            "empty/readme.md",
            "a=b/model.safetensors",
        ] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let wanted = |pairs: &[(&str, &str)]| -> Result<Vec<(String, String)>, String> {
            Ok(pairs.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect())
        };
        let all = |values: &[&str]| places(folder.path(), values);
        assert_eq!(all(&["one.safetensors"]), wanted(&[("caption", "one.safetensors")]));
        assert_eq!(all(&["versions"]), wanted(&[("caption", "versions/12/model.safetensors")]));
        assert_eq!(
            all(&["big=versions", "small=plain", "one.safetensors"]),
            wanted(&[
                ("big", "versions/12/model.safetensors"),
                ("small", "plain/model.safetensors"),
                ("caption", "one.safetensors"),
            ])
        );
        assert_eq!(
            all(&["several"]),
            wanted(&[
                ("a", "several/a/model.safetensors"),
                ("b", "several/b/1/model.safetensors"),
                ("c", "several/c.safetensors"),
            ])
        );
        let path = folder.path().join("a=b");
        assert_eq!(Place::all(&[path], "caption").unwrap()[0].name, "caption");
        assert!(all(&["empty"]).unwrap_err().contains("holds no model"));
        assert!(all(&["x=several"]).unwrap_err().contains("holds no model"));
        assert!(all(&["x=none.safetensors"]).unwrap_err().contains("cannot read"));
    }

    #[test]
    fn a_name_fits_into_addresses() {
        for name in ["caption", "efficientnet_lite0-lstm+up_down", "v1.5", "größer"] {
            check(name).unwrap();
        }
        for name in ["", "a b", "a/b", "a:b", "a?b", "stats"] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
