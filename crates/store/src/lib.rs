//! Bytes by name and range, whether they lie in files or in an object store.
//!
//! A [`Folder`] is a place: a path, or an address (`s3://bucket/prefix`, `gs://…`, `az://…`, `http(s)://…`,
//! `hf://datasets/ORG/NAME`). What lies in it is a [`Blob`], of which ranges are read; Parquet's readers take one as it is.
//! Credentials of object stores are found where their own tools look for them, in the environment. Requests that fail for a
//! reason that may pass are repeated with growing rests, and only so many are under way at once ([`Limits`]).
//!
//! ```
//! # let root = tempfile::tempdir()?;
//! # std::fs::write(root.path().join("photo.jpg"), b"\xFF\xD8\xFF\xE0")?;
//! # let root = root.path().to_str().unwrap();
//! use store::Folder;
//!
//! // Or `s3://bucket/photos`.
//! let folder = Folder::open(root)?;
//! let blob = folder.blob("photo.jpg")?;
//! assert_eq!(blob.range(1, 2)?.as_ref(), b"\xD8\xFF");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariant: nothing here knows what the bytes mean. Nobody calls it from inside of an asynchronous runtime: it waits.

mod address;
mod blob;
mod blocks;
mod entry;
mod error;
mod folder;
mod hub;
mod local;
mod remote;

pub use address::is_address;
pub use blob::{Blob, Reader};
pub use entry::Entry;
pub use error::StoreError;
pub use folder::Folder;
pub use local::stamp_of as stamp;
pub use remote::Limits;
