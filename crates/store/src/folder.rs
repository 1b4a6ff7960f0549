//! A place that holds bytes under names.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;

use crate::address;
use crate::remote::{Limits, Remote};
use crate::{Blob, Entry, StoreError, hub, local};

/// A folder of this machine, or a prefix in an object store. Cheap to clone.
#[derive(Clone)]
pub struct Folder(Place);

#[derive(Clone)]
enum Place {
    Local(PathBuf),
    Remote(Remote),
}

impl Folder {
    /// The folder at a path or an address. Nothing is read yet, but for `hf://`, whose files are asked for.
    ///
    /// # Errors
    /// An address that names no store that is known, or a store that lacks its settings.
    pub fn open(place: &str) -> Result<Folder, StoreError> {
        Folder::open_within(place, Limits::default())
    }

    /// The same with other limits of requests.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_within(place: &str, limits: Limits) -> Result<Folder, StoreError> {
        if !address::is_address(place) {
            return Ok(Folder(Place::Local(PathBuf::from(place))));
        }
        let url = address::parse(place)?;
        let remote = match url.scheme() {
            "file" => {
                let path = url.to_file_path().map_err(|()| StoreError::Address {
                    at: place.to_owned(),
                    reason: "it names another machine's file".to_owned(),
                })?;
                return Ok(Folder(Place::Local(path)));
            }
            "hf" => hub::open(&url, limits)?,
            _ => Remote::open(&url, limits)?,
        };
        Ok(Folder(Place::Remote(remote)))
    }

    /// The folder at a path of this machine, whatever its name looks like.
    pub fn local(path: impl Into<PathBuf>) -> Folder {
        Folder(Place::Local(path.into()))
    }

    /// Its path, where it is one of this machine.
    pub fn path(&self) -> Option<&std::path::Path> {
        match &self.0 {
            Place::Local(path) => Some(path),
            Place::Remote(_) => None,
        }
    }

    /// Whether what is read has a way to go: then many requests side by side are as fast as one.
    pub fn is_remote(&self) -> bool {
        matches!(self.0, Place::Remote(_))
    }

    /// Opens what lies under `name`.
    ///
    /// # Errors
    /// Nothing is there, it is no ordinary file, or the store refuses or fails.
    pub fn blob(&self, name: &str) -> Result<Blob, StoreError> {
        match &self.0 {
            Place::Local(path) => {
                let path = path.join(name);
                Ok(Blob::of_file(path.display().to_string(), local::open(&path)?))
            }
            Place::Remote(remote) => Ok(Blob::of_object(remote.place_of(name), remote.object(name)?)),
        }
    }

    /// All bytes under `name`, of a store in one request.
    ///
    /// # Errors
    /// Those of [`blob`](Self::blob), and more than `most` bytes, which are not read then.
    pub fn fetch(&self, name: &str, most: u64) -> Result<Bytes, StoreError> {
        match &self.0 {
            Place::Local(_) => {
                let blob = self.blob(name)?;
                let (at, size) = (blob.at().to_owned(), blob.size());
                if size > most { Err(StoreError::TooLarge { at, size, most }) } else { blob.range(0, size) }
            }
            Place::Remote(remote) => remote.fetch(name, most),
        }
    }

    /// The folder `name` in this one.
    ///
    /// # Errors
    /// A name that no store allows.
    pub fn within(&self, name: &str) -> Result<Folder, StoreError> {
        Ok(Folder(match &self.0 {
            Place::Local(path) => Place::Local(path.join(name)),
            Place::Remote(remote) => Place::Remote(remote.within(name)?),
        }))
    }

    /// Writes `bytes` under `name`, in a store as a whole or not at all: a name that can be read has all its bytes.
    ///
    /// # Errors
    /// The system or the store refuses.
    pub fn write(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        match &self.0 {
            Place::Local(path) => local::write(&path.join(name), &bytes),
            Place::Remote(remote) => remote.write(name, bytes),
        }
    }

    /// Removes what lies under `name`, if something does.
    ///
    /// # Errors
    /// The system or the store refuses.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        match &self.0 {
            Place::Local(path) => local::remove(&path.join(name)),
            Place::Remote(remote) => remote.remove(name),
        }
    }

    /// All that lies below it, in the order of names; hidden files are passed over.
    ///
    /// # Errors
    /// The folder is not there, or the store does not list.
    pub fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = match &self.0 {
            Place::Local(path) => local::list(path)?,
            Place::Remote(remote) => remote.list()?,
        };
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// The place of a name, for people.
    pub fn place_of(&self, name: &str) -> String {
        match &self.0 {
            Place::Local(path) => path.join(name).display().to_string(),
            Place::Remote(remote) => remote.place_of(name),
        }
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Local(path) => path.display().fmt(f),
            Place::Remote(remote) => f.write_str(remote.address()),
        }
    }
}
