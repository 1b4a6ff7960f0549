//! What a file holds, by its first bytes: an image that is read, or something else in words.

use file_format::{FileFormat, Kind};
use image::ImageFormat;

use crate::tiff;

/// What a file holds, by its first bytes, whatever its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An image of a format that is read.
    Image,
    /// A picture of another format, in words with an article: "a HEIC photo".
    Picture(String),
    /// A video, or a container that holds videos as a rule.
    Video,
    /// Anything else, in words with an article: "a ZIP archive", "a text", "an empty file".
    Other(String),
}

const TEXT: &str = "a text";
const SHOWN_CHARS: usize = 40;
const SHOWN_BYTES: usize = 12;
/// Pictures for which there is a better word than the name of their format.
const PICTURES: [(FileFormat, &str); 17] = [
    (FileFormat::HighEfficiencyImageCoding, "a HEIC photo"),
    (FileFormat::HighEfficiencyImageCodingSequence, "a HEIC photo"),
    (FileFormat::HighEfficiencyImageFileFormat, "a HEIF photo"),
    (FileFormat::HighEfficiencyImageFileFormatSequence, "a HEIF photo"),
    (FileFormat::Av1ImageFileFormat, "an AVIF image"),
    (FileFormat::Av1ImageFileFormatSequence, "an AVIF image"),
    (FileFormat::JpegXl, "a JPEG XL image"),
    (FileFormat::AdobePhotoshopDocument, "a Photoshop document (PSD)"),
    (FileFormat::ScalableVectorGraphics, "an SVG drawing"),
    (FileFormat::CanonRaw, "a raw photo (Canon CRW)"),
    (FileFormat::CanonRaw2, "a raw photo (Canon CR2)"),
    (FileFormat::CanonRaw3, "a raw photo (Canon CR3)"),
    (FileFormat::FujifilmRaw, "a raw photo (Fujifilm RAF)"),
    (FileFormat::NikonElectronicFile, "a raw photo (Nikon NEF)"),
    (FileFormat::OlympusRawFormat, "a raw photo (Olympus ORF)"),
    (FileFormat::PanasonicRaw, "a raw photo (Panasonic RW2)"),
    (FileFormat::SonyAlphaRaw, "a raw photo (Sony ARW)"),
];
/// Raw photos that begin as a TIFF does, whose first picture is a thumbnail.
const RAW_TIFFS: [FileFormat; 3] =
    [FileFormat::CanonRaw2, FileFormat::NikonElectronicFile, FileFormat::SonyAlphaRaw];
/// Containers that do not say at their beginning whether there are pictures in them.
const CONTAINERS: [FileFormat; 5] = [
    FileFormat::Mpeg4Part14,
    FileFormat::ExtensibleBinaryMetaLanguage,
    FileFormat::AdvancedSystemsFormat,
    FileFormat::OggMultiplexedMedia,
    FileFormat::Realmedia,
];
/// How the pictures are turned into some that are read, where phones and browsers make them.
const CONVERSIONS: [(&str, &str); 4] = [
    (
        "a HEI",
        "iPhones take JPEGs with Settings > Camera > Formats > Most Compatible; `heif-convert photo.heic photo.jpg` converts",
    ),
    ("an AVIF", "`avifdec photo.avif photo.png` converts"),
    ("a JPEG XL", "`djxl photo.jxl photo.jpg` converts"),
    ("a raw", "export it from the program that develops it, or take the JPEG beside it"),
];

/// The format of an image that is read.
pub(crate) fn image_format(bytes: &[u8]) -> Option<ImageFormat> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    const BIG_TIFF: [&[u8]; 2] = [b"II\x2b\0", b"MM\0\x2b"];
    match image::guess_format(bytes) {
        Ok(Tiff) if is_raw_tiff(bytes) => None,
        Ok(format @ (Jpeg | Png | WebP | Gif | Tiff | Bmp)) => Some(format),
        _ => BIG_TIFF.iter().any(|start| bytes.starts_with(start)).then_some(Tiff),
    }
}

