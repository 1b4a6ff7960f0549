//! A photo as the report shows it.

use std::path::Path;

use anyhow::Context;
use imaging::Transform;
use imaging::attention::View;

/// Decodes a photo and scales it so that its longer side has `longest` pixels.
pub(crate) fn open(path: &Path, transform: &Transform, longest: u32) -> anyhow::Result<View> {
    let name = || path.display().to_string();
    let photo = imaging::decode(&imaging::read_file(path).with_context(name)?).with_context(name)?;
    Ok(View::new(&photo, transform, longest))
}
