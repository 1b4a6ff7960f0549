//! Where a set of features lies: in the run's folder, or in a place that many machines share.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use artifacts::features::{FeatureError, FeaturePart, FeatureSet, Stored};
use artifacts::manifest::{self, Manifest, ManifestError};
use artifacts::table::TableError;
use bytes::Bytes;
use stage::Context;
use store::{Blob, Folder, StoreError};

use crate::shared;

/// Most bytes of a manifest: some hundred for each part.
const MOST_MANIFEST: u64 = 1 << 30;

/// The place of a set of features.
#[derive(Clone)]
pub enum FeaturePlace {
    /// A folder of this machine.
    Local(PathBuf),
    /// A folder of `run.store`.
    Shared(Folder),
}

/// A blob as parts are read from.
#[derive(Debug)]
struct SharedPart(Blob);

impl Stored for SharedPart {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn range(&self, offset: u64, length: u64) -> io::Result<Bytes> {
        self.0.range(offset, length).map_err(io::Error::other)
    }
}

/// Where a set of the run's features lies.
///
/// # Errors
/// An address of no store that is known.
pub fn features(context: &Context, set: &str) -> Result<FeaturePlace, StoreError> {
    Ok(match shared(context)? {
        Some(shared) => FeaturePlace::Shared(shared.within(&format!("features/{set}"))?),
        None => FeaturePlace::Local(context.folder.features(set)),
    })
}

impl FeaturePlace {
    /// Its manifest, which says that it is finished.
    ///
    /// # Errors
    /// The set is not finished, or its manifest is damaged.
    pub fn manifest(&self) -> Result<Manifest, ManifestError> {
        let folder = match self {
            FeaturePlace::Local(path) => return Manifest::read(path),
            FeaturePlace::Shared(folder) => folder,
        };
        let path = PathBuf::from(folder.place_of(manifest::FILE_AMONG_PARTS));
        match folder.fetch(manifest::FILE_AMONG_PARTS, MOST_MANIFEST) {
            Ok(bytes) => Manifest::parse(&path, &bytes),
            Err(error) if error.is_not_found() => {
                Err(ManifestError::Missing(PathBuf::from(folder.to_string())))
            }
            Err(error) => Err(ManifestError::Unreadable { path, reason: error.to_string() }),
        }
    }

    /// Opens the finished set, which must be the one called `name`.
    ///
    /// # Errors
    /// The set is not finished, damaged, or another one.
    pub fn open(&self, name: &str) -> Result<FeatureSet, FeatureError> {
        self.open_any()?.named(name)
    }

    /// Opens the finished set, whatever its name.
    ///
    /// # Errors
    /// The set is not finished, or damaged.
    pub fn open_any(&self) -> Result<FeatureSet, FeatureError> {
        match self {
            FeaturePlace::Local(path) => FeatureSet::open(path),
            FeaturePlace::Shared(folder) => {
                let (place, folder) = (PathBuf::from(folder.to_string()), folder.clone());
                FeatureSet::of(&place, &self.manifest()?, move |file| shared_part(&folder, file))
            }
        }
    }
}

/// Opens a part in a shared folder.
///
/// # Errors
/// It is not there, or damaged.
pub fn shared_part(folder: &Folder, file: &str) -> Result<FeaturePart, TableError> {
    let path = PathBuf::from(folder.place_of(file));
    let blob = folder.blob(file);
    let blob =
        blob.map_err(|error| TableError::Io { path: path.clone(), source: io::Error::other(error) })?;
    FeaturePart::open_stored(&path, Arc::new(SharedPart(blob)))
}

impl fmt::Display for FeaturePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeaturePlace::Local(path) => Path::display(path).fmt(f),
            FeaturePlace::Shared(folder) => folder.fmt(f),
        }
    }
}