/// What the first bytes of a file tell of it.
pub(crate) fn of(bytes: &[u8]) -> Content {
    if bytes.is_empty() {
        return Content::Other("an empty file".to_owned());
    }
    if image_format(bytes).is_some() {
        return Content::Image;
    }
    let format = iso_picture(bytes).unwrap_or_else(|| FileFormat::from_bytes(bytes));
    if is_text(bytes) && contains(bytes, b"<svg") {
        return Content::Picture("an SVG drawing".to_owned());
    }
    // A signature of two letters may begin a sentence.
    let short = !matches!(format.kind(), Kind::Image | Kind::Document) && !is_markup(format);
    if is_text(bytes) && short {
        return Content::Other(TEXT.to_owned());
    }
    if tiff::is_raw_photo(bytes) && !RAW_TIFFS.contains(&format) {
        return Content::Picture("a raw photo of a camera".to_owned());
    }
    if let Some((_, words)) = PICTURES.iter().find(|(known, _)| *known == format) {
        return Content::Picture((*words).to_owned());
    }
    let named = || format.short_name().unwrap_or(format.name());
    match format.kind() {
        Kind::Image => Content::Picture(with_article(&format!("{} picture", format.name()))),
        Kind::Video => Content::Video,
        _ if CONTAINERS.contains(&format) || is_iso_file(bytes) => Content::Video,
        _ if format == FileFormat::ArbitraryBinaryData => Content::Other("an unknown file".to_owned()),
        Kind::Archive => Content::Other(with_article(&format!("{} archive", named()))),
        Kind::Document => Content::Other(with_article(named())),
        Kind::Compressed => Content::Other(with_article(&format!("{} file", format.name()))),
        Kind::Audio => Content::Other("a sound file".to_owned()),
        _ => Content::Other(with_article(&format!("{} file", named()))),
    }
}

/// A few words on the beginning of a file: its kind where that is plain, else its text, else its bytes.
pub(crate) fn describe(bytes: &[u8]) -> String {
    match of(bytes) {
        Content::Image => "an image".to_owned(),
        Content::Video => "a video".to_owned(),
        Content::Other(words) if words == TEXT => {
            let text: String =
                beginning(bytes).trim_start_matches('\u{feff}').chars().take(SHOWN_CHARS).collect();
            format!("text that begins with {text:?}")
        }
        Content::Other(_) if FileFormat::from_bytes(bytes) == FileFormat::ArbitraryBinaryData => {
            let hex: Vec<String> = bytes.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect();
            format!("the bytes {}", hex.join(" "))
        }
        Content::Picture(words) | Content::Other(words) => words,
    }
}

/// Why a picture of another format is refused, and what turns it into one that is read.
pub(crate) fn unread(words: &str) -> String {
    match CONVERSIONS.iter().find(|(start, _)| words.starts_with(start)) {
        Some((_, how)) => format!("{words} is not read ({how})"),
        None => format!("{words} is not read"),
    }
}

/// Photos in boxes, by all brands of their first one: many a file names its codec among the compatible brands only.
fn iso_picture(bytes: &[u8]) -> Option<FileFormat> {
    const BRANDS: [(FileFormat, &[&[u8; 4]]); 3] = [
        (FileFormat::Av1ImageFileFormat, &[b"avif", b"avis"]),
        (FileFormat::HighEfficiencyImageCoding, &[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"]),
        (FileFormat::HighEfficiencyImageFileFormat, &[b"mif1", b"msf1", b"miaf"]),
    ];
    if !is_iso_file(bytes) {
        return None;
    }
    let size = bytes.first_chunk().map_or(0, |size| u32::from_be_bytes(*size) as usize);
    let brands = bytes[8..bytes.len().min(size.max(12))].as_chunks::<4>().0;
    let holds = |known: &[&[u8; 4]]| brands.iter().any(|brand| known.contains(&brand));
    BRANDS.iter().find(|(_, known)| holds(known)).map(|(format, _)| *format)
}

/// Its first picture is a thumbnail.
fn is_raw_tiff(bytes: &[u8]) -> bool {
    RAW_TIFFS.contains(&FileFormat::from_bytes(bytes)) || tiff::is_raw_photo(bytes)
}

fn is_iso_file(bytes: &[u8]) -> bool {
    bytes.len() >= 12 && bytes[4..].starts_with(b"ftyp")
}

fn is_markup(format: FileFormat) -> bool {
    matches!(format, FileFormat::HypertextMarkupLanguage | FileFormat::ExtensibleMarkupLanguage)
}

fn beginning(bytes: &[u8]) -> String {
    // Enough bytes for the characters that are shown, so that a character cut in two is never among them.
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * SHOWN_CHARS + 3)]);
    start.chars().take(SHOWN_CHARS).collect()
}

