//! Captions in sidecars as digiKam, Lightroom and darktable write them, and in odd ones.
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use serde_json::Value;
use xmp::{Contents, Said, Source, XmpError, merged};

const FIXTURES: [(&str, &str); 4] = [
    ("digikam", include_str!("fixtures/digikam.xmp")),
    ("lightroom", include_str!("fixtures/lightroom.xmp")),
    ("darktable", include_str!("fixtures/darktable.xmp")),
    ("odd", include_str!("fixtures/odd.xmp")),
];

fn fixture(name: &str) -> &'static str {
    FIXTURES.iter().find(|(known, _)| *known == name).unwrap().1
}

fn said(caption: &str, keywords: &[&str], model: &str) -> Said {
    let source = Source { photo: "blake3:1".to_owned(), model: model.to_owned(), settings: "{}".to_owned() };
    Said {
        caption: caption.to_owned(),
        keywords: keywords.iter().map(|word| (*word).to_owned()).collect(),
        source,
    }
}

fn merge(old: &str, said: &Said) -> String {
    String::from_utf8(merged(Some(old.as_bytes()), said, false).unwrap()).unwrap()
}

fn overwrite(old: &str, said: &Said) -> String {
    String::from_utf8(merged(Some(old.as_bytes()), said, true).unwrap()).unwrap()
}

fn read(text: &str) -> Contents {
    Contents::read(text.as_bytes()).unwrap()
}

/// What exiftool reads, a list of objects in the order of the files.
fn exiftool(files: &[&Path]) -> Option<Vec<Value>> {
    if !needs::program("exiftool", &["-ver"]) {
        return None;
    }
    let mut exiftool = Command::new("exiftool");
    // Errors beside captions are to be seen; -struct keeps lists and languages as they are.
    exiftool.args(["-j", "-struct", "-G1", "-a", "-validate", "-warning"]).arg("-XMP:all").args(files);
    let output = exiftool.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn a_new_sidecar_is_read_by_exiftool() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("photo.jpg.xmp");
    let new = merged(None, &said("a dog & a <cat>", &["dog", "cat"], "blake3:2"), false).unwrap();
    std::fs::write(&file, &new).unwrap();
    let text = String::from_utf8(new).unwrap();
    assert!(
        text.starts_with("<?xpacket begin='\u{feff}' id='W5M0MpCehiHzreSzNTczkc9d'?>\n<x:xmpmeta "),
        "{text}"
    );
    assert!(text.ends_with("</x:xmpmeta>\n<?xpacket end='w'?>\n"), "{text}");
    let Some(read) = exiftool(&[&file]) else { return };
    assert_eq!(read[0]["XMP-dc:Description"], "a dog & a <cat>");
    assert_eq!(read[0]["XMP-iptcCore:AltTextAccessibility"], "a dog & a <cat>");
    assert_eq!(read[0]["XMP-dc:Subject"], serde_json::json!(["dog", "cat"]));
    assert_eq!(read[0].get("ExifTool:Warning"), None, "{}", read[0]);
}

