//! Captions in the sidecars of photo libraries, run after run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use image::{Rgb, RgbImage};
use pipeline_tests::Workspace;
use serde_json::Value;

use crate::caption_program::{has_ffmpeg, run, said, stderr, stdout, video};

const LIGHTROOM: &str = include_str!("../crates/xmp/tests/fixtures/lightroom.xmp");
const DARKTABLE: &str = include_str!("../crates/xmp/tests/fixtures/darktable.xmp");
const DIGIKAM: &str = include_str!("../crates/xmp/tests/fixtures/digikam.xmp");

/// Two models that say different things, and an album of three photos.
fn library() -> Workspace {
    let workspace = Workspace::new("").with_weights("resnet18");
    for (name, seed) in [("one.safetensors", 1), ("two.safetensors", 2)] {
        workspace.random_model(name, seed);
    }
    fs::create_dir(workspace.path("album")).unwrap();
    for (name, blue) in [("a.jpg", 90), ("b.png", 10), ("c d.jpg", 250)] {
        draw(&workspace.path("album").join(name), blue);
    }
    workspace
}

fn draw(path: &Path, blue: u8) {
    RgbImage::from_fn(60, 52, |x, y| Rgb([(4 * x) as u8, (4 * y) as u8, blue])).save(path).unwrap();
}

/// What exiftool reads of a sidecar.
fn read(workspace: &Workspace, sidecar: &str) -> Option<Value> {
    if !needs::program("exiftool", &["-ver"]) {
        return None;
    }
    let output = Command::new("exiftool")
        .args(["-j", "-struct", "-G1", "-XMP:all"])
        .arg(workspace.path(sidecar))
        .output();
    let mut read: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    Some(read[0].take())
}

/// All files of the album, with what a run would change of them.
fn state(workspace: &Workspace) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let files = fs::read_dir(workspace.path("album")).unwrap().map(|file| file.unwrap().path());
    let state = |path: &Path| (fs::read(path).unwrap(), fs::metadata(path).unwrap().modified().unwrap());
    files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), state(&path))).collect()
}

const ONE: [&str; 5] = ["album", "--sidecar", "xmp", "--model", "one.safetensors"];
const TWO: [&str; 5] = ["album", "--sidecar", "xmp", "--model", "two.safetensors"];

/// Runs on the album, which must succeed; returns the caption of each photo that was captioned.
fn captions(workspace: &Workspace, args: &[&str]) -> BTreeMap<String, String> {
    let output = run(workspace, &[args, &["--weights", "weights"]].concat());
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    let lines = stdout(&output).lines().map(|line| line.split_once('\t').unwrap());
    lines.map(|(path, caption)| (path.to_owned(), caption.to_owned())).collect()
}

#[test]
fn a_rerun_captions_only_what_is_new_and_opens_no_model_where_nothing_is() {
    let workspace = library();
    let photos = state(&workspace);
    let first = captions(&workspace, &ONE);
    assert_eq!(first.keys().collect::<Vec<_>>(), ["album/a.jpg", "album/b.png", "album/c d.jpg"]);
    let before = state(&workspace);
    assert!(photos.iter().all(|(name, photo)| before[name] == *photo), "a photo was touched");
    for (photo, caption) in &first {
        let Some(read) = read(&workspace, &format!("{photo}.xmp")) else { continue };
        assert_eq!(read["XMP-dc:Description"], caption.as_str());
        assert_eq!(read["XMP-iptcCore:AltTextAccessibility"], caption.as_str());
        assert_eq!(read.get("XMP-dc:Subject"), None);
    }

    // Weights that are not there would be missed by a model that is opened.
    let again = run(&workspace, &[&ONE[..], &["--weights", "nowhere"]].concat());
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!((stdout(&again), said(&again)), ("", vec!["3 photos have their captions already"]));
    assert_eq!(state(&workspace), before);

    // A new photo, and one that is another.
    draw(&workspace.path("album/new.jpg"), 150);
    draw(&workspace.path("album/a.jpg"), 200);
    let second = run(&workspace, &[&ONE[..], &["--weights", "weights"]].concat());
    assert_eq!(said(&second), ["2 photos have their captions already"]);
    let named: Vec<&str> = stdout(&second).lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(named, ["album/a.jpg", "album/new.jpg"]);
    let now = state(&workspace);
    assert_eq!(now["b.png.xmp"], before["b.png.xmp"]);
    assert_ne!(now["a.jpg.xmp"].0, before["a.jpg.xmp"].0);

    // Whoever asks for more gets all of it, and sidecars that are right stay as they are.
    let all = captions(&workspace, &[&ONE[..], &["--format", "txt"]].concat());
    assert_eq!(all.len(), 4);
    assert_eq!(state(&workspace), now);
    // Another model, and other settings.
    assert_eq!(captions(&workspace, &TWO).len(), 4);
    assert_eq!(captions(&workspace, &[&TWO[..], &["--beam-size", "2"]].concat()).len(), 4);
    assert_eq!(captions(&workspace, &[&TWO[..], &["--beam-size", "2"]].concat()).len(), 0);
}

