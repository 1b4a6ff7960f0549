//! Captions and references of many programs, paired by image.

use super::*;

const REFERENCES: &str = r#"{"images": [{"id": 1}, {"id": 2}], "annotations": [
    {"image_id": 2, "id": 1, "caption": "a cat"}, {"image_id": 1, "id": 2, "caption": "A dog runs."},
    {"image_id": 1, "id": 3, "caption": "a dog\u2028outside"}]}"#;

fn references(text: impl AsRef<[u8]>) -> anyhow::Result<ReferenceFile> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    ReferenceFile::read(file.path())
}

/// The captions in `text` beside `references`.
fn paired(text: impl AsRef<[u8]>, references: &ReferenceFile) -> anyhow::Result<Hypotheses> {
    let path = Path::new("h.json");
    Hypotheses::of(path, &CaptionFile::parse(path, text.as_ref().to_vec(), references)?, references)
}

fn hypotheses(text: impl AsRef<[u8]>) -> anyhow::Result<Hypotheses> {
    paired(text, &references(REFERENCES)?)
}

fn refused(text: impl AsRef<[u8]>) -> String {
    format!("{:#}", hypotheses(text).unwrap_err())
}

#[test]
fn captions_pair_up_by_image_whatever_their_order() {
    let references = references(REFERENCES).unwrap();
    assert_eq!(references.tokens()[0], [vec!["a", "dog", "runs"], vec!["a", "dog", "outside"]]);
    let hypotheses = hypotheses(
        r#"[{"image_id": "2", "caption": "a\ncat"}, {"image_id": 1, "caption": "Dog!", "beam": 3}]"#,
    );
    assert_eq!(hypotheses.unwrap().tokens(), [vec!["dog"], vec!["a", "cat"]]);
}

#[test]
fn images_that_do_not_fit_are_named() {
    let missing = refused(r#"[{"image_id": 1, "caption": "a dog"}]"#);
    assert!(missing.contains("1 images (2) have references but no hypothesis"), "{missing}");
    let twice = refused(
        r#"[{"image_id": 1, "caption": "a"}, {"image_id": 2, "caption": "b"}, {"image_id": 1, "caption": "c"}]"#,
    );
    assert!(twice.contains("1 images (1) have more than one hypothesis"), "{twice}");
    let unknown = refused(
        r#"[{"image_id": 1, "caption": "a"}, {"image_id": 2, "caption": "b"}, {"image_id": 7, "caption": "c"}]"#,
    );
    assert!(unknown.contains("1 images (7) have a hypothesis but no references"), "{unknown}");
}

#[test]
fn ids_and_shapes_of_many_programs_are_the_same() {
    let spoken = [vec!["dog"], vec!["a", "cat"]];
    for text in [
        r#"{"1": ["dog"], "2": ["a cat"]}"#,
        r#"{"2": "a cat", "1": "dog"}"#,
        r#"{"1": [{"caption": "dog"}], "2": [{"caption": "a cat"}]}"#,
        r#"[{"image_id": 1.0, "caption": "dog"}, {"image_id": "2", "caption": "a cat"}]"#,
        "\u{feff}[{\"image_id\": 1, \"caption\": \"dog\"}, {\"image_id\": 2, \"caption\": \"a cat\"}]",
    ] {
        assert_eq!(hypotheses(text).unwrap().tokens(), spoken, "{text}");
    }
    let dogs = r#"[{"image_id": "1", "caption": "dog"}, {"image_id": "2.0", "caption": "a cat"}]"#;
    for text in [
        r#"{"1": ["a dog", "it runs"], "2": "a cat"}"#,
        r#"{"1": [{"caption": "a dog"}, {"caption": "it runs"}], "2": [{"caption": "a cat"}]}"#,
        r#"[{"image_id": 2, "caption": "a cat"}, {"image_id": 1, "caption": "a dog"}, {"image_id": 1.0, "caption": "it runs"}]"#,
        r#"{"images": [{"imgid": 0, "cocoid": 1, "filename": "x.jpg", "sentences": [{"raw": "a dog"}, {"raw": "it runs"}]},
                       {"imgid": 1, "cocoid": 2, "filename": "y.jpg", "sentences": [{"tokens": ["a", "cat"]}]}]}"#,
        r#"{"annotations": [{"image_id": 1, "caption": ["a dog", "it runs"]}, {"image_id": "2", "caption": "a cat"}]}"#,
    ] {
        let references = references(text).unwrap();
        assert_eq!(
            references.tokens(),
            [vec![vec!["a", "dog"], vec!["it", "runs"]], vec![vec!["a", "cat"]]],
            "{text}"
        );
        assert_eq!(paired(dogs, &references).unwrap().tokens(), spoken, "{text}");
    }
}