#[test]
fn what_people_wrote_stays_and_what_is_empty_is_filled() {
    let our = said("a dog", &["dog", "lake"], "blake3:2");
    for (name, description, keywords) in [
        ("digikam", "Oma & Hund am See", &["Oma", "See"][..]),
        ("lightroom", "a dog", &["harbour", "night"]),
        ("darktable", "a dog", &["dog", "lake"]),
        ("odd", "a dog", &["dog", "lake"]),
    ] {
        let new = read(&merge(fixture(name), &our));
        assert_eq!(new.description.as_deref(), Some(description), "{name}");
        assert_eq!(new.alt_text.as_deref(), Some("a dog"), "{name}");
        assert_eq!(new.keywords, keywords, "{name}");
        assert_eq!(new.source.as_ref(), Some(&our.source), "{name}");

        let forced = overwrite(fixture(name), &our);
        let new = read(&forced);
        assert_eq!(
            (new.description.as_deref(), &new.keywords[..]),
            (Some("a dog"), &our.keywords[..]),
            "{name}"
        );
        assert_eq!(overwrite(&forced, &our), forced, "{name}: a second time changes nothing");
    }
    let forced = overwrite(fixture("digikam"), &our);
    assert!(
        forced.contains(r#"<rdf:li xml:lang="en-US">Grandma &amp; dog at the lake</rdf:li>"#),
        "{forced}"
    );
    assert!(
        !merge(fixture("odd"), &our).contains("dublin:description"),
        "an empty attribute beside its element"
    );
}

#[test]
fn our_captions_are_renewed_and_those_that_a_person_touched_are_not() {
    let (old, new) = (said("a dog", &["dog"], "blake3:2"), said("a cat", &["cat"], "blake3:3"));
    for (name, text) in FIXTURES {
        let ours = merge(text, &old);
        assert_eq!(merge(&ours, &old), ours, "{name}: a rerun changes nothing");
        let renewed = merge(&ours, &new);
        assert_eq!(
            renewed,
            ours.replace("a dog", "a cat")
                .replace("blake3:2", "blake3:3")
                .replace("<rdf:li>dog</rdf:li>", "<rdf:li>cat</rdf:li>")
                .replace("Keywords='dog'", "Keywords='cat'"),
            "{name}"
        );
        // Back again, as if it had never been another.
        assert_eq!(merge(&renewed, &old), ours, "{name}");

        // Edited, deleted, and translated by a person.
        let alt_text = "'x-default'>a dog</rdf:li>";
        for edited in [
            ours.replace(alt_text, "'x-default'>a dachshund</rdf:li>"),
            ours.replace(alt_text, "'x-default'/>"),
            ours.replace(alt_text, "'x-default'>a dog</rdf:li><l:li xmlns:l='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xml:lang='de'>Hund</l:li>"),
        ] {
            let kept = merge(&edited, &new);
            assert_ne!(edited, ours);
            assert_eq!(read(&kept).alt_text, read(&edited).alt_text, "{name}");
            assert_ne!(read(&kept).description.as_deref(), Some("a cat"), "{name}");
            assert_eq!(read(&overwrite(&kept, &new)).alt_text.as_deref(), Some("a cat"), "{name}");
        }
    }
    let full =
        merge(fixture("digikam"), &old).replace("'x-default'>a dog</rdf:li>", "'x-default'>Hund</rdf:li>");
    assert!(!read(&full).has_room(true), "everything is a person's");
    assert_eq!(merge(&full, &new), full);
    assert!(read(&merge(fixture("digikam"), &old)).has_room(false), "the alternative text is ours");
}

#[test]
fn a_sidecar_that_another_program_wrote_again_keeps_what_was_ours() {
    let (old, new) = (said("a dog", &["dog"], "blake3:2"), said("a cat", &["cat"], "blake3:3"));
    // One group, our texts as elements, other prefixes: as Adobe's library may write it.
    let again = r#"<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
        rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:c="urn:x-captioning:sidecar/1.0/" c:Photo="blake3:1" c:Model="blake3:2">
        <c:Settings>{}</c:Settings><c:Description>a dog</c:Description><c:Keywords>dog</c:Keywords>
        <dc:description><rdf:Alt><rdf:li xml:lang="x-default">a dog</rdf:li></rdf:Alt></dc:description>
        <dc:subject><rdf:Bag><rdf:li>dog</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"#;
    assert_eq!(read(again).source, Some(old.source));
    let renewed = read(&merge(again, &new));
    assert_eq!((renewed.description.as_deref(), renewed.source), (Some("a cat"), Some(new.source)));
    assert_eq!(renewed.keywords, ["cat"]);
}

#[test]
fn marks_sixteen_bits_and_line_ends_stay() {
    let our = said("ein Café 🐕", &[], "blake3:2");
    let text =
        fixture("darktable").replace("encoding=\"UTF-8\"", "encoding=\"UTF-16\"").replace('\n', "\r\n");
    let marked = format!("\u{feff}{text}");
    let wide = |bytes: fn(u16) -> [u8; 2]| marked.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let merged_text = merge(&text, &our);
    assert_eq!(merged_text.matches('\n').count(), merged_text.matches("\r\n").count());
    let marked_text = format!("\u{feff}{merged_text}");
    assert_eq!(merged(Some(marked.as_bytes()), &our, false).unwrap(), marked_text.as_bytes());
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let new = merged(Some(&wide(bytes)), &our, false).unwrap();
        assert_eq!(new, marked_text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>());
        assert_eq!(Contents::read(&new).unwrap().description.as_deref(), Some("ein Café 🐕"));
    }
}

