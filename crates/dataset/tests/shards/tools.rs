//! What the programs write that people use: small files of theirs, which `fixtures/make_fixtures.py` has made.

use std::fs;

use artifacts::Split;
use serde_json::json;

use crate::archives::samples;
use crate::run::{Run, copy, fixtures, map, says, summary, warnings};

#[test]
fn what_img2dataset_leaves_is_read_with_its_failures() {
    let run = Run::new("webdataset");
    copy(&fixtures("img2dataset"), &run.path("raw"));
    let manifest = run.make(&[]);
    let wanted: [(&str, &[&str]); 4] = [
        ("000000", &["a red square"]),
        ("000001", &["a green square"]),
        ("000002", &["a blue square"]),
        ("000011", &["a gray square"]),
    ];
    assert_eq!(run.captions(), map(&wanted));
    assert_eq!(summary(&manifest, "unfetched"), json!({"failed_to_download": 1, "failed_to_resize": 1}));
    let said = warnings(&manifest);
    let wanted =
        ("failed_to_resize".to_owned(), "1 images were never fetched, as img2dataset says".to_owned());
    assert!(said.contains(&wanted), "{said:?}");
    // Names by a pattern find it too.
    let by_folder = run.tables();
    run.configure("webdataset", &run.path("raw/{00000..00001}.tar").display().to_string());
    let manifest = run.make(&[]);
    assert_eq!(summary(&manifest, "unfetched"), json!({"failed_to_download": 1, "failed_to_resize": 1}));
    assert_eq!(run.tables().len(), by_folder.len());

    run.configure("webdataset", &run.path("raw").display().to_string());
    let stats = fs::read_to_string(run.path("raw/00000_stats.json")).unwrap();
    run.raw("00000_stats.json", stats.replace("\"successes\": 3", "\"successes\": 4").as_bytes());
    says(
        &run.refused(&[]),
        &["00000.tar holds 3 images, 00000_stats.json says 4: fetch or write the shard again"],
    );
    run.raw("00000_stats.json", b"{");
    says(&run.refused(&[]), &["00000_stats.json", "EOF"]);
    fs::remove_file(run.path("raw/00000_stats.json")).unwrap();
    says(
        &run.refused(&[]),
        &["00000.tar: without the _stats.json that img2dataset writes last", "run img2dataset again"],
    );
    run.raw("00000_stats.json", stats.as_bytes());
    run.raw("x.tar", &samples(0..1));
    says(&run.refused(&[]), &["x.tar: without the _stats.json"]);
}

#[test]
fn img2datasets_parquet_is_read() {
    let run = Run::new("parquet");
    copy(&fixtures("img2dataset-parquet"), &run.path("raw"));
    let manifest = run.make(&[]);
    let captions: Vec<Vec<String>> = run.captions().into_values().collect();
    assert_eq!(captions, [["a red square"], ["a green square"], ["a blue square"], ["a gray square"]]);
    assert_eq!(summary(&manifest, "unfetched"), json!({"failed_to_download": 1, "failed_to_resize": 1}));
}

#[test]
fn a_table_of_others_beside_an_archive_says_nothing() {
    let run = Run::new("webdataset");
    run.raw("train.tar", &samples(0..2));
    fs::copy(fixtures("huggingface/TEST-00000-of-00001.parquet"), run.path("raw/train.parquet")).unwrap();
    let manifest = run.make(&[]);
    assert_eq!((run.found().len(), summary(&manifest, "unfetched").is_null()), (2, true));
}

#[test]
fn webdatasets_own_archives_are_read() {
    let run = Run::new("webdataset");
    copy(&fixtures("webdataset"), &run.path("raw"));
    run.make(&[]);
    let long = format!("folder/{}", "k".repeat(120));
    assert_eq!(run.captions(), map(&[("000000", &["a red square"]), (&long, &["a green square"])]));
}

#[test]
fn tables_of_the_library_datasets_are_read() {
    let run = Run::new("parquet");
    copy(&fixtures("huggingface"), &run.path("raw"));
    run.make(&[]);
    let wanted: [(&str, &[&str]); 3] = [
        ("0", &["a red square", "a colour"]),
        ("1", &["a green square", "a colour"]),
        ("2", &["a blue square", "a colour"]),
    ];
    assert_eq!(run.captions(), map(&wanted));
    assert_eq!(run.found()["1"].row.split, Split::Val);
}
