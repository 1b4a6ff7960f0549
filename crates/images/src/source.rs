//! Locators to bytes.

use std::sync::Arc;

use artifacts::images::ImageRow;
use artifacts::recipe::digest;
use artifacts::{Locator, Within};
use bytes::Bytes;
use imaging::{FileError, MAX_FILE_BYTES};
use store::{Blob, Folder};

use crate::SourceError;
use crate::recent::Recent;
use crate::rows::ImageRows;

/// Gives the bytes of a dataset's images. Threads share it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # std::fs::write(folder.path().join("shard.tar"), b"........\x89PNG\r\n\x1a\n.......")?;
/// # let root = folder.path().to_str().unwrap();
/// use artifacts::{Locator, Within};
/// use images::ImageSource;
///
/// // A folder, or an address such as `s3://bucket/photos`.
/// let source = ImageSource::open(root)?;
/// let within = Within::Bytes { offset: 8, length: 8 };
/// let photo = source.bytes(&Locator { path: "shard.tar".to_owned(), within })?;
/// assert_eq!(photo.as_ref(), b"\x89PNG\r\n\x1a\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ImageSource {
    folder: Folder,
    /// The last used stands last.
    archives: Recent<Blob>,
    tables: Recent<Arc<ImageRows>>,
}

impl ImageSource {
    /// The source of the images below `root`, a path or an address.
    ///
    /// # Errors
    /// An address of no store that is known.
    pub fn open(root: &str) -> Result<ImageSource, SourceError> {
        Ok(ImageSource::of(Folder::open(root)?))
    }

    /// The same for a folder that is open already.
    pub fn of(folder: Folder) -> ImageSource {
        ImageSource { folder, archives: Recent::default(), tables: Recent::default() }
    }

    /// Where locators start from.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The bytes of the image at `locator`. Of a file of this machine that is no image only the first are read.
    ///
    /// # Errors
    /// Nothing is there, or no image, or one larger than [`MAX_FILE_BYTES`]; the system or the store fails.
    pub fn bytes(&self, locator: &Locator) -> Result<Bytes, SourceError> {
        Ok(match (locator.within, self.folder.path()) {
            (Within::Whole, Some(folder)) => imaging::read_file(&folder.join(&locator.path))?.into(),
            (Within::Whole, None) => self.folder.fetch(&locator.path, MAX_FILE_BYTES)?,
            (Within::Bytes { offset, length }, _) => {
                let blob = self.archives.get(&locator.path, || self.folder.blob(&locator.path))?;
                if length > MAX_FILE_BYTES {
                    return Err(FileError::TooLarge.into());
                }
                blob.range(offset, length)?
            }
            (Within::Row(row), _) => {
                let open =
                    || Ok::<_, SourceError>(Arc::new(ImageRows::open(self.folder.blob(&locator.path)?)?));
                self.tables.get(&locator.path, open)?.bytes(row)?
            }
        })
    }

    /// The bytes of an image of a dataset, which are still those that the dataset stage saw.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes), and when the image is another one now.
    pub fn image(&self, row: &ImageRow) -> Result<Bytes, SourceError> {
        let bytes = self.bytes(&row.locator())?;
        if digest(&bytes) == row.content_hash { Ok(bytes) } else { Err(SourceError::Changed) }
    }
}
