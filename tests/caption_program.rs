//! The program `caption`, as people and scripts use it.

use std::fs::{self, File};
use std::io::Cursor;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use artifacts::captioned::CaptionedRow;
use artifacts::{Split, table};
use image::codecs::gif::GifEncoder;
use image::{Frame, ImageFormat, RgbImage};
use pipeline_tests::{Workspace, program};
use serde_json::Value;

use crate::captions::trained;

const RUN: &str = "runs/test/train/resnet18-soft_attention/model.safetensors";

/// A workspace whose folder looks like a user's: `data/runs`, `data/weights`, and an album of photos.
fn at_home(overrides: &[&str]) -> Workspace {
    let workspace = trained(overrides);
    fs::create_dir(workspace.path("data")).unwrap();
    for folder in ["runs", "weights"] {
        std::os::unix::fs::symlink(workspace.path(folder), workspace.path("data").join(folder)).unwrap();
    }
    let album = workspace.path("album");
    fs::create_dir_all(album.join("deep")).unwrap();
    for (number, image) in scenes(&workspace).into_iter().take(4).enumerate() {
        let name = ["b.png", "a.jpg", "c, with comma.bmp", "deep/d.png"][number];
        image.save(album.join(name)).unwrap();
    }
    fs::write(album.join("broken.jpg"), b"\xff\xd8\xff\xe0 no more than a beginning").unwrap();
    fs::write(album.join("notes.txt"), "no photo").unwrap();
    workspace
}

/// The validation images.
fn scenes(workspace: &Workspace) -> Vec<RgbImage> {
    let (root, images) = workspace.images();
    let rows = images.iter().filter(|row| row.split == Split::Val);
    rows.map(|row| image::open(root.join(&row.path)).unwrap().into_rgb8()).collect()
}

pub(crate) fn caption(workspace: &Workspace, args: &[&str]) -> Command {
    let mut command = Command::new(program("caption"));
    command.current_dir(workspace.path("")).args(args).stdin(Stdio::null());
    command
}

