//! EXIF and XMP of a PNG. They stand before or behind the pixels, in a chunk of their own or, as ImageMagick writes them, as hexadecimal
//! text; other texts are passed over without being unpacked.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// Longest text that is unpacked: EXIF and XMP of photos are a few kilobytes.
const MOST: u64 = 1 << 20;

/// What there is of both, as a JPEG would hold it.
#[derive(Default)]
pub(super) struct Metadata {
    pub(super) exif: Option<Vec<u8>>,
    pub(super) xmp: Option<Vec<u8>>,
}

impl Metadata {
    pub(super) fn of(file: &[u8]) -> Metadata {
        let (mut own, mut raw) = (Metadata::default(), Metadata::default());
        for (kind, content) in chunks(file) {
            match kind {
                b"eXIf" if own.exif.is_none() => {
                    own.exif = Some(content[..content.len().min(MOST as usize)].to_vec());
                }
                b"tEXt" | b"zTXt" | b"iTXt" => raw.add(kind, content),
                _ => {}
            }
        }
        Metadata { exif: own.exif.or(raw.exif), xmp: raw.xmp }
    }

    fn add(&mut self, kind: &[u8; 4], content: &[u8]) {
        const PROFILE: &[u8] = b"Raw profile type ";
        let Some((keyword, content)) = split_at_zero(content) else { return };
        match keyword.strip_prefix(PROFILE) {
            Some(b"exif" | b"APP1" | b"app1" | b"xmp") => {
                let profile = text(kind, content).and_then(|text| unhex(&text)).unwrap_or_default();
                let xmp = profile.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0");
                match (keyword.ends_with(b"xmp"), xmp) {
                    (_, Some(xmp)) => self.xmp = Some(xmp.to_vec()),
                    (true, None) => self.xmp = Some(profile),
                    (false, None) => self.exif = Some(profile),
                }
            }
            None if keyword == b"XML:com.adobe.xmp" => self.xmp = text(kind, content),
            _ => {}
        }
    }
}

fn chunks(file: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = file.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let (content, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        // Behind the checksum.
        rest = after.get(4..).unwrap_or_default();
        Some((kind, content))
    })
}

/// The text of a chunk behind its keyword, unpacked.
fn text(kind: &[u8; 4], content: &[u8]) -> Option<Vec<u8>> {
    let (packed, content) = match kind {
        b"tEXt" => (false, content),
        b"zTXt" => (true, content.get(1..)?),
        // Whether it is packed and how, its language, and the keyword in that language.
        _ => {
            let (flags, content) = content.split_first_chunk::<2>()?;
            let (_, content) = split_at_zero(content)?;
            (flags[0] == 1, split_at_zero(content)?.1)
        }
    };
    let mut text = Vec::new();
    if packed {
        ZlibDecoder::new(content).take(MOST).read_to_end(&mut text).ok()?;
    } else {
        text.extend(&content[..content.len().min(MOST as usize)]);
    }
    Some(text)
}

/// A profile as text: an empty line, its name, its length, then two digits for each byte.
fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = text.splitn(4, |byte| *byte == b'\n');
    let digits = lines.nth(3)?.iter().filter(|byte| !byte.is_ascii_whitespace());
    let digits: Option<Vec<u8>> =
        digits.map(|byte| char::from(*byte).to_digit(16).map(|digit| digit as u8)).collect();
    Some(digits?.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect())
}

fn split_at_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let zero = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..zero], &bytes[zero + 1..]))
}