#[test]
fn what_people_write_stays_until_they_ask() {
    let workspace = library();
    let first = captions(&workspace, &ONE);
    let file = workspace.path("album/a.jpg.xmp");
    let caption = &first["album/a.jpg"];
    let text = fs::read_to_string(&file).unwrap();
    let (start, rest) = text.split_once(&format!("'x-default'>{caption}<")).unwrap();
    fs::write(&file, format!("{start}'x-default'>Rex &amp; Lea<{rest}")).unwrap();
    let edited = fs::read(&file).unwrap();
    assert!(captions(&workspace, &ONE).is_empty());

    let second = captions(&workspace, &TWO);
    assert_ne!(second["album/a.jpg"], *caption);
    assert_ne!(fs::read(&file).unwrap(), edited, "the alternative text is the other model's");
    for (sidecar, description) in
        [("album/a.jpg.xmp", "Rex & Lea"), ("album/b.png.xmp", second["album/b.png"].as_str())]
    {
        let Some(read) = read(&workspace, sidecar) else { continue };
        assert_eq!(read["XMP-dc:Description"], description);
        let photo = sidecar.strip_suffix(".xmp").unwrap();
        assert_eq!(read["XMP-iptcCore:AltTextAccessibility"], second[photo].as_str());
    }
    assert_eq!(captions(&workspace, &[&TWO[..], &["--overwrite"]].concat()).len(), 3);
    assert!(!fs::read_to_string(&file).unwrap().contains("Rex"));
}

#[test]
fn sidecars_of_other_programs_are_filled_and_broken_ones_are_left_alone() {
    let workspace = library();
    let album = |name: &str| workspace.path("album").join(name);
    fs::write(album("a.jpg.xmp"), DIGIKAM).unwrap();
    fs::write(album("b.xmp"), LIGHTROOM).unwrap();
    fs::write(album("c d.jpg.xmp"), DARKTABLE.replace("</rdf:RDF>", "")).unwrap();
    // Of a raw photo, not of that beside it.
    draw(&album("raw.jpg"), 33);
    fs::write(album("raw.xmp"), LIGHTROOM).unwrap();
    fs::write(album("raw.cr2"), "II*\0\x10\0\0\0CR\x02\0").unwrap();
    let before = state(&workspace);
    let output = run(&workspace, &[&ONE[..], &["--weights", "weights"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let broken = "album/c d.jpg.xmp: is no well-formed XML: ";
    let said = said(&output);
    assert!(
        said.iter().any(|line| line.starts_with(broken) && line.ends_with("it is left as it is")),
        "{said:?}"
    );
    assert_eq!(said.last(), Some(&"2 of 5 could not be captioned"), "the raw photo is another");
    let after = state(&workspace);
    for same in ["c d.jpg.xmp", "raw.xmp", "raw.cr2", "a.jpg"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert!(!after.contains_key("b.png.xmp") && after.contains_key("raw.jpg.xmp"));
    let Some(digikam) = read(&workspace, "album/a.jpg.xmp") else { return };
    assert_eq!(digikam["XMP-dc:Description"], "Oma & Hund am See");
    assert_eq!(digikam["XMP-dc:Description-en-US"], "Grandma & dog at the lake");
    assert_eq!(digikam["XMP-xmp:Rating"], 4);
    let caption = |photo: &str| {
        let line = stdout(&output).lines().find(|line| line.starts_with(photo)).unwrap();
        Value::from(line.split_once('\t').unwrap().1)
    };
    assert_eq!(digikam["XMP-iptcCore:AltTextAccessibility"], caption("album/a.jpg"));
    let lightroom = read(&workspace, "album/b.xmp").unwrap();
    assert_eq!(lightroom["XMP-dc:Description"], caption("album/b.png"));
    assert_eq!(lightroom["XMP-lr:HierarchicalSubject"], serde_json::json!(["places|harbour", "night"]));
    assert_eq!(lightroom["XMP-dc:Subject"], serde_json::json!(["harbour", "night"]));
}

#[cfg(unix)]
#[test]
fn links_and_rights_of_a_sidecar_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let workspace = library();
    let (kept, link) = (workspace.path("kept.xmp"), workspace.path("album/a.jpg.xmp"));
    fs::write(&kept, DARKTABLE).unwrap();
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o660)).unwrap();
    symlink(&kept, &link).unwrap();
    let locked = workspace.path("album/b.png.xmp");
    fs::write(&locked, DARKTABLE).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o440)).unwrap();
    let output = run(&workspace, &[&ONE[..], &["--weights", "weights"]].concat());
    assert!(
        stderr(&output).contains("album/b.png.xmp: may not be written to; it is left as it is"),
        "{}",
        stderr(&output)
    );
    assert_eq!(fs::read_to_string(&locked).unwrap(), DARKTABLE);
    assert_eq!(fs::read_link(&link).unwrap(), kept);
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o660);
    assert!(fs::read_to_string(&kept).unwrap().contains("dc:description"));
}

#[test]
fn a_video_has_the_captions_of_its_shots() {
    if !has_ffmpeg() {
        return;
    }
    let workspace = library();
    let [first, second] = ["album/a.jpg", "album/b.png"].map(|name| workspace.path(name));
    video(&workspace.path("clip.avi"), &first, &second);
    let args = ["clip.avi", "--sidecar", "xmp", "--model", "one.safetensors", "--weights", "weights"];
    let output = run(&workspace, &args);
    assert!(output.status.success(), "{}", stderr(&output));
    let mut lines: Vec<&str> = stdout(&output).lines().map(|line| line.split_once('\t').unwrap().1).collect();
    lines.dedup();
    if let Some(read) = read(&workspace, "clip.avi.xmp") {
        assert_eq!(read["XMP-dc:Description"], lines.join("\n"));
    }
    let again = run(&workspace, &args);
    assert_eq!((stdout(&again), said(&again)), ("", vec!["1 file has its caption already"]));
}
