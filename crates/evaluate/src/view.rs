//! A photo as the report shows it.

use anyhow::Context;
use imaging::Transform;
use imaging::attention::View;

use crate::references::Photo;

/// Decodes a photo and scales it so that its longer side has `longest` pixels.
pub(crate) fn open(photo: &Photo, transform: &Transform, longest: u32) -> anyhow::Result<View> {
    let name = || photo.place();
    let photo = imaging::decode(&photo.bytes().with_context(name)?).with_context(name)?;
    Ok(View::new(&photo, transform, longest))
}