#[test]
fn tables_are_scored_as_datasets_read_them() {
    let references = [
        "image_id,caption\n1,a dog\n1,\"it, runs\"\n2,a cat\n",
        "\u{feff}caption;image_id\r\na dog;1.0\r\nit, runs;1.0\r\na cat;2.0\r\n",
        "{\"image_id\": 1, \"caption\": \"a dog\"}\n{\"image_id\": 1, \"caption\": \"it runs\"}\n{\"image_id\": 2, \"text\": \"a cat\"}\n",
    ];
    let captions = [
        r#"[{"image_id": 2, "caption": "cat"}, {"image_id": 1, "caption": "dog"}]"#,
        r#"[{"id": 2, "text": "cat"}, {"id": 1, "text": "dog"}]"#,
        "image_id\tcaption\n2\tcat\n1\tdog\n",
        "{\"image_id\": \"2\", \"caption\": \"cat\"}\n{\"image_id\": \"1\", \"caption\": \"dog\"}\n",
    ];
    for text in references {
        let references = self::references(text).unwrap();
        let expected = [vec![vec!["a", "dog"], vec!["it", "runs"]], vec![vec!["a", "cat"]]];
        assert_eq!(references.tokens(), expected, "{text}");
        for captions in captions {
            assert_eq!(paired(captions, &references).unwrap().tokens(), [["dog"], ["cat"]], "{captions}");
        }
    }
    // Flickr8k's own file, and captions that `caption --format csv` wrote of a folder.
    let references = self::references("a.jpg#0\ta dog\na.jpg#1\tit runs\nb.jpg#0\ta cat\n").unwrap();
    let written =
        "path,start,end,rank,caption,log_probability\nalbum/b.jpg,,,1,cat,-1.5\nalbum/a.jpg,,,1,dog,-2\n";
    assert_eq!(paired(written, &references).unwrap().tokens(), [["dog"], ["cat"]]);
    // Two photos of one name stay two.
    let namesakes = "path,caption\nx/a.jpg,dog\ny/a.jpg,cat\n";
    let unknown = paired(namesakes, &references).unwrap_err().to_string();
    assert!(unknown.contains("2 images (x/a.jpg, y/a.jpg) have a hypothesis but no references"), "{unknown}");
}

#[test]
fn rows_that_are_none_are_said() {
    let references =
        references("image_id,caption\n1,a dog\n1,a dog, asleep\n1,it runs\n2,a cat\n2,it sits\n").unwrap();
    assert_eq!(references.tokens()[0], [["a", "dog"], ["it", "runs"]]);
    let warnings = references.warnings();
    assert!(
        warnings.len() == 1 && warnings[0].starts_with("1 rows are not read, the first at "),
        "{warnings:?}"
    );
    assert!(warnings[0].contains(":3: 3 fields under 2 columns"), "{warnings:?}");
    let captions = paired("image_id,caption\n1,dog\n1,dog,asleep\n2,cat\n", &references).unwrap();
    assert!(captions.warnings()[0].contains("h.json:3: 3 fields"), "{:?}", captions.warnings());
}

