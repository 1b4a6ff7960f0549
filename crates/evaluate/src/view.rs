//! A photo as the report shows it, and attention as it lies on the photo.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use imaging::Transform;
use imaging::attention::View;

/// Decodes a photo and scales it so that its longer side has `longest` pixels.
pub(crate) fn open(path: &Path, transform: &Transform, longest: u32) -> anyhow::Result<View> {
    let name = || path.display().to_string();
    let photo = imaging::decode(&std::fs::read(path).with_context(name)?).with_context(name)?;
    Ok(View::new(&photo, transform, longest))
}

/// Attention as it lies on the photo: a network that was shown a mirror image looked at the other side.
pub(crate) fn unmirrored(attention: &[Arc<[f32]>], columns: usize) -> Vec<Arc<[f32]>> {
    let mirror = |map: &Arc<[f32]>| -> Arc<[f32]> {
        map.chunks(columns.max(1)).flat_map(|row| row.iter().rev().copied()).collect()
    };
    attention.iter().map(mirror).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrored_map_changes_sides_row_by_row() {
        let map: Arc<[f32]> = Arc::from([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(*unmirrored(&[map], 3)[0], [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    }
}
