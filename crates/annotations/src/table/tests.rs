//! One small table in the dress of many programs.

use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Result<Table, ReadError> {
    parse(Path::new("t.csv"), text)
}

/// Image, captions and split of every row.
fn rows(text: &str) -> Vec<(String, Vec<String>, Option<String>)> {
    let table = parsed(text).unwrap();
    assert!(table.odd.is_empty(), "{:?}", table.odd);
    table.rows.into_iter().map(|row| (row.image, row.captions, row.split)).collect()
}

fn row(image: &str, captions: &[&str], split: Option<&str>) -> (String, Vec<String>, Option<String>) {
    (image.to_owned(), captions.iter().map(|&caption| caption.to_owned()).collect(), split.map(str::to_owned))
}

fn lines_of(table: &Table) -> Vec<String> {
    table.rows.iter().map(|row| row.at.to_string()).collect()
}

#[test]
fn a_table_is_the_same_whoever_wrote_it() {
    let expected = [row("x/a.jpg", &["A cat, asleep"], None), row("b.png", &["A dog"], None)];
    for text in [
        "image,caption\nx/a.jpg,\"A cat, asleep\"\nb.png,A dog\n",
        ",image,caption\n0,x/a.jpg,\"A cat, asleep\"\n1,b.png,A dog\n",
        "Unnamed: 0,caption,image,\n0,\"A cat, asleep\",x/a.jpg,\n1,A dog,b.png,\n",
        "image;caption\nx/a.jpg;A cat, asleep\nb.png;A dog\n;\n",
        "sep=;\r\nimage;caption\r\nx/a.jpg;A cat, asleep\r\nb.png;A dog\r\n",
        "image\tcaption\nx/a.jpg\tA cat, asleep\nb.png\tA dog\n",
        "image|caption\nx/a.jpg|A cat, asleep\nb.png|A dog",
        "\"Image\",\"Caption\"\n\"x/a.jpg\",\"A cat, asleep\"\n\"b.png\",\"A dog\"\n",
        "IMAGE_NAME , Comment\n\"x/a.jpg\" , \"A cat, asleep\"\n\"b.png\",\t\"A dog\"\n",
        "file_name,text,license\nx/a.jpg,\"A cat, asleep\",3\nb.png,A dog,\n",
        "image_id,image path,sentence\n1,x/a.jpg,\"A cat, asleep\"\n2,b.png,A dog\n",
        "filename,raw\nx/a.jpg,\"[\"\"A cat, asleep\"\"]\"\nb.png,\"[\"\"A dog\"\"]\"\n",
        "filepath\ttitle\nx/a.jpg\t['A cat, asleep']\nb.png\t[\"A dog\"]\n",
        "x/a.jpg#0\tA cat, asleep\r\n\r\nb.png#0\tA dog\r\n",
        r#"{"x/a.jpg": ["A cat, asleep"], "b.png": "A dog"}"#,
        "{\n \"x/a.jpg\": [{\"caption\": \"A cat, asleep\"}],\n \"b.png\": {\"raw\": \"A dog\"}\n}\n",
        r#"[{"image": "x/a.jpg", "caption": "A cat, asleep"}, {"image": "b.png", "captions": ["A dog"]}]"#,
        r#"{"data": [{"image": "x/a.jpg", "text": "A cat, asleep"}, {"image": "b.png", "text": "A dog"}]}"#,
        "{\"file_name\": \"x/a.jpg\", \"text\": \"A cat, asleep\"}\r\n\r\n{\"file_name\": \"b.png\", \"text\": \"A dog\"}\n",
    ] {
        let found = rows(text);
        let found: Vec<_> = found
            .into_iter()
            .map(|(image, captions, split)| {
                row(
                    image.trim(),
                    &captions.iter().map(|text| text.trim()).collect::<Vec<_>>(),
                    split.as_deref(),
                )
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn splits_and_captions_side_by_side_are_read() {
    let text = "image,Split,caption_1,caption_2\na.jpg,val,A cat,It sleeps\nb.jpg,,A dog,\nc.jpg, train ,,\n";
    let expected = [
        row("a.jpg", &["A cat", "It sleeps"], Some("val")),
        row("b.jpg", &["A dog"], None),
        row("c.jpg", &["", ""], Some("train")),
    ];
    assert_eq!(rows(text), expected);
    let json = r#"{"image": "a.jpg", "captions": ["A", null], "split": null, "caption_number": 4}"#;
    assert_eq!(rows(json), [row("a.jpg", &["A", ""], None)]);
}

#[test]
fn lists_in_a_field_are_its_sentences() {
    let cases = [
        (r#"['It\'s a cat', "a dog's"]"#, vec!["It's a cat", "a dog's"]),
        (r#"["a \"big\" dog", "é\u00e9"]"#, vec!["a \"big\" dog", "éé"]),
        ("[]", vec![]),
        ("[a cat] and more", vec!["[a cat] and more"]),
        ("['a', 3]", vec!["['a', 3]"]),
        ("'a cat'", vec!["'a cat'"]),
    ];
    for (field, captions) in cases {
        assert_eq!(
            rows(&format!("image\tcaption\na.jpg\t{field}\n")),
            [row("a.jpg", &captions, None)],
            "{field}"
        );
    }
}

#[test]
fn numbers_of_captions_are_no_part_of_the_image() {
    let table = "image,caption\na.jpg#0,A\na.jpg#1,B\n";
    assert_eq!(rows(table), [row("a.jpg", &["A"], None), row("a.jpg", &["B"], None)]);
    for images in [["a#1", "a#2"], ["a.jpg#0", "b.jpg"], ["a.jpg#x", "b.jpg#0"]] {
        let table = format!("image,caption\n{},A\n{},B\n", images[0], images[1]);
        let expected = [row(images[0], &["A"], None), row(images[1], &["B"], None)];
        assert_eq!(rows(&table), expected, "{table}");
    }
}

#[test]
fn images_may_be_numbers_in_json() {
    let text = "{\"image_id\": 3, \"id\": 9, \"caption\": \"A\"}\n{\"image_id\": 4.0, \"id\": 10, \"caption\": \"B\"}\n";
    assert_eq!(rows(text), [row("3", &["A"], None), row("4", &["B"], None)]);
    assert_eq!(rows(r#"{"7": ["A", null], "7": "B"}"#), [row("7", &["A", ""], None), row("7", &["B"], None)]);
}

#[test]
fn rows_that_do_not_fit_are_counted_with_their_line() {
    let table =
        parsed("image,caption\r\na.jpg,\"A\r\ncat\"\r\nb.jpg,A dog, asleep\r\nc.jpg\r\n\r\nd.jpg,A cow\r\n")
            .unwrap();
    assert_eq!(lines_of(&table), ["t.csv:2", "t.csv:7"]);
    let odd: Vec<String> = table.odd.iter().map(|(at, why)| format!("{at}: {why}")).collect();
    assert_eq!(
        odd,
        [
            "t.csv:4: 3 fields under 2 columns; put captions that hold commas in double quotes",
            "t.csv:5: 1 fields under 2 columns; a separator is missing",
        ]
    );
    let bars = "image_name| comment_number| comment\n1.jpg| 0| \"Go !\" he says .\n1.jpg| 1   Two dogs .\n1.jpg| 2| A \" sign .\n";
    let table = parsed(bars).unwrap();
    assert_eq!(table.odd[0].0.to_string(), "t.csv:3");
    let captions: Vec<&str> = table.rows.iter().map(|row| row.captions[0].as_str()).collect();
    assert_eq!(captions, ["\"Go !\" he says .", "A \" sign ."]);
    assert_eq!(table.unread, ["comment_number"]);
}

#[test]
fn what_is_written_in_quotes_stays_as_it_is() {
    let text = "image,caption\n\" a.jpg\",\"A \"\"big\"\" dog\"\nb.jpg,A \"small\" dog\nc.jpg, \"no\" quotes\nd.jpg, \"lone\ne.jpg,x\"\n";
    let images: Vec<(String, String)> =
        rows(text).into_iter().map(|(image, captions, _)| (image, captions.concat())).collect();
    let pairs = [
        (" a.jpg", "A \"big\" dog"),
        ("b.jpg", "A \"small\" dog"),
        ("c.jpg", " \"no\" quotes"),
        ("d.jpg", " \"lone"),
        ("e.jpg", "x\""),
    ];
    assert_eq!(images, pairs.map(|(image, caption)| (image.to_owned(), caption.to_owned())));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let many = "text,".repeat(9000);
    let cases: [(&str, &[&str]); 23] = [
        ("", &["t.csv: it is empty", "image,caption"]),
        ("a.jpg,A cat\n", &["it has a.jpg,A cat"]),
        ("name;words\n", &["it has name,words"]),
        ("image,caption,caption\na.jpg,A,B\n", &["it has caption and caption", "`caption`"]),
        (&many, &["it has text and text and", "…, and only one"]),
        // A blank before the quote hides it from the parser, and with it that these are two columns.
        ("image, \"x,caption\"\na.jpg,A\n", &["it has image,x,caption"]),
        ("file_name,path,text\na,b,c\n", &["it has file_name and path", "`image`"]),
        ("image,caption\na.jpg,\"A cat\na.jpg,A dog\n", &["t.csv:2", "never closed"]),
        ("image,caption\r\na.jpg,\"A cat\r\na.jpg,\"A dog\"\r\n", &["t.csv:2", "after a closing quote"]),
        ("image,caption\n\"a\nb.jpg\",A \"cat\"\na.jpg,\"A\"cat\n", &["t.csv:4", "after a closing quote"]),
        ("{\"image\": \"a.jpg\", \"caption\": \"A cat\"", &["t.csv:1", "EOF"]),
        (r#"{"image": "a.jpg"}"#, &["t.csv:1", "a row with image", "`caption`"]),
        (r#"{"image": "a.jpg", "caption": "A", "captions": ["B"]}"#, &["t.csv:1", "either"]),
        (r#"{"image": true, "caption": "A"}"#, &["`image` is true, not a text"]),
        (r#"{"image": 3.5, "caption": "A"}"#, &["t.csv:1", "`image`", "3.5 is no id"]),
        (r#"{"image": "a.jpg", "caption": "A", "split": 1}"#, &["`split` is 1, not a text"]),
        (r#"{"image": {"0": "a.jpg"}, "caption": {"0": "A"}}"#, &["`image` is {", "whole column", "records"]),
        (r#"{"a.jpg": 3}"#, &["t.csv: a.jpg: invalid type", r#"{"IMAGE": ["…", "…"], …}"#]),
        ("a.jpg#0\tA cat\na.jpg\tA dog\n", &["t.csv:2", "`image.jpg#0`, a tab"]),
        ("{\"image\": \"a.jpg\",\n\"captions\": [\n1]}", &["t.csv:1", "`captions`"]),
        (r#"{"image": "a.jpg", "caption": NaN}"#, &["t.csv:1", "Python"]),
        ("{\"images\": [],\n\"annotations\": []}", &["layouts of their own"]),
        (r#"[{"image": "a.jpg", "caption": 3}]"#, &["[0]", "integer `3`"]),
    ];
    for (text, parts) in cases {
        let message = parsed(text).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)) && message.len() < 600, "{message}");
    }
}

proptest! {
    #[test]
    fn what_is_quoted_comes_back(
        fields in proptest::collection::vec(("[^\u{feff}]{1,12}", "[^\u{feff}]{0,12}"), 1..6),
        separator in prop_oneof![Just(b','), Just(b';'), Just(b'\t')],
    ) {
        let mut writer = csv::WriterBuilder::new().delimiter(separator).quote_style(csv::QuoteStyle::Always).from_writer(vec![]);
        writer.write_record(["image", "caption"]).unwrap();
        for (image, caption) in &fields {
            writer.write_record([&format!("x{image}"), caption]).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let table = parsed(&text).unwrap();
        prop_assert!(table.odd.is_empty());
        let list = |caption: &String| caption.trim_start().starts_with('[');
        for (row, (image, caption)) in table.rows.iter().zip(&fields) {
            prop_assert_eq!(&row.image, &format!("x{image}"));
            prop_assert!(list(caption) || row.captions == [caption.clone()]);
        }
        prop_assert_eq!(table.rows.len(), fields.len());
    }

    #[test]
    fn any_text_is_a_table_or_an_error(text in "(image|caption|[,;|\t\"\n\r {}\\[\\]:]|[a-c]){0,40}") {
        if let Ok(table) = parsed(&text) {
            let lines = text.bytes().filter(|&byte| byte == b'\n').count() as u64 + 1;
            for row in &table.rows {
                prop_assert!(!matches!(row.at.place, crate::Place::Line(line) if line > lines));
            }
        }
    }
}