#[test]
fn what_is_no_sidecar_is_refused() {
    let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><x>&b;</x>";
    let deep = "<a>".repeat(200_000);
    let latin = "<?xml version='1.0' encoding='ISO-8859-1'?><x/>";
    for (bytes, wanted) in [
        (&b""[..], "no well-formed XML"),
        (b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>", "no well-formed XML"),
        (b"<a></b>", "no well-formed XML"),
        (b"<a b='1' b='2'/>", "no well-formed XML"),
        (b"<p:a/>", "no well-formed XML"),
        (b"<a>&nothing;</a>", "no well-formed XML"),
        (b"<html><body/></html>", "holds no rdf:RDF"),
        (b"<a>caf\xe9</a>", "no text in UTF-8"),
        (b"\xff\xfe<\0a", "no text in UTF-8 or UTF-16"),
        (bomb.as_bytes(), "no well-formed XML"),
        (deep.as_bytes(), "no well-formed XML"),
        (latin.as_bytes(), "written in ISO-8859-1"),
        (&vec![b' '; xmp::MAX_BYTES + 1], "is larger than"),
    ] {
        let error: XmpError = merged(Some(bytes), &said("a dog", &[], "2"), false).unwrap_err();
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
    }
}

#[test]
fn a_list_without_what_is_written_gets_it_and_odd_forms_give_way_only_when_asked() {
    let our = said("a dog", &["dog"], "blake3:2");
    let around = |inside: &str, closed: &str| {
        format!(
            "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:dc='http://purl.org/dc/elements/1.1/'>\
             <rdf:Description rdf:about=''{inside}{closed}</rdf:RDF>"
        )
    };
    let elements = |inside: &str| around("", &format!(">{inside}</rdf:Description>"));
    // Nobody's.
    for empty in [
        elements(""),
        around(" dc:description=' '", "/>"),
        elements("<dc:description/>"),
        elements("<dc:description> <rdf:Alt/> </dc:description>"),
        elements("<dc:description><rdf:Alt>\n</rdf:Alt></dc:description><dc:subject><rdf:Bag/></dc:subject>"),
        elements(
            "<dc:description><rdf:Alt><rdf:li xml:lang='X-Default'> </rdf:li></rdf:Alt></dc:description>",
        ),
        "<RDF xmlns='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>".to_owned(),
    ] {
        let new = merge(&empty, &our);
        let filled = read(&new);
        assert_eq!(
            (filled.description.as_deref(), &filled.keywords[..]),
            (Some("a dog"), &our.keywords[..]),
            "{new}"
        );
    }
    // A person's.
    for (taken, text) in [
        (around(" dc:description='Rex'", "/>"), "Rex"),
        (elements("<dc:description>Rex</dc:description>"), "Rex"),
        (elements("<dc:description><rdf:Seq><rdf:li>Rex</rdf:li></rdf:Seq></dc:description>"), "Rex"),
        (
            elements(
                "<dc:description><rdf:Alt><rdf:li xml:lang='de'>Rex</rdf:li></rdf:Alt></dc:description>",
            ),
            "Rex",
        ),
    ] {
        assert_eq!(read(&merge(&taken, &our)).description.as_deref(), Some(text), "{taken}");
        let new = overwrite(&taken, &our);
        assert_eq!(read(&new).description.as_deref(), Some("a dog"), "{new}");
    }
    let comment = elements("<dc:description><!-- ask Lea --></dc:description>");
    assert!(merge(&comment, &our).contains("<dc:description><!-- ask Lea --></dc:description>"));
    let german =
        elements("<dc:description><rdf:Alt><rdf:li xml:lang='de'>Rex</rdf:li></rdf:Alt></dc:description>");
    assert!(overwrite(&german, &our).contains("<rdf:li xml:lang='de'>Rex</rdf:li>"));
}

/// What XML cannot hold is replaced, and nothing else.
fn as_written(caption: &str) -> String {
    let forbidden = |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    caption.chars().map(|c| if forbidden(c) { '\u{fffd}' } else { c }).collect()
}

/// The lines of `old` stand in `new`, in their order and unchanged.
fn holds_every_line(old: &str, new: &str) -> bool {
    let mut lines = new.lines();
    old.lines().all(|line| lines.any(|other| other == line))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_caption_goes_into_any_sidecar_and_disturbs_nothing(
        caption in prop_oneof![any::<String>(), "[ -~\\n\\r\\t\0\u{b}<>&'\"\\]\u{fffe}é🐕]{1,40}"],
        word in "[^,]{0,8}",
        which in 0..FIXTURES.len(),
    ) {
        let (name, text) = FIXTURES[which];
        let our = said(&caption, &[&word], "blake3:2");
        let new = merge(text, &our);
        let contents = read(&new);
        let wanted = Some(as_written(&caption)).filter(|text| !text.trim().is_empty());
        prop_assert_eq!(&contents.alt_text, &wanted);
        if name != "digikam" {
            prop_assert_eq!(&contents.description, &wanted);
        }
        prop_assert_eq!(merge(&new, &our), new.clone());
        match name {
            // An empty attribute and an empty element give way.
            "odd" => prop_assert!(holds_every_line(
                &text.replace("\t\tdublin:description='' dublin:rights=\"&#169; all\">\n", "")
                    .replace("mine:shelf = \"a&#x20;b\"\n", "mine:shelf = \"a&#x20;b\" dublin:rights=\"&#169; all\">\n")
                    .lines().filter(|line| !line.contains("AltText")).collect::<Vec<_>>().join("\n"),
                &new,
            ), "{new}"),
            // All that is new stands together.
            _ => {
                let same = text.bytes().zip(new.bytes()).take_while(|(old, new)| old == new).count();
                prop_assert_eq!(&text[same..], &new[new.len() - (text.len() - same)..]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_damaged_sidecar_is_refused_or_edited_as_it_is(
        which in 0..FIXTURES.len(),
        ours in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..60_usize, 0..3), 1..4),
    ) {
        let our = said("a dog", &["dog"], "blake3:2");
        let mut bytes = FIXTURES[which].1.as_bytes().to_vec();
        if ours {
            bytes = merged(Some(&bytes), &said("a cat", &["cat"], "blake3:2"), false).unwrap();
        }
        for (at, other, length, kind) in changes {
            let (at, other) = (at.index(bytes.len()), other.index(bytes.len()));
            let piece = bytes[other..bytes.len().min(other + length)].to_vec();
            let end = bytes.len().min(at + if kind == 0 { 0 } else { length });
            bytes.splice(at..end, if kind == 1 { vec![] } else { piece });
        }
        if let Ok(old) = Contents::read(&bytes) {
            for overwrite in [false, true] {
                let Ok(new) = merged(Some(&bytes), &our, overwrite) else { continue };
                let read = Contents::read(&new).unwrap();
                if overwrite {
                    prop_assert_eq!((read.description.as_deref(), read.alt_text.as_deref()), (Some("a dog"), Some("a dog")));
                } else if !old.has_room(true) {
                    prop_assert_eq!(&new, &bytes);
                }
                prop_assert_eq!(merged(Some(&new), &our, overwrite).unwrap(), new);
            }
        }
    }
}

/// A few captions at once, because exiftool takes its time to start.
#[test]
fn exiftool_reads_every_merged_sidecar_as_before_and_the_captions_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let captions = [
        "a dog",
        "it's a \"dog\" & <cat>",
        "two\nlines\r\nand a tab\there",
        "犬 🐕 ]]> é",
        "null\0 and \u{fffe}",
    ];
    let (mut files, mut wanted) = (vec![], vec![]);
    for (name, text) in FIXTURES {
        let plain = folder.path().join(format!("{name}.xmp"));
        std::fs::write(&plain, text).unwrap();
        files.push(plain);
        wanted.push(None);
        for (number, caption) in captions.iter().enumerate() {
            let file = folder.path().join(format!("{name}.{number}.xmp"));
            std::fs::write(&file, overwrite(text, &said(caption, &[], "blake3:2"))).unwrap();
            files.push(file);
            wanted.push(Some(as_written(caption)));
        }
    }
    let Some(read) = exiftool(&files.iter().map(|file| file.as_path()).collect::<Vec<_>>()) else { return };
    let mut before = BTreeMap::new();
    for (found, wanted) in read.into_iter().zip(wanted) {
        let Value::Object(mut found) = found else { panic!("{found}") };
        found.remove("SourceFile");
        found.retain(|key, _| !key.starts_with("XMP-captioning:"));
        let description = found.remove("XMP-dc:Description");
        let alt_text = found.remove("XMP-iptcCore:AltTextAccessibility");
        let Some(wanted) = wanted else {
            before = found.into_iter().collect::<BTreeMap<_, _>>();
            continue;
        };
        assert_eq!(alt_text, Some(Value::from(wanted.clone())));
        assert_eq!(description, Some(Value::from(wanted)));
        assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), before);
    }
}
