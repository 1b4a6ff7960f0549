//! Shards in an object store, on a server of S3's protocol: what comes of them is what comes of files.

use std::path::PathBuf;
use std::process::Command;

use artifacts::Manifest;
use artifacts::captions::{self, CaptionRow};
use artifacts::images::{ImageRow, Images};
use images::ImageSource;
use needs::S3;
use serde_json::json;

use crate::archives::samples;
use crate::run::{Run, copy, fixtures, says, summary};

/// Where a process of its own finds the dataset whose locators it follows.
const DATASET: &str = "S3_TEST_DATASET";

/// In a process of its own: the bytes at every locator are those of its hash.
#[test]
fn follows_every_locator() {
    let Some(dataset) = std::env::var_os(DATASET).map(PathBuf::from) else { return };
    let images = Images::open(&dataset).unwrap();
    let source = ImageSource::open(&images.root).unwrap();
    let rows = images.parts.all().unwrap();
    // From the last to the first, which no block is fetched ahead for.
    rows.iter().rev().for_each(|row| drop(source.image(row).unwrap()));
    println!("followed {}", rows.len());
}

fn rows(run: &Run) -> (Vec<ImageRow>, Vec<CaptionRow>) {
    let images = Images::open(&run.dataset()).unwrap().parts.all().unwrap();
    (images, captions::open(&run.dataset()).unwrap().all().unwrap())
}

/// The dataset of this layout from files, and from the store in the ways that it can be named.
fn same_from_files_and_from_the_store(layout: &str, places: &[&str], fill: impl Fn(&Run)) {
    let run = Run::new(layout);
    fill(&run);
    let Some(server) = S3::start(&run.path("raw")) else { return };
    run.make(&[]);
    let from_files = rows(&run);
    let unfetched = summary(&Manifest::read(&run.dataset()).unwrap(), "unfetched");
    for place in places {
        run.configure(layout, place);
        let output = server.environment(&mut run.command(&[])).output().unwrap();
        assert!(output.status.success(), "{place}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(rows(&run) == from_files, "{place} gives other rows");
        assert_eq!(summary(&Manifest::read(&run.dataset()).unwrap(), "unfetched"), unfetched, "{place}");
        let mut follow = Command::new(std::env::current_exe().unwrap());
        follow.args(["--exact", "s3::follows_every_locator", "--nocapture"]).env(DATASET, run.dataset());
        let output = server.environment(&mut follow).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        says(&said, &[&format!("followed {}", from_files.0.len())]);
        // Nothing has changed, which the listing says.
        let output = server.environment(&mut run.command(&[])).output().unwrap();
        says(&String::from_utf8_lossy(&output.stderr), &["up to date"]);
    }
    for (place, piece) in [("s3://bucket/nothing", "file here"), ("s3://nobody/set", "s3://nobody/set")] {
        run.configure(layout, place);
        let output = server.environment(&mut run.command(&[])).output().unwrap();
        assert!(!output.status.success());
        says(&String::from_utf8_lossy(&output.stderr), &[piece]);
    }
}

#[test]
fn archives_in_a_store_are_those_of_files() {
    let places = ["s3://bucket/set", "s3://bucket/set/{00000..00001}.tar"];
    same_from_files_and_from_the_store("webdataset", &places, |run| {
        copy(&fixtures("img2dataset"), &run.path("raw"));
    });
    let places = ["s3://bucket/set/", "s3://bucket/set/{0..2}.tar"];
    same_from_files_and_from_the_store("webdataset", &places, |run| {
        for number in 0..3_u32 {
            run.raw(&format!("{number}.tar"), &samples(number * 50..number * 50 + 50));
        }
    });
}

#[test]
fn tables_in_a_store_are_those_of_files() {
    same_from_files_and_from_the_store("parquet", &["s3://bucket/set"], |run| {
        copy(&fixtures("huggingface"), &run.path("raw"));
    });
    let run = Run::new("parquet");
    copy(&fixtures("img2dataset-parquet"), &run.path("raw"));
    assert_eq!(summary(&run.make(&[]), "unfetched"), json!({"failed_to_download": 1, "failed_to_resize": 1}));
}
