//! Which way up a picture is: what EXIF says, or XMP where EXIF says nothing of it, as Pillow's `ImageOps.exif_transpose` has it.

use exif::{In, Reader, Tag, Value};
use image::metadata::Orientation;

/// The orientation stands in the first directory; whatever is longer holds previews.
const MOST: usize = 1 << 20;

/// The orientation that metadata ask for; none when they do not, or ask for one that there is not.
pub(crate) fn of(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    numbered(exif.and_then(in_exif).or_else(|| xmp.and_then(in_xmp)))
}

/// The orientation of EXIF's number, where there is one.
pub(crate) fn numbered(number: Option<u64>) -> Orientation {
    number
        .and_then(|number| u8::try_from(number).ok())
        .and_then(Orientation::from_exif)
        .unwrap_or(Orientation::NoTransforms)
}

/// Whether width and height change places.
pub(crate) fn is_sideways(orientation: Orientation) -> bool {
    orientation.to_exif() >= 5
}

/// Behind `Exif\0\0` or without it, as some containers have it.
fn in_exif(block: &[u8]) -> Option<u64> {
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let block = block[..block.len().min(MOST)].to_vec();
    // Damage elsewhere in it is no reason to lay the photo on its side.
    let read = Reader::new().continue_on_error(true).read_raw(block);
    let exif = read.or_else(|error| error.distill_partial_result(|_| ())).ok()?;
    match &exif.get_field(Tag::Orientation, In::PRIMARY)?.value {
        // Bytes are no number to Pillow, nor to the viewers that ask for one of 16 bits.
        Value::Byte(_) => Some(0),
        Value::SByte(values) => values.first().map(|&value| value.into()),
        Value::SShort(values) => values.first().map(|&value| value.into()),
        Value::SLong(values) => values.first().map(|&value| value.into()),
        value => value.get_uint(0).map(i64::from),
    }
    .and_then(|value| u64::try_from(value).ok())
}

/// `tiff:Orientation` as an attribute or as an element. The text is searched and not parsed: writers of XMP leave out
/// declarations that a parser would insist on, and viewers do not.
pub(crate) fn in_xmp(packet: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"tiff:Orientation";
    let mut rest = packet;
    loop {
        let at = rest.windows(NAME.len()).position(|window| window == NAME)?;
        rest = &rest[at + NAME.len()..];
        let value = rest.trim_ascii_start();
        let value = match value {
            [b'>', value @ ..] => value,
            [b'=', value @ ..] => match value.trim_ascii_start() {
                [b'"' | b'\'', value @ ..] => value,
                _ => continue,
            },
            _ => continue,
        };
        if let Some(digit @ b'0'..=b'9') = value.trim_ascii_start().first() {
            return Some((digit - b'0').into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of one entry: `kind` is its type by TIFF's number, `value` the four bytes.
    fn block(order: &[u8; 2], kind: u8, value: [u8; 4]) -> Vec<u8> {
        let big = order == b"MM";
        let short = |value: u8| if big { [0, value] } else { [value, 0] };
        let long = |value: u8| if big { [0, 0, 0, value] } else { [value, 0, 0, 0] };
        let tag = if big { [0x01, 0x12] } else { [0x12, 0x01] };
        let entry = [&tag[..], &short(kind), &long(1), &value].concat();
        [&order[..], &short(42), &long(8), &short(1), &entry, &long(0)].concat()
    }

    #[test]
    fn every_number_of_exif_is_an_orientation() {
        for (order, kind, value) in [
            (b"II", 3, [6, 0, 0, 0]),
            (b"MM", 3, [0, 6, 0, 0]),
            (b"II", 4, [6, 0, 0, 0]),
            (b"MM", 4, [0, 0, 0, 6]),
            (b"II", 6, [6, 0, 0, 0]),
            (b"II", 8, [6, 0, 0, 0]),
            (b"MM", 9, [0, 0, 0, 6]),
        ] {
            let plain = block(order, kind, value);
            assert_eq!(of(Some(&plain), None), Orientation::Rotate90, "type {kind}");
            let prefixed = [&b"Exif\0\0"[..], &plain].concat();
            assert_eq!(of(Some(&prefixed), None), Orientation::Rotate90, "type {kind}");
        }
        for value in [0, 9, 255] {
            assert_eq!(of(Some(&block(b"II", 4, [value, 1, 0, 0])), None), Orientation::NoTransforms);
        }
        assert_eq!(of(Some(&block(b"II", 1, [6, 0, 0, 0])), None), Orientation::NoTransforms);
        assert_eq!(of(Some(b"Exif\0\0MM"), None), Orientation::NoTransforms);
    }

    #[test]
    fn xmp_is_asked_where_exif_says_nothing() {
        let turned = b"<rdf:Description tiff:Orientation=\"8\"/>";
        assert_eq!(of(None, Some(turned)), Orientation::Rotate270);
        // An entry of another tag; one of no meaning is an answer all the same.
        let mut other = block(b"II", 3, [6, 0, 0, 0]);
        other[10] = 0x1a;
        assert_eq!(of(Some(&other), Some(turned)), Orientation::Rotate270);
        assert_eq!(of(Some(&block(b"II", 3, [0; 4])), Some(turned)), Orientation::NoTransforms);
    }

    #[test]
    fn xmp_is_read_as_its_writers_write_it() {
        for (packet, value) in [
            ("tiff:Orientation=\"6\"", Some(6)),
            ("tiff:Orientation = '6'", Some(6)),
            ("<tiff:Orientation>6</tiff:Orientation>", Some(6)),
            ("<tiff:Orientation>\n  6\n</tiff:Orientation>", Some(6)),
            ("tiff:OrientationOfMine=\"1\" tiff:Orientation=\"3\"", Some(3)),
            ("<tiff:Orientation/>", None),
            ("tiff:Orientation", None),
            ("", None),
        ] {
            assert_eq!(in_xmp(packet.as_bytes()), value, "{packet}");
        }
    }
}