fn is_text(bytes: &[u8]) -> bool {
    beginning(bytes)
        .chars()
        .all(|c| c != char::REPLACEMENT_CHARACTER && (c.is_whitespace() || !c.is_control()))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn with_article(noun: &str) -> String {
    let spelt = noun.as_bytes().get(1).is_some_and(u8::is_ascii_uppercase);
    let vowel = noun.starts_with(['A', 'E', 'I', 'O', 'a', 'e', 'i', 'o'])
        || spelt && noun.starts_with(['F', 'H', 'L', 'M', 'N', 'S', 'X']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_mistakes_are_named() {
        let cases: &[(&[u8], &str)] = &[
            (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC photo"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC photo"),
            (b"\0\0\0\x14ftypmsf1\0\0\0\0msf1", "a HEIF photo"),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "an AVIF image"),
            (b"\xff\x0a\xfa\x1f", "a JPEG XL image"),
            (b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14", "a JPEG XL image"),
            (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "a JPEG 2000 Part 1 picture"),
            (b"8BPS\0\x01\0\0\0\0\0\0", "a Photoshop document (PSD)"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
            (b"<?xml version='1.0'?>\n<!-- made by hand -->\n<svg/>", "an SVG drawing"),
            (b"II*\0\x10\0\0\0CR\x02\0", "a raw photo (Canon CR2)"),
            (b"FUJIFILMCCD-RAW 0201", "a raw photo (Fujifilm RAF)"),
            (b"\0\0\x01\0\x01\0\x10\x10", "a Windows Icon picture"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n", "an Encapsulated PostScript picture"),
            (b"%PDF-1.7", "a PDF"),
            (b"PK\x03\x04\0\0", "a ZIP archive"),
            (b"\x1f\x8b\x08\0", "a gzip file"),
            (b"<!DOCTYPE html><title>404</title>", "an HTML file"),
            (b"\x1a\x45\xdf\xa3\0\0", "a video"),
            (b"RIFF\x64\0\0\0AVI LIST", "a video"),
            (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
            (b"fLaC\0\0\0\x22", "a sound file"),
            ("Grüße\nan alle".as_bytes(), "text that begins with \"Grüße\\nan alle\""),
            (b"MZ was how every line began", "text that begins with \"MZ was how every line began\""),
            (&[0; 400], "the bytes 00 00 00 00 00 00 00 00 00 00 00 00"),
        ];
        for (bytes, words) in cases {
            assert_eq!(describe(bytes), *words);
        }
        let long = "ä".repeat(300);
        assert_eq!(describe(long.as_bytes()), format!("text that begins with \"{}\"", "ä".repeat(40)));
    }

    #[test]
    fn images_are_known_by_their_first_bytes() {
        for start in
            [&b"\xff\xd8\xff\xe0"[..], b"GIF89a", b"BM", b"II*\0\x08\0\0\0", b"II\x2b\0\x08\0", b"MM\0\x2b"]
        {
            assert_eq!(of(start), Content::Image, "{}", start.escape_ascii());
        }
    }

    #[test]
    fn what_phones_and_browsers_make_comes_with_its_conversion() {
        for words in ["a HEIC photo", "an AVIF image", "a JPEG XL image", "a raw photo (Canon CR2)"] {
            assert!(unread(words).contains(" ("), "{words}");
        }
        assert_eq!(unread("an SVG drawing"), "an SVG drawing is not read");
    }
}
