//! The segments of a JPEG, from marker to marker (ITU T.81, annex B). What the decoder does not tell stands in them: metadata, and
//! whether the file is whole.

pub(crate) const APP1: u8 = 0xe1;
pub(crate) const END_OF_IMAGE: u8 = 0xd9;
pub(crate) const START_OF_SCAN: u8 = 0xda;

/// The markers behind the start of an image, each with what its segment holds. Walked from one to the next, because the same bytes may
/// lie inside a segment: a thumbnail has markers of its own. Ends behind the end of the image, or where the bytes end.
pub(crate) struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Segments<'a> {
    pub(crate) fn of(file: &'a [u8]) -> Segments<'a> {
        Segments { rest: file.get(2..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        loop {
            match *self.rest {
                [0xff, END_OF_IMAGE, ..] => {
                    self.rest = &[];
                    return Some((END_OF_IMAGE, &[]));
                }
                // Padding and markers without a segment: 01, restarts, a second start.
                [0xff, 0xff, ..] => self.rest = &self.rest[1..],
                [0xff, 0x01 | 0xd0..=0xd8, ..] => self.rest = &self.rest[2..],
                [0xff, marker, high, low, ref rest @ ..] => {
                    let length = usize::from(u16::from_be_bytes([high, low])).saturating_sub(2);
                    let (content, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                    self.rest = if marker == START_OF_SCAN { after_scan(after) } else { after };
                    return Some((marker, content));
                }
                // Stray bytes between segments are skipped, as decoders do.
                [_, _, ..] => self.rest = &self.rest[1..],
                _ => return None,
            }
        }
    }
}

/// What follows entropy-coded data, in which only a stuffed zero or a restart may come after `ff`.
fn after_scan(bytes: &[u8]) -> &[u8] {
    let end = bytes.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7));
    end.map_or(&[], |end| &bytes[end..])
}

/// Whether there is an end-of-image marker behind the first image's data.
pub(crate) fn has_end(file: &[u8]) -> bool {
    Segments::of(file).any(|(marker, _)| marker == END_OF_IMAGE)
}

/// The segments before the first scan.
pub(crate) fn header(file: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    Segments::of(file).take_while(|(marker, _)| !matches!(*marker, START_OF_SCAN | END_OF_IMAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: [u8; 2] = [0xff, 0xd8];
    const APP: [u8; 6] = [0xff, 0xe1, 0x00, 0x04, 0xff, 0xd9];
    const SCAN: [u8; 10] = [0xff, 0xda, 0x00, 0x03, 0x00, 0x12, 0xff, 0x00, 0xff, 0xd3];
    const END: [u8; 2] = [0xff, 0xd9];

    #[test]
    fn only_an_end_marker_between_segments_ends_an_image() {
        let whole = [&START[..], &APP, &SCAN, &APP, &SCAN, &END].concat();
        assert!(has_end(&whole));
        for length in 2..whole.len() {
            assert!(!has_end(&whole[..length]), "{length} of {} bytes", whole.len());
        }
    }

    #[test]
    fn padding_and_what_lies_behind_the_end_do_not_matter() {
        let padded = [&START[..], &[0xff], &APP, &[0x00], &SCAN, &END, b"motion photo"].concat();
        assert!(has_end(&padded));
        assert_eq!(header(&padded).collect::<Vec<_>>(), [(APP1, &[0xff, 0xd9][..])]);
    }
}
