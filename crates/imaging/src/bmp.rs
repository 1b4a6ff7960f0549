//! Bitmaps of OS/2 2, whose header is the one of Windows with more behind it.

use std::borrow::Cow;

/// Lengths of the file's header, of the picture's header there, and of the part that both systems share.
const FILE_HEADER: usize = 14;
const OF_OS2: usize = 64;
const SHARED: usize = 40;
/// From this number on the two number compressions otherwise.
const FIRST_OWN_COMPRESSION: u32 = 3;

/// The file as Windows would have written it.
pub(crate) fn of_windows(file: &[u8]) -> Cow<'_, [u8]> {
    shortened(file).map_or(Cow::Borrowed(file), Cow::Owned)
}

fn shortened(file: &[u8]) -> Option<Vec<u8>> {
    let number = |at: usize| Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?));
    let compression = number(FILE_HEADER + 16)?;
    if number(FILE_HEADER)? as usize != OF_OS2 || compression >= FIRST_OWN_COMPRESSION {
        return None;
    }
    let removed = OF_OS2 - SHARED;
    let pixels = number(10)?.checked_sub(removed as u32)?;
    let mut shortened = [file.get(..FILE_HEADER + SHARED)?, file.get(FILE_HEADER + OF_OS2..)?].concat();
    shortened[10..14].copy_from_slice(&pixels.to_le_bytes());
    shortened[FILE_HEADER..FILE_HEADER + 4].copy_from_slice(&(SHARED as u32).to_le_bytes());
    Some(shortened)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{ImageFormat, Rgb, RgbImage};

    #[test]
    fn a_bitmap_of_os2_is_that_of_windows() {
        let picture = RgbImage::from_fn(13, 7, |x, y| Rgb([x as u8 * 9, y as u8 * 30, 77]));
        let mut windows = Cursor::new(Vec::new());
        picture.write_to(&mut windows, ImageFormat::Bmp).unwrap();
        let windows = windows.into_inner();
        let offset = u32::from_le_bytes(*windows[10..].first_chunk().unwrap());
        let mut os2 = [&windows[..54], &[0; 24], &windows[54..]].concat();
        os2[10..14].copy_from_slice(&(offset + 24).to_le_bytes());
        os2[14..18].copy_from_slice(&64u32.to_le_bytes());
        assert!(crate::decode(&os2).unwrap() == picture);
        for length in 0..os2.len() {
            let _ = crate::probe(&os2[..length]);
        }
    }
}