#[test]
fn captions_may_name_images_by_their_files() {
    let karpathy = r#"{"images": [{"imgid": 7, "filename": "a.jpg", "sentences": ["a dog"]}, {"imgid": 8, "filename": "b.jpg", "sentences": ["a cat"]}]}"#;
    let coco = r#"{"images": [{"id": 7, "file_name": "set/a.jpg"}, {"id": 8, "file_name": "set/b.jpg"}],
        "annotations": [{"image_id": 7, "caption": "a dog"}, {"image_id": 8, "caption": "a cat"}]}"#;
    for text in [karpathy, coco] {
        let references = references(text).unwrap();
        for ids in [["7", "8"], ["a", "b"], ["a.jpg", "b.jpg"]] {
            let text = format!(r#"{{"{}": "dog", "{}": "cat"}}"#, ids[0], ids[1]);
            assert_eq!(paired(&text, &references).unwrap().tokens(), [["dog"], ["cat"]], "{text}");
        }
        let missing = paired(r#"{"a": "dog"}"#, &references).unwrap_err().to_string();
        assert!(
            missing.contains("1 images (b) have references but no hypothesis")
                && missing.contains("--subset"),
            "{missing}"
        );
    }
}

#[test]
fn the_same_caption_again_is_no_contradiction() {
    let twice = hypotheses(r#"{"1": ["dog", "dog"], "2": "a cat"}"#).unwrap();
    assert_eq!(twice.tokens(), [vec!["dog"], vec!["a", "cat"]]);
    assert_eq!(
        twice.warnings(),
        ["1 of 2 hypotheses stand in the file more than once, each with the same caption"]
    );
    assert!(refused(r#"{"1": "dog", "1": "cat", "2": "a"}"#).contains("1 images (1) have more than one"));
}

#[test]
fn a_part_of_the_images_is_scored_only_when_asked_for() {
    let mut references = references(REFERENCES).unwrap();
    let captions = CaptionFile::parse(Path::new("h"), br#"{"2": "a cat"}"#.to_vec(), &references).unwrap();
    references.keep_named(&captions);
    assert_eq!(references.tokens(), [[["a", "cat"]]]);
    assert_eq!(Hypotheses::of(Path::new("h"), &captions, &references).unwrap().tokens(), [["a", "cat"]]);
}

#[test]
fn files_of_another_shape_are_refused_with_the_right_one() {
    let empty = references("[]").err().unwrap();
    assert!(format!("{empty:#}").contains("no annotations"), "{empty:#}");
    for text in [r#"{"annotations": []}"#, "{}", r#"{"1": []}"#] {
        assert!(format!("{:#}", references(text).err().unwrap()).contains("no annotations"), "{text}");
    }
    for text in ["3", r#"{"1": 2}"#, r#"{"annotations": 3}"#, r#"{"images": [{"id": 1}]}"#] {
        let message = format!("{:#}", references(text).err().unwrap());
        assert!(message.contains(r#"expected JSON of the shape {"annotations""#), "{text}: {message}");
    }
    for text in
        [r#"{"1": 3}"#, r#"[{"image_id": 1}]"#, r#"[{"image_id": 1.5, "caption": "a"}]"#, "[", "", REFERENCES]
    {
        let message = refused(text);
        assert!(message.contains(r#"expected JSON of the shape [{"image_id""#), "{text}: {message}");
    }
    assert!(refused(r#"[{"image_id": 1.5, "caption": "a"}]"#).contains("[0].image_id: 1.5 is no id"));
    // NaN is no JSON, and a byte that is no UTF-8 no text.
    let nan = refused(r#"[{"image_id": 1, "caption": "a", "score": NaN}]"#);
    assert!(nan.contains("NaN at line 1") && nan.contains("Python"), "{nan}");
    assert!(refused(b"[{\"image_id\": 1, \"caption\": \"a \xff dog\"}]").contains("h.json:1: not UTF-8"));
}

#[test]
fn what_moves_scores_is_said() {
    let found = hypotheses(
        r#"[{"image_id": 1, "caption": "<bos> a dog <eos>"}, {"image_id": 2, "caption": "a <UNK> cat"}]"#,
    );
    let warnings = found.unwrap().warnings().join("\n");
    assert!(warnings.contains("1 of 2 hypotheses hold special tokens"), "{warnings}");
    assert!(warnings.contains("1 of 2 hypotheses hold <unk>"), "{warnings}");
    let empty = hypotheses(r#"[{"image_id": 1, "caption": " . "}, {"image_id": 2, "caption": "a cat"}]"#);
    assert_eq!(empty.unwrap().warnings(), ["1 of 2 hypotheses are empty and score 0"]);
    let single = references(REFERENCES).unwrap().warnings();
    assert!(single[0].starts_with("1 of 2 images have a single reference"), "{single:?}");
}