pub(crate) fn run(workspace: &Workspace, args: &[&str]) -> Output {
    caption(workspace, args).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// What is said on stderr, without the lines that tell how far a slow run has come.
pub(crate) fn said(output: &Output) -> Vec<&str> {
    stderr(output).lines().filter(|line| !line.starts_with("captions: ")).collect()
}

/// What a successful run prints.
pub(crate) fn printed(workspace: &Workspace, args: &[&str]) -> String {
    let output = run(workspace, args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output).to_owned()
}

#[test]
fn every_format_holds_the_same_captions_in_the_order_of_the_photos() {
    let workspace = at_home(&[]);
    let format = |format: &str, more: &[&str]| {
        let output = run(&workspace, &[&["album", "--format", format], more].concat());
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let message = stderr(&output);
        assert!(message.contains("album/broken.jpg: ") && message.contains("1 of 4 could not"), "{message}");
        stdout(&output).to_owned()
    };
    let txt = format("txt", &[]);
    let lines: Vec<(&str, &str)> = txt.lines().map(|line| line.split_once('\t').unwrap()).collect();
    let paths: Vec<&str> = lines.iter().map(|line| line.0).collect();
    assert_eq!(paths, ["album/a.jpg", "album/b.png", "album/c, with comma.bmp"]);
    assert!(lines.iter().all(|line| !line.1.is_empty()));

    let of_json = |value: &Value| {
        let field = |key: &str| value[key].as_str().unwrap().to_owned();
        let words = value["captions"][0]["words"].as_array().unwrap().iter();
        let words: Vec<&str> = words.map(|word| word["text"].as_str().unwrap()).collect();
        assert_eq!(words.join(" "), field("caption"));
        (field("path"), field("caption"))
    };
    let wanted: Vec<(String, String)> = lines.iter().map(|line| (line.0.into(), line.1.into())).collect();
    let json: Value = serde_json::from_str(&format("json", &[])).unwrap();
    assert_eq!(json.as_array().unwrap().iter().map(of_json).collect::<Vec<_>>(), wanted);
    let jsonl = format("jsonl", &[]);
    let parsed = jsonl.lines().map(|line| of_json(&serde_json::from_str(line).unwrap()));
    assert_eq!(parsed.collect::<Vec<_>>(), wanted);

    let csv = format("csv", &["--top-k", "2"]);
    let rows = csv::Reader::from_reader(csv.as_bytes()).into_deserialize::<CaptionedRow>();
    let rows: Vec<CaptionedRow> = rows.map(Result::unwrap).collect();
    assert_eq!(rows.iter().map(|row| row.rank).collect::<Vec<_>>(), [1, 2, 1, 2, 1, 2]);
    assert!(rows.iter().all(|row| row.start.is_none() && row.log_probability < 0.0));
    let best = rows.iter().filter(|row| row.rank == 1).map(|row| (row.path.clone(), row.caption.clone()));
    assert_eq!(best.collect::<Vec<_>>(), wanted);
    format("parquet", &["--top-k", "2", "--output", "captions.parquet"]);
    let (table, metadata) = table::read::<CaptionedRow>(&workspace.path("captions.parquet")).unwrap();
    assert_eq!(table, rows);
    assert!(metadata["captioning.provenance"].contains("resnet18-soft_attention"));

    let html = format("html", &["--output", "page.html"]);
    assert_eq!(html, "");
    let page = fs::read_to_string(workspace.path("page.html")).unwrap();
    let images: Vec<&str> = page.lines().filter(|line| line.contains("<img")).collect();
    assert_eq!(images.len(), 3);
    for (image, (path, caption)) in images.iter().zip(&wanted) {
        let path = path.replace(' ', "%20");
        assert!(image.contains(&format!("src=\"./{path}\" alt=\"{caption}\"")), "{image}");
    }
}

#[test]
fn photos_come_from_files_patterns_folders_and_stdin() {
    let workspace = at_home(&[]);
    let output = run(&workspace, &["album/a.jpg"]);
    assert!(output.status.success());
    assert_eq!(said(&output), [format!("model: data/{RUN} (of drawn scenes: there is no other)")]);
    let alone = stdout(&output).to_owned();
    assert_eq!(alone.lines().count(), 1);

    let mut child = caption(&workspace, &["--quiet", "-"]);
    let piped = child.stdin(File::open(workspace.path("album/a.jpg")).unwrap()).output().unwrap();
    assert_eq!((stdout(&piped), stderr(&piped)), (alone.as_str(), ""));
    assert_eq!(printed(&workspace, &["--model", &format!("data/{RUN}"), "album/a.jpg"]), alone);
    fs::create_dir(workspace.path("models")).unwrap();
    fs::copy(workspace.path(RUN), workspace.path("models/starter.safetensors")).unwrap();
    let started = run(&workspace, &["album/a.jpg"]);
    let starter = "model: models/starter.safetensors (the starter: no run of yours is newer)";
    assert_eq!((stdout(&started), said(&started)), (alone.as_str(), vec![starter]));

    let several = printed(&workspace, &["album/deep", "album/[ab].*"]);
    let paths: Vec<&str> = several.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(paths, ["album/deep/d.png", "album/a.jpg", "album/b.png"]);
    assert!(several.contains(&format!("album/a.jpg\t{alone}")));
    let all = run(&workspace, &["album", "--recursive"]);
    assert!(stdout(&all).contains("album/deep/d.png\t"));

    // The first frame of an animation, under a name that says nothing.
    let mut gif = Vec::new();
    let mut encoder = GifEncoder::new(&mut gif);
    let frames = scenes(&workspace).into_iter().take(2);
    let frames = frames.map(|image| Frame::new(image::DynamicImage::from(image).into_rgba8()));
    encoder.encode_frames(frames.clone()).unwrap();
    drop(encoder);
    fs::write(workspace.path("animation"), &gif).unwrap();
    let first = image::load_from_memory(&gif).unwrap();
    let mut png = Cursor::new(Vec::new());
    first.write_to(&mut png, ImageFormat::Png).unwrap();
    fs::write(workspace.path("first.png"), png.into_inner()).unwrap();
    assert_eq!(printed(&workspace, &["animation"]), printed(&workspace, &["first.png"]));

    printed(&workspace, &["album/a.jpg", "album/deep/../a.jpg", "--attention", "looks"]);
    let look = |name: &str| image::open(workspace.path("looks").join(name)).unwrap().into_rgb8();
    let photo = image::open(workspace.path("album/a.jpg")).unwrap().into_rgb8();
    let (tiles, first) = (alone.split_whitespace().count() as u32 + 1, look("a.jpg.png"));
    let tile = photo.height() * 192 / photo.width() + 24;
    assert_eq!((first.width(), first.height()), (tiles.min(6) * 192, tiles.div_ceil(6) * tile));
    // On one core both are searched together, and those beside a photo change its attention by rounding.
    let again = look("a.jpg-2.png");
    let close = first.iter().zip(again.iter()).all(|(a, b)| a.abs_diff(*b) <= 2);
    assert!(first.dimensions() == again.dimensions() && close, "the same photo gives another picture");

    assert_eq!(printed(&workspace, &["album/a.jpg", "--sidecar"]), alone);
    assert_eq!(fs::read_to_string(workspace.path("album/a.jpg.txt")).unwrap(), alone);
    let greedy = printed(&workspace, &["album/a.jpg", "--beam-size", "1", "--max-length", "2"]);
    assert!(greedy.split_whitespace().count() <= 2, "{greedy}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let workspace = at_home(&[]);
    let fails = |args: &[&str], code: i32, wanted: &str| {
        let output = run(&workspace, args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(stderr(&output).contains(wanted), "{args:?}: {}", stderr(&output));
    };
    fails(&[], 2, "Usage: caption");
    fails(&["album/a.jpg", "--format", "parquet"], 2, "needs --output");
    fails(&["album/a.jpg", "--top-k", "3", "--beam-size", "2"], 2, "--top-k cannot be more");
    fails(&["album/a.jpg", "--beam-size", "0"], 2, "0");
    fails(&["nowhere.jpg", "album/a.jpg"], 1, "nowhere.jpg: there is no such file");
    fails(&["*.webp"], 1, "no file matches");
    fails(&["album/notes.txt"], 1, "not an image of a known format");
    fails(&["album/a.jpg", "--format", "srt"], 1, "has no subtitles");
    fails(&["album/a.jpg", "--output", "album"], 2, "--output album: is a folder");
    fails(&["album/a.jpg", "--attention", "album/notes.txt"], 2, "--attention album/notes.txt: is a file");
    fails(&["album/a.jpg", "--weights", "album"], 1, "just weights resnet18");
    fails(&["album/a.jpg", "--model", "album/a.jpg"], 1, "is not a usable weight file");
    // A file whose run fails keeps what it held.
    fs::write(workspace.path("captions.txt"), "old").unwrap();
    fails(&["album/a.jpg", "--weights", "album", "--output", "captions.txt"], 1, "just weights");
    assert_eq!(fs::read_to_string(workspace.path("captions.txt")).unwrap(), "old");
    fs::write(workspace.path("clip.mp4"), "no video").unwrap();
    let without = caption(&workspace, &["clip.mp4"]).env("PATH", "").output().unwrap();
    assert_eq!(without.status.code(), Some(1));
    assert!(stderr(&without).contains("clip.mp4: videos are read by ffmpeg, which is not installed"));
    fs::remove_file(workspace.path("data/runs")).unwrap();
    fails(&["album/a.jpg"], 1, "data/runs holds no trained model");
}

#[test]
fn what_never_ends_is_refused_and_names_command_no_terminal() {
    let workspace = at_home(&[]);
    let fails = |name: &str, wanted: &str| {
        let output = run(&workspace, &["--quiet", name]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""), "{name}");
        let first = stderr(&output).lines().next().unwrap();
        assert_eq!(first, format!("{name}: {wanted}"));
    };
    for name in ["pipe.jpg", "pipe.mp4"] {
        assert!(Command::new("mkfifo").arg(workspace.path(name)).status().unwrap().success());
    }
    fails("pipe.jpg", "is a named pipe, not a file");
    fails("pipe.mp4", "is a named pipe, not a file");
    fails("/dev/zero", "is a device, not a file");
    let huge = File::create(workspace.path("huge.jpg")).unwrap();
    // Of no size on the disk.
    huge.set_len(8 << 30).unwrap();
    let zeros =
        "not an image of a known format (JPEG, PNG, WebP, GIF, TIFF, BMP): it looks like the bytes 00 00";
    fails("huge.jpg", &[zeros, &" 00".repeat(10)].concat());
    let mut piped = caption(&workspace, &["--quiet", "-"]);
    let piped = piped.stdin(File::open("/dev/zero").unwrap()).output().unwrap();
    assert_eq!(piped.status.code(), Some(1));
    assert!(stderr(&piped).starts_with("-: not an image"), "{}", stderr(&piped));

    let red = "\u{1b}[31mred.jpg";
    fs::copy(workspace.path("album/a.jpg"), workspace.path(red)).unwrap();
    fs::write(workspace.path("\u{1b}[2Jbroken.jpg"), "").unwrap();
    let output = run(&workspace, &[red, "\u{1b}[2Jbroken.jpg"]);
    // Whoever reads a pipe finds the file by its name; only a terminal gets it escaped.
    assert!(stdout(&output).starts_with(red), "{:?}", stdout(&output));
    assert!(stderr(&output).contains("\\u{1b}[2Jbroken.jpg: the file is empty"), "{:?}", stderr(&output));
    let json: Value = serde_json::from_str(&printed(&workspace, &[red, "-f", "jsonl"])).unwrap();
    assert_eq!(json["path"], red);
}

#[test]
fn a_folder_hides_nothing_and_outputs_say_where_photos_are() {
    let workspace = at_home(&[]);
    let album = workspace.path("album");
    fs::copy(album.join("a.jpg"), album.join("saved.jfif")).unwrap();
    fs::copy(album.join("a.jpg"), album.join("no ending")).unwrap();
    fs::write(album.join("phone.HEIC"), b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap();
    fs::write(album.join("expired.jpg"), "<!DOCTYPE html><title>404</title>").unwrap();
    fs::write(album.join("backup.zip"), b"PK\x03\x04").unwrap();
    fs::write(album.join(".DS_Store"), b"\0\0\0\x01Bud1").unwrap();
    let output = run(&workspace, &["album"]);
    assert_eq!(output.status.code(), Some(1));
    let names: Vec<&str> = stdout(&output).lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(
        names,
        ["a.jpg", "b.png", "c, with comma.bmp", "no ending", "saved.jfif"]
            .map(|name| format!("album/{name}"))
    );
    for wanted in [
        "left out 2 files that are no photos or videos: 1 ZIP archive, 1 text\n",
        "album/phone.HEIC: a HEIC photo is not read (iPhones",
        "album/expired.jpg: not an image of a known format",
        "3 of 8 could not be captioned",
    ] {
        assert!(stderr(&output).contains(wanted), "{wanted}: {}", stderr(&output));
    }

    // The ending decides the format, the folder is made, and the page finds its photos from there.
    printed(&workspace, &["album/a.jpg", "album/b.png", "--output", "site/deep/page.html"]);
    let page = fs::read_to_string(workspace.path("site/deep/page.html")).unwrap();
    assert!(
        page.contains("src=\"../../album/a.jpg\"") && page.contains("src=\"../../album/b.png\""),
        "{page}"
    );

    let name = std::ffi::OsStr::from_bytes(b"caf\xe9\n1.jpg");
    fs::copy(album.join("a.jpg"), workspace.path("").join(name)).unwrap();
    let mut named = caption(&workspace, &["album/a.jpg", "--quiet", "--format", "json"]);
    let named = named.arg(name).output().unwrap();
    let records: Value = serde_json::from_slice(&named.stdout).unwrap();
    assert_eq!(records[0].get("path_base64"), None);
    assert_eq!(records[1]["path"], "caf\u{fffd}\n1.jpg");
    assert_eq!(records[1]["path_base64"], "Y2Fm6QoxLmpwZw==");
    let line = caption(&workspace, &["album/a.jpg", "--quiet"]).arg(name).output().unwrap().stdout;
    let escaped = b"\ncaf\xe9\\n1.jpg\t";
    assert!(line.windows(escaped.len()).any(|window| window == escaped), "{}", line.escape_ascii());
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 2);
}

#[test]
fn a_closed_pipe_is_a_quiet_end_and_a_full_disk_is_said() {
    let workspace = at_home(&[]);
    let mut shell = Command::new("bash");
    let program = program("caption");
    shell.current_dir(workspace.path("")).args([
        "-o",
        "pipefail",
        "-c",
        "\"$0\" --quiet album/[ab].* | true",
    ]);
    let closed = shell.arg(&program).output().unwrap();
    assert_eq!((closed.status.code(), stderr(&closed)), (Some(0), ""));
    for format in ["txt", "json", "jsonl", "csv", "html"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut full_disk = caption(&workspace, &["--quiet", "album/a.jpg", "-f", format]);
        let full = full_disk.stdout(full).output().unwrap();
        assert_eq!(full.status.code(), Some(1), "{format}");
        assert_eq!(
            stderr(&full),
            "error: cannot write to standard output: No space left on device (os error 28)\n",
            "{format}"
        );
    }
}

pub(crate) fn has_ffmpeg() -> bool {
    needs::program("ffmpeg", &["-version"])
}

/// Two seconds of each picture, exactly as it is: a shot's caption is its photo's.
pub(crate) fn video(path: &Path, first: &Path, second: &Path) {
    let [first, second, path] = [first, second, path].map(|path| path.to_str().unwrap());
    let still = |path| ["-loop", "1", "-framerate", "10", "-t", "2", "-i", path];
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error"]).args(still(first)).args(still(second));
    ffmpeg.args(["-filter_complex", "concat=n=2", "-c:v", "png", path]);
    assert!(ffmpeg.status().unwrap().success());
}

#[test]
fn each_shot_of_a_video_gets_a_caption() {
    if !has_ffmpeg() {
        return;
    }
    // Without dropout and to the last epoch, it knows its few pictures by heart: it tells them apart.
    let by_heart = ["train.epochs=60", "train.patience=60", "train.soft_attention.dropout=0.0"];
    let workspace = at_home(&by_heart);
    for (number, image) in scenes(&workspace).into_iter().enumerate() {
        image.save(workspace.path(&format!("scene{number}.png"))).unwrap();
    }
    let said = printed(&workspace, &["scene*.png"]);
    let said: Vec<(&str, &str)> = said.lines().map(|line| line.split_once('\t').unwrap()).collect();
    let other = said.iter().find(|(_, caption)| *caption != said[0].1).expect("two different captions");
    let [first, second] = [said[0].0, other.0].map(|name| workspace.path(name));
    video(&workspace.path("cut.avi"), &first, &second);
    video(&workspace.path("still.avi"), &first, &first);

    let json: Value = serde_json::from_str(&printed(&workspace, &["cut.avi", "-f", "jsonl"])).unwrap();
    let shots = json["shots"].as_array().unwrap();
    let times: Vec<f64> = shots
        .iter()
        .flat_map(|shot| [shot["start"].as_f64().unwrap(), shot["end"].as_f64().unwrap()])
        .collect();
    assert_eq!(times, [0.0, 2.0, 2.0, 4.0], "{json}");
    assert_eq!(shots[0]["caption"], said[0].1);
    assert_eq!(shots[1]["caption"], other.1);
    // Without a cut it is one shot, with the caption of its photo.
    let still = printed(&workspace, &["still.avi"]);
    assert_eq!(still, format!("00:00:00.000 – 00:00:04.000\t{}\n", said[0].1));

    let srt = printed(&workspace, &["cut.avi", "-f", "srt"]);
    assert!(
        srt.starts_with("1\n00:00:00,000 --> 00:00:02,000\n") && srt.contains("\n\n2\n00:00:02,000 --> ")
    );
    let vtt = printed(&workspace, &["cut.avi", "-f", "vtt"]);
    assert!(vtt.starts_with("WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n"), "{vtt}");
    assert_eq!(printed(&workspace, &["cut.avi", "still.avi", "--sidecar", "-f", "srt"]), "");
    assert_eq!(fs::read_to_string(workspace.path("cut.srt")).unwrap(), srt);
    assert!(workspace.path("still.srt").is_file());
    let two = run(&workspace, &["cut.avi", "still.avi", "-f", "vtt"]);
    assert!(stderr(&two).contains("the subtitles of one video"), "{}", stderr(&two));

    // Of one frame; of no name; of a stem that another has; with a picture that begins after the sound.
    let ffmpeg = |args: &[&str]| {
        let mut ffmpeg = Command::new("ffmpeg");
        let ffmpeg = ffmpeg.current_dir(workspace.path("")).args(["-v", "error"]).args(args);
        assert!(ffmpeg.status().unwrap().success(), "{args:?}");
    };
    ffmpeg(&["-i", "still.avi", "-frames:v", "1", "-r", "100", "-c:v", "png", "one.mkv"]);
    assert_eq!(printed(&workspace, &["one.mkv"]), format!("00:00:00.000 – 00:00:00.125\t{}\n", said[0].1));
    fs::copy(workspace.path("still.avi"), workspace.path("film")).unwrap();
    assert_eq!(printed(&workspace, &["film"]), still);
    fs::copy(workspace.path("still.avi"), workspace.path("cut.mov")).unwrap();
    printed(&workspace, &["cut.avi", "cut.mov", "--sidecar", "-f", "srt"]);
    assert_eq!(fs::read_to_string(workspace.path("cut.avi.srt")).unwrap(), srt);
    assert!(workspace.path("cut.mov.srt").is_file());
    let sound = ["-f", "lavfi", "-t", "6", "-i", "sine"];
    let late = ["-itsoffset", "1.5", "-i", "cut.avi", "-map", "1:v", "-map", "0:a", "-c:v", "png"];
    ffmpeg(&[&sound[..], &late, &["late.mkv"]].concat());
    let late: Value = serde_json::from_str(&printed(&workspace, &["late.mkv", "-f", "jsonl"])).unwrap();
    let starts: Vec<f64> =
        late["shots"].as_array().unwrap().iter().map(|shot| shot["start"].as_f64().unwrap()).collect();
    assert!(starts.len() == 2 && (starts[0] - 1.5).abs() < 0.1 && (starts[1] - 3.5).abs() < 0.2, "{late}");
    assert_eq!(late["shots"][0]["caption"], said[0].1);
    assert_eq!(late["shots"][1]["caption"], other.1);

    let csv = printed(&workspace, &["scene0.png", "cut.avi", "-f", "csv"]);
    let rows = csv::Reader::from_reader(csv.as_bytes()).into_deserialize::<CaptionedRow>();
    let starts: Vec<Option<f64>> = rows.map(|row| row.unwrap().start).collect();
    assert_eq!(starts, [None, Some(0.0), Some(2.0)]);
    let broken = workspace.path("broken.mp4");
    fs::write(&broken, "no video").unwrap();
    let output = run(&workspace, &["broken.mp4", "still.avi"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("broken.mp4: ffmpeg cannot read it as a video"), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("still.avi\t"));
}

#[test]
fn the_commands_of_the_page_work() {
    let workspace = at_home(&[]);
    fs::remove_file(workspace.path("album/broken.jpg")).unwrap();
    fs::copy(workspace.path("album/a.jpg"), workspace.path("photo.jpg")).unwrap();
    let named = workspace.path("data/runs/demo/train/efficientnet_lite0-soft_attention");
    fs::create_dir_all(&named).unwrap();
    fs::copy(workspace.path(&format!("data/{RUN}")), named.join("model.safetensors")).unwrap();
    let videos = has_ffmpeg();
    if videos {
        let [first, second] = ["album/a.jpg", "album/b.png"].map(|name| workspace.path(name));
        video(&workspace.path("clip.mp4"), &first, &second);
    }
    let page = include_str!("../docs/caption.md");
    let blocks = page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let commands = blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "));
    let commands: Vec<&str> = commands.filter(|line| videos || !line.contains("clip.mp4")).collect();
    assert!(commands.len() > 10);
    let folder = program("caption").parent().unwrap().to_owned();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    for command in commands {
        let mut shell = Command::new("bash");
        let shell = shell.args(["-o", "pipefail", "-c", command]).env("PATH", &path);
        let output = shell.current_dir(workspace.path("")).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{command}: {}", stderr(&output));
        let written = command.split("--output ").nth(1).map(|rest| rest.split(' ').next().unwrap());
        match written {
            Some(file) => assert!(workspace.path(file).metadata().unwrap().len() > 20, "{command}"),
            None => assert!(!output.stdout.is_empty() || command.contains("--sidecar"), "{command}"),
        }
    }
    for file in ["album/a.jpg.txt", "looks/photo.jpg.png"] {
        assert!(workspace.path(file).is_file(), "{file}");
    }
}
