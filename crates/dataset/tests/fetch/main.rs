//! Public sets from a server that is not always well, to a folder that the stage reads.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what goes wrong here fails a test")]

mod archives; // what is unpacked, and what is refused
mod downloads; // cut, killed, changed, refused
mod server;
mod sets;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use dataset::fetch::Set;
use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use server::Server;
use sets::{fetch, flickr8k, message, remote, set, unpacked};

/// Whether there is a curl.
#[track_caller]
fn curl() -> bool {
    needs::program("curl", &["--version"])
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_dataset"))
}

/// What the stage says of the dataset that it made.
fn stage(program: &mut Command) -> Value {
    let output = program.arg("--json").output().unwrap();
    assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()[0]["summary"].take()
}

/// The names in a folder, hidden ones too.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.into_string().unwrap()).collect()
}

fn set_of(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn a_set_becomes_images_and_captions_and_is_fetched_once() {
    if !curl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("flickr8k");
    let files = flickr8k();
    let server = Server::of(files.clone());
    let [images, text] = &files;
    let set = set([
        unpacked(remote(&server, images.0, &images.1), "Flicker8k_Dataset", "Flicker8k_Dataset", 4),
        unpacked(remote(&server, text.0, &text.1), "", "Flickr8k_text", 4),
    ]);
    let (result, said) = fetch(&set, &root);
    result.unwrap();
    let said = said.join("\n");
    assert!(
        said.contains("terms: anything") && said.contains(&format!("{}/images.zip", server.url)),
        "{said}"
    );
    assert_eq!(server.sent(), images.1.len() + text.1.len());
    assert_eq!(names(&root), set_of(&[".fetched.json", ".lock", "Flicker8k_Dataset", "Flickr8k_text"]));
    assert_eq!(names(&root.join("Flicker8k_Dataset")), set_of(&["a.jpg", "b.jpg", "c.jpg", "d.jpg"]));

    let (result, said) = fetch(&set, &root);
    result.unwrap();
    assert_eq!(said, [format!("tiny: whole in {}", root.display())]);
    assert_eq!(server.seen().len(), 2);

    let config = folder.path().join("config.toml");
    let text = format!(
        "[run]\nname = \"tiny\"\nfolder = \"{}\"\nseed = 1\n[dataset]\nlayout = \"flickr8k\"\nroot = \"{}\"\n",
        folder.path().join("runs").display(),
        root.display()
    );
    fs::write(&config, text).unwrap();
    let summary = stage(program().arg("--config").arg(&config));
    assert_eq!(summary, json!({"captions": 8, "train_images": 2, "val_images": 1, "test_images": 1}));
}

/// Four images in the folders and text files that a set is unpacked to.
fn pretend(name: &str, root: &Path) {
    let photo = |path: &str, shade: u8| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(40, 30, Rgb([shade, 90, 30])).save(path).unwrap();
    };
    let karpathy = |names: [(&str, &str); 4]| {
        let splits = ["train", "restval", "val", "test"].into_iter();
        let images = names.into_iter().zip(splits).enumerate().map(|(imgid, ((filepath, filename), split))| {
            let sentences = [json!({"raw": "A dog."}), json!({"raw": "It runs."})];
            json!({"filepath": filepath, "filename": filename, "imgid": imgid, "split": split, "sentences": sentences})
        });
        json!({"images": images.collect::<Vec<_>>()}).to_string()
    };
    let captions = |ids: &[u64]| {
        let images: Vec<_> =
            ids.iter().map(|id| json!({"id": id, "file_name": format!("{id:012}.jpg")})).collect();
        let each = ids.iter().map(|id| json!({"id": id, "image_id": id, "caption": "A dog runs."}));
        json!({"images": images, "annotations": each.collect::<Vec<_>>()}).to_string()
    };
    match name {
        "flickr30k" => {
            ["1.jpg", "2.jpg", "3.jpg", "4.jpg"].iter().zip(1..).for_each(|(name, number)| {
                photo(&format!("flickr30k-images/{name}"), 60 * number);
            });
            let file = karpathy([("", "1.jpg"), ("", "2.jpg"), ("", "3.jpg"), ("", "4.jpg")]);
            fs::write(root.join("dataset_flickr30k.json"), file).unwrap();
        }
        "coco" => {
            photo("train2017/000000000001.jpg", 60);
            photo("train2017/000000000002.jpg", 120);
            photo("val2017/000000000003.jpg", 180);
            photo("val2017/000000000004.jpg", 240);
            // In 2014 other images were val.
            let file = karpathy([
                ("train2014", "COCO_train2014_000000000001.jpg"),
                ("val2014", "COCO_val2014_000000000002.jpg"),
                ("val2014", "COCO_val2014_000000000003.jpg"),
                ("val2014", "COCO_val2014_000000000004.jpg"),
            ]);
            fs::write(root.join("dataset_coco.json"), file).unwrap();
            fs::create_dir(root.join("annotations")).unwrap();
            for (split, ids) in [("train", [1, 2]), ("val", [3, 4])] {
                for kind in ["captions", "instances"] {
                    let path = root.join(format!("annotations/{kind}_{split}2017.json"));
                    fs::write(path, captions(&ids)).unwrap();
                }
            }
        }
        other => panic!("{other} is tested elsewhere"),
    }
}

