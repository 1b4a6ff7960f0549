//! What many machines share of a run: its features, and the dataset's tables that they are made from.
//!
//! Where `run.store` names a place, such as `s3://bucket/runs`, workers on any machine read the dataset's tables from there and write
//! features to it, and need nothing else in common. Stores rename nothing and lock nothing, so neither is needed: an object is written
//! with one request, or in pieces that count when the last is confirmed; a part is announced by a receipt that is written after it; two
//! workers that make the same part write the same bytes; and the manifest, written last, is what declares a set finished.
//!
//! Invariant: what is local and what is shared is decided here, and nobody else asks.

mod dataset;
mod features;

pub use dataset::{fetch_dataset, publish_dataset};
pub use features::{FeaturePlace, features, shared_part};

use stage::Context;
use store::{Folder, StoreError};

/// What many machines share of the run, if they do.
///
/// # Errors
/// An address of no store that is known.
pub fn shared(context: &Context) -> Result<Option<Folder>, StoreError> {
    if context.run.store.is_empty() {
        return Ok(None);
    }
    Ok(Some(Folder::open(&format!("{}/{}", context.run.store.trim_end_matches('/'), context.run.name))?))
}
