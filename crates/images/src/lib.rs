//! The bytes of images, wherever they lie.
//!
//! An [`ImageSource`] gives the bytes of a [`Locator`](artifacts::Locator): of a file, of a member of a tar archive, which is never unpacked,
//! or of a row of a Parquet file; each of them on this machine or in an object store. [`archive`] and [`columns`] list what such
//! files hold, so that locators can be made.
//!
//! Invariant: nothing here decodes a picture, and nobody else opens one of a dataset.

pub mod archive;
pub mod columns;
mod error;
mod recent;
mod rows;
mod source;

pub use error::SourceError;
pub use source::ImageSource;