#[test]
fn the_commands_that_come_next_read_what_a_set_is_unpacked_to() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (name, count) in [("flickr30k", 1), ("coco", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(name);
        fs::create_dir(&root).unwrap();
        pretend(name, &root);
        fs::write(root.join(".fetched.json"), "{}").unwrap();
        let next = Set::named(name).unwrap().next(&root);
        let commands = next.lines().filter_map(|line| line.strip_prefix("just pipeline "));
        assert_eq!(commands.clone().count(), count, "{next}");
        for (number, command) in commands.enumerate() {
            let runs = folder.path().join(format!("runs{number}"));
            let mut program = program();
            program.current_dir(&repository).arg("--config").args(command.split(' '));
            let summary = stage(program.arg("--set").arg(format!("run.folder={}", runs.display())));
            let images =
                ["train_images", "val_images", "test_images"].map(|split| summary[split].as_u64().unwrap());
            assert_eq!(images.iter().sum::<u64>(), 4, "{command}: {summary}");
            assert!(images.iter().all(|&images| images > 0), "{command}: {summary}");
        }
    }
}

#[test]
fn lists_of_addresses_get_their_header_and_the_place_of_shards_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("cc 3m");
    fs::create_dir_all(root.join("shards/train")).unwrap();
    let row = "a dog runs\thttp://example.org/dog.jpg\n";
    for name in ["GCC-training.tsv", "GCC-1.1.0-Validation.tsv"] {
        fs::write(root.join(name), row).unwrap();
    }
    let next = Set::named("cc3m").unwrap().next(&root);
    assert!(next.contains("--resize_mode keep_ratio"), "{next}");
    for line in next.lines().filter(|line| line.starts_with('(')) {
        assert!(Command::new("sh").args(["-c", line]).status().unwrap().success(), "{line}");
    }
    for name in ["train.tsv", "val.tsv"] {
        assert_eq!(fs::read_to_string(root.join(name)).unwrap(), format!("caption\turl\n{row}"));
    }
    let command = next.lines().find_map(|line| line.strip_prefix("just pipeline ")).unwrap();
    let program = format!("{} --check --config {command}", env!("CARGO_BIN_EXE_dataset"));
    let mut shell = Command::new("sh");
    shell.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).args(["-c", &program]);
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_disk_without_room_is_refused_before_anything_is_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::of([("a.zip", vec![1; 100])]);
    let mut file = unpacked(remote(&server, "a.zip", &[1; 100]), "", "a", 1);
    file.unpack.as_mut().unwrap().bytes = 1 << 60;
    let message = message(&set([file]), folder.path());
    assert!(message.contains("are needed") && message.contains("--into"), "{message}");
    assert_eq!(server.seen(), []);
}

#[test]
fn without_a_name_the_sets_are_listed_and_an_unknown_one_is_answered_with_theirs() {
    let output = program().arg("fetch").output().unwrap();
    assert!(output.status.success());
    let list = String::from_utf8(output.stdout).unwrap();
    for name in ["flickr8k: 1.1 GB", "flickr30k: 4.4 GB", "coco: 20.4 GB", "cc3m: about"] {
        assert!(list.contains(name), "{list}");
    }
    let output = program().args(["fetch", "flickr80k"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("no set is called flickr80k: there are flickr8k, flickr30k, coco, cc3m"),
        "{error}"
    );
}
