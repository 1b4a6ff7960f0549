//! Parquet files: which columns are read in which form, and what is said of those that are not.

use std::collections::BTreeMap;
use std::process::Command;

use artifacts::Split;
use serde_json::json;

use crate::run::{Run, map, picture, says, summary, warnings};

/// A run beside the tables that PyArrow writes; none without a Python that has it.
fn made() -> Option<Run> {
    let python = needs::python("import pyarrow")?;
    let run = Run::new("parquet");
    for number in 0..6 {
        run.raw(&format!("{number}.png"), &picture(number));
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shards/make_tables.py");
    let output = Command::new(python).arg(script).arg(run.path("raw")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(run)
}

impl Run {
    fn case(&self, name: &str) {
        self.configure("parquet", &self.path("raw").join(name).display().to_string());
    }
}

#[test]
fn the_tables_of_the_hub_are_read() {
    let Some(run) = made() else { return };
    let case = |name: &str, wanted: &[(&str, &[&str])]| {
        run.case(name);
        run.make(&[]);
        assert_eq!(run.captions(), map(wanted), "{name}");
    };
    case("jxie", &[("0", &["a0", "a1", "a2", "a3", "a4"]), ("1", &["b0", "b1", "b2", "b3", "b4"])]);
    let flickr: [(&str, &[&str]); 3] = [("0", &["one", "two"]), ("1", &["three"]), ("2", &["four"])];
    case("nlphuji", &flickr);
    let splits: Vec<Split> = run.found().into_values().map(|found| found.row.split).collect();
    assert_eq!(splits, [Split::Train, Split::Val, Split::Test]);
    case("lmms", &flickr);
    let two: [(&str, &[&str]); 2] = [("0", &["one", "two"]), ("1", &["three"])];
    for name in ["karpathy", "coco2014", "coco2017", "text"] {
        case(name, &two);
    }
    let one: [(&str, &[&str]); 2] = [("0", &["one"]), ("1", &["two"])];
    for name in ["large", "view", "dictionary"] {
        case(name, &one);
        assert_eq!(run.found()["1"].row.split, Split::Val, "{name}");
    }
    case("binary", &[("train-00000-of-00001/000000", &["one"]), ("train-00000-of-00001/000001", &["two"])]);
    case("paths", &one);
    assert_eq!(run.found()["1"].row.row, None);
    case("mask", &one);
    assert_eq!(run.found()["0"].row.content_hash, artifacts::recipe::digest(&picture(0)));
    case("nested", &[("n", &["one"])]);
    case("none", &[("0", &["one"])]);
    case("unlabelled", &one);
    case("described", &[("0", &["one"])]);
    run.case("dots");
    run.make(&["--set", "dataset.caption_column=\"the.caption\""]);
    assert_eq!(run.captions(), map(&[("0", &["one"])]));
    let six: BTreeMap<String, Vec<String>> =
        (0..6).map(|number| (number.to_string(), vec![format!("picture {number}")])).collect();
    for name in ["snappy", "zstd", "lz4", "none", "v2"] {
        run.case(&format!("packed-{name}"));
        let output = run.output(&[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        assert_eq!(run.captions(), six, "{name}");
    }
}

#[test]
fn what_a_table_lacks_is_said() {
    let Some(run) = made() else { return };
    let refused = |name: &str, set: &[&str], pieces: &[&str]| {
        run.case(name);
        says(&run.refused(set), pieces);
    };
    let columns = "its columns are sentences: List";
    refused(
        "urls",
        &[],
        &["urls/train-00000-of-00001.parquet has no column of images", columns, "url: Utf8"],
    );
    refused("conceptual", &[], &["has no column of images", "image_url: Utf8"]);
    refused("list", &[], &["images holds several images a row"]);
    refused("schemas", &[], &["schemas/b.parquet has no column of images"]);
    refused(
        "two",
        &[],
        &["it has text and description, and only one can be `caption`", "dataset.caption_column"],
    );
    refused("number", &[], &["number/train-00000-of-00001.parquet", "its captions are no text"]);
    refused("labels", &[], &["labels/train-00000-of-00001.parquet", "column `split` is Int64, not text"]);
    for codec in ["gzip", "brotli"] {
        refused(&format!("packed-{codec}"), &[], &["cannot be read as Parquet", codec]);
    }
    let set = ["--set", "dataset.caption_column=\"title\""];
    refused("text", &set, &["dataset.caption_column = \"title\"", "its columns are image, text"]);

    run.case("nulls");
    let manifest = run.make(&["--set", "dataset.max_bad_fraction=1"]);
    let name = "train-00000-of-00001.parquet";
    let stem = "train-00000-of-00001";
    let first = format!("{stem}/000000");
    assert_eq!(run.captions(), map(&[(&first, &["one"]), ("beside", &["two"]), ("z", &["three"])]));
    let said = warnings(&manifest);
    for (row, reason) in [
        (0, "the first of 2 skipped: empty caption"),
        (1, "the first of 2 skipped: its row holds no bytes"),
        (4, "the first of 2 skipped: its row holds no bytes, and its path no file beside the Parquet file"),
        (6, "skipped: no caption"),
    ] {
        let wanted = (format!("{name} {row:06}"), reason.to_owned());
        assert!(said.contains(&wanted), "{wanted:?} is not in {said:?}");
    }

    run.case("statuses");
    let manifest = run.make(&[]);
    assert_eq!(run.captions().len(), 1);
    assert_eq!(summary(&manifest, "unfetched"), json!({"failed_to_download": 2, "failed_to_resize": 1}));

    let whole = std::fs::read(run.path("raw/packed-zstd").join(name)).unwrap();
    for length in [0, 3, whole.len() / 2, whole.len() - 1] {
        run.raw("cut/a.parquet", &whole[..length]);
        refused("cut", &[], &["cut/a.parquet cannot be read as Parquet"]);
    }
    let mut damaged = whole.clone();
    let end = whole.len();
    damaged[end - 60..end - 10].fill(0xAA); // in the footer
    run.raw("cut/a.parquet", &damaged);
    refused("cut", &[], &["cut/a.parquet cannot be read as Parquet"]);
}
