//! What a file that is no readable image holds instead, in words for an error message.

/// Files that people take for photos: offset of the signature, signature, name.
const KNOWN: [(usize, &[u8], &str); 7] = [
    (4, b"ftyphei", "a HEIC photo"),
    (4, b"ftypmif", "a HEIF photo"),
    (4, b"ftyp", "a video"),
    (0, b"%PDF", "a PDF"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"\xff\x0a", "a JPEG XL image"),
];
const SHOWN_CHARS: usize = 40;
const SHOWN_BYTES: usize = 12;

/// A few words on the beginning of a file: its kind where that is plain, else its text, else its bytes.
pub(crate) fn describe(bytes: &[u8]) -> String {
    let kind =
        KNOWN.iter().find(|(at, signature, _)| bytes.get(*at..).is_some_and(|b| b.starts_with(signature)));
    if let Some((_, _, name)) = kind {
        return (*name).to_owned();
    }
    // Enough bytes for the characters that are shown, so that a character cut in two is never among them.
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * SHOWN_CHARS + 3)]);
    let text: String = start.chars().take(SHOWN_CHARS).collect();
    if text.chars().all(|c| c != char::REPLACEMENT_CHARACTER && (c.is_whitespace() || !c.is_control())) {
        return format!("text that begins with {text:?}");
    }
    let hex: Vec<String> = bytes.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!("the bytes {}", hex.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_mistakes_are_named() {
        assert_eq!(describe(b"\0\0\0\x18ftypheic\0\0\0\0"), "a HEIC photo");
        assert_eq!(describe(b"%PDF-1.7"), "a PDF");
        assert_eq!(describe("Grüße\nan alle".as_bytes()), "text that begins with \"Grüße\\nan alle\"");
        assert_eq!(
            describe("ä".repeat(300).as_bytes()),
            format!("text that begins with \"{}\"", "ä".repeat(40))
        );
        assert_eq!(describe(&[0; 400]), "the bytes 00 00 00 00 00 00 00 00 00 00 00 00");
    }
}
