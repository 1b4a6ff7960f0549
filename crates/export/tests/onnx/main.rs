//! The folder of ONNX files captions elsewhere what this workspace captions: in Python by the program of its README, and in any
//! session of ONNX Runtime by its numbers. The model is the starter of the repository, or one that was drawn.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

mod drawn;

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use caption::{Captioner, Options};
use model::captioner_file::CaptionerFile;
use model::checkpoint::Assembled;
use model::search::Stepper;
use onnx::{Decoder, DecoderModels, Input, Session};
use serde_json::{Value, json};

/// Has the program say how probable its caption is.
const PRINT: &str = "print(log_probability)\n";

fn at_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn starter() -> PathBuf {
    at_root("models/starter.safetensors")
}

fn photos() -> Vec<PathBuf> {
    let entries = fs::read_dir(at_root("tests/photos")).unwrap().map(|entry| entry.unwrap().path());
    let mut photos: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "jpg")).collect();
    photos.sort();
    assert!(photos.len() >= 3);
    photos
}

fn read(file: &Path) -> CaptionerFile {
    CaptionerFile::from_arrays(model::weights::read(file).unwrap()).unwrap()
}

fn export(source: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_export")).arg(source).args(args).output().unwrap()
}

/// The starter in a new folder.
fn exported(folder: &Path) {
    let output = export(&starter(), &["--onnx", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), folder.to_str().unwrap());
}

fn refused(source: &Path, args: &[&str]) -> String {
    let output = export(source, args);
    assert!(!output.status.success() && output.stdout.is_empty(), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Name and content of every file.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn starter_captioner() -> Captioner {
    Captioner::open(&starter(), &Options::default()).unwrap()
}

/// The program in a folder's README.
fn program(folder: &Path) -> String {
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let mut blocks = readme.split("```python\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let program = blocks.next().unwrap().to_owned();
    assert_eq!(blocks.next(), None);
    program
}

/// Runs a program in a folder with a photo: the caption, and how probable it is.
fn in_python(python: &Path, folder: &Path, program: &str, photo: &Path) -> (String, f64) {
    let mut command = Command::new(python);
    command.args(["-c", &format!("{program}{PRINT}")]).arg(photo.canonicalize().unwrap()).current_dir(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let (caption, log_probability) = printed.trim().split_once('\n').unwrap();
    (caption.to_owned(), log_probability.parse().unwrap())
}

/// The Python for a program, if there is one with the packages that it imports.
fn python(program: &str) -> Option<PathBuf> {
    let imports = program.lines().filter(|line| line.starts_with("import ") || line.starts_with("from "));
    needs::python(&imports.collect::<Vec<_>>().join("\n"))
}

/// A JPEG that lies on its side, and says so.
fn turned(photo: &[u8]) -> Vec<u8> {
    let exif = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    [&photo[..2], exif, &photo[2..]].concat()
}

#[test]
fn the_program_of_the_readme_writes_the_captions_that_ours_writes() {
    let folder = tempfile::tempdir().unwrap();
    exported(folder.path());
    let program = program(folder.path());
    let Some(python) = python(&program) else { return };

    let captioner = starter_captioner();
    let mut photos = photos();
    let sideways = folder.path().join("sideways.jpg");
    fs::write(&sideways, turned(&fs::read(&photos[0]).unwrap())).unwrap();
    photos.push(sideways);
    let settings = folder.path().join("settings.json");
    let whole: Value = serde_json::from_slice(&fs::read(&settings).unwrap()).unwrap();
    // As the recipe chose, greedily, and with everything else that the program knows.
    let changes = [
        json!({}),
        json!({ "beam_size": 1, "no_repeat_ngram": 0, "length_penalty": 0.0 }),
        json!({ "beam_size": 4, "no_repeat_ngram": 1, "min_length": 13, "length_penalty": 0.5 }),
        json!({ "max_length": 5 }),
    ];
    let square = folder.path().join("square.png");
    for (number, change) in changes.into_iter().enumerate() {
        let mut wanted = whole.clone();
        wanted["search"].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        fs::write(&settings, wanted.to_string()).unwrap();
        let search = serde_json::from_value(wanted["search"].clone()).unwrap();
        // One photo tells whether a setting is minded.
        for path in photos.iter().take(if number == 0 { photos.len() } else { 1 }) {
            let photo = caption::decode(&fs::read(path).unwrap()).unwrap();
            let captioned = captioner.caption(&[captioner.photo_of(&photo)], &search).unwrap();
            let ours = captioned[0].best();
            let difference = |photo: &Path| {
                let (theirs, log_probability) = in_python(&python, folder.path(), &program, photo);
                assert_eq!(theirs, ours.caption, "{change} {}", path.display());
                (log_probability - ours.log_probability).abs()
            };
            // Pillow's kernels have more bits than ours, so one value in three hundred is rounded to a neighbour.
            assert!(difference(path) < 0.05, "{change} {}", path.display());
            // The starter's square is a photo that nothing is done to.
            captioner.transform().pixels(&photo).save(&square).unwrap();
            assert!(difference(&square) < 1e-3, "{change} {}", path.display());
        }
    }
}

#[test]
fn the_program_of_the_readme_cuts_out_what_every_transform_cuts_out() {
    let folder = tempfile::tempdir().unwrap();
    exported(folder.path());
    let program = program(folder.path());
    let Some(python) = python(&program) else { return };
    let blocks: Vec<&str> = program.split("\n\n").collect();
    let pixels = blocks.iter().find(|block| block.starts_with("def pixels(")).unwrap();
    let script = [blocks[0], pixels, "look = json.loads(sys.argv[2])", "photo = Image.open(sys.argv[1])"]
        .join("\n")
        + "\nprint(json.dumps(pixels(photo.convert('RGB'), look).ravel().tolist()))";
    let changes = [
        json!({ "resize": 72, "squash": false }),
        json!({ "resize": 65, "squash": false, "mirror": true, "interpolation": "bilinear" }),
        json!({ "mirror": true }),
    ];
    for (change, photo) in changes.into_iter().zip(photos()) {
        let mut look = json!({ "resize": 64, "crop": 64, "squash": true, "mirror": false });
        let rest = json!({ "interpolation": "bicubic", "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0] });
        for object in [rest, change] {
            look.as_object_mut().unwrap().extend(object.as_object().unwrap().clone());
        }
        let mut transform = starter_captioner().transform().clone();
        transform.clone_from(&serde_json::from_value(look.clone()).unwrap());
        let ours = transform.apply(&caption::decode(&fs::read(&photo).unwrap()).unwrap());
        let output =
            Command::new(&python).args(["-c", &script]).arg(&photo).arg(look.to_string()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs: Vec<f32> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(theirs.len(), ours.len());
        let differ = ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
        assert!(differ * 50 < ours.len(), "{look}: {differ} of {}", ours.len());
        assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() <= 2.0), "{look}");
    }
}

#[test]
fn the_program_of_the_readme_captions_with_many_networks_and_decoders() {
    let folder = tempfile::tempdir().unwrap();
    let (file, elsewhere) = (folder.path().join("drawn.safetensors"), folder.path().join("onnx"));
    drawn::write(&file, &read(&starter()).header.scores);
    let output = export(&file, &["--onnx", elsewhere.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let settings: Value =
        serde_json::from_slice(&fs::read(elsewhere.join("settings.json")).unwrap()).unwrap();
    let inputs: Vec<&Value> =
        settings["features"].as_array().unwrap().iter().map(|set| &set["input"]).collect();
    assert_eq!(inputs, ["images_resnet18", "images_resnet18.flip", "images_resnet18"]);
    let program = program(&elsewhere);
    let Some(python) = python(&program) else { return };

    let captioner = Captioner::open(&file, &Options::default()).unwrap();
    let (photo, mut captions) = (folder.path().join("photo.png"), vec![]);
    for path in photos() {
        let mut small = starter_captioner().transform().clone();
        (small.resize, small.crop) = (drawn::SIDE, drawn::SIDE);
        small.pixels(&caption::decode(&fs::read(path).unwrap()).unwrap()).save(&photo).unwrap();
        let seen = captioner.photo(&fs::read(&photo).unwrap()).unwrap();
        let captioned = captioner.caption(&[seen], captioner.search_settings()).unwrap();
        let ours = captioned[0].best();
        let (theirs, log_probability) = in_python(&python, &elsewhere, &program, &photo);
        assert_eq!(theirs, ours.caption);
        let difference = (log_probability - ours.log_probability).abs();
        assert!(difference < 1e-3, "{difference}");
        captions.push(log_probability);
    }
    captions.dedup();
    assert!(captions.len() > 1, "the drawn captioner looks at no photo");
}

/// The largest difference, against the largest number.
fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = ours.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    ours.iter().zip(theirs).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

#[test]
fn the_networks_know_of_a_photo_what_the_captioner_knows() {
    let folder = tempfile::tempdir().unwrap();
    exported(folder.path());
    let files = files(folder.path());
    let settings: Value = serde_json::from_slice(&files["settings.json"]).unwrap();
    let mut encoder = Session::new(&files["encoder.onnx"], NonZeroUsize::MIN).unwrap();
    let mut step = Session::new(&files["decoder.onnx"], NonZeroUsize::MIN).unwrap();
    let names = |of: &Value| -> Vec<String> { serde_json::from_value(of.clone()).unwrap() };
    let given = |session: &Session| -> Vec<String> {
        session.outputs().iter().map(|port| port.name.clone()).collect()
    };
    assert_eq!(names(&settings["encoder"]["outputs"]), given(&encoder));
    let known = [names(&settings["decoder"]["memory"]), names(&settings["decoder"]["state"])].concat();
    assert_eq!(known, given(&encoder));
    let last = names(&json!(["log_probabilities"]));
    let next = names(&settings["decoder"]["next_state"]);
    assert_eq!([last, next, names(&json!(["attention"]))].concat(), given(&step));

    let captioner = starter_captioner();
    let file = read(&starter());
    let Assembled { description, parameters, .. } =
        Assembled::new(&file.decoders().collect::<Vec<_>>()).unwrap();
    let models = DecoderModels::new(&description, &parameters).unwrap();
    let mut decoder = Decoder::new(&models, NonZeroUsize::MIN).unwrap();
    let side = captioner.transform().crop as usize;
    for path in photos() {
        let bytes = fs::read(&path).unwrap();
        let features = captioner.features(&[captioner.photo(&bytes).unwrap()]).unwrap();
        let grid: Vec<f32> = features[0].grid().iter().map(|value| value.to_f32()).collect();
        let [rows, columns] = captioner.grid();
        let shape = [1, rows * columns, grid.len() / (rows * columns)];
        let memory = decoder.encode(&grid, shape).unwrap();
        let pixels = captioner.transform().apply(&caption::decode(&bytes).unwrap());
        let images = Input::F32 { shape: &[1, 3, side, side], values: &pixels };
        let arrays = encoder.run(&[("images", images)]).unwrap();
        assert_eq!(arrays.len(), memory.len());
        for ((ours, theirs), name) in memory.iter().zip(&arrays).zip(&known) {
            assert_eq!(ours.shape, theirs.shape);
            let difference = difference(&ours.values, &theirs.values);
            assert!(difference < 1e-5, "{name}: {difference}");
        }
        let start = decoder.start(&memory).unwrap();
        let wanted = decoder.step(&memory, &start, &[1]).unwrap();
        let mut inputs: Vec<(&str, Input)> = vec![("words", Input::I64 { shape: &[1], values: &[1] })];
        let known = known.iter().zip(&arrays);
        inputs.extend(
            known.map(|(name, array)| {
                (name.as_str(), Input::F32 { shape: &array.shape, values: &array.values })
            }),
        );
        let found = step.run(&inputs).unwrap();
        assert!(difference(&wanted.log_probabilities.values, &found[0].values) < 1e-5);
        assert!(difference(&wanted.attention.unwrap().values, &found.last().unwrap().values) < 1e-4);
    }
}

#[test]
fn words_and_settings_are_those_of_the_captioner() {
    let folder = tempfile::tempdir().unwrap();
    exported(folder.path());
    let files = files(folder.path());
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let wanted = ["README.md", "caption.js", "decoder.onnx", "encoder.onnx", "index.html", "settings.json"];
    assert_eq!(names, [&wanted[..], &["vocabulary.json"]].concat());
    let captioner = starter_captioner();
    let json = |file: &str| -> Value { serde_json::from_slice(&files[file]).unwrap() };
    let (settings, words) = (json("settings.json"), json("vocabulary.json"));
    assert_eq!(words["words"][settings["tokens"]["eos"].as_u64().unwrap() as usize], "<eos>");
    assert_eq!(settings["search"], serde_json::to_value(captioner.search_settings()).unwrap());
    let [rows, columns] = captioner.grid();
    assert_eq!(settings["grid"], json!([rows, columns]));
    let transform = serde_json::to_value(captioner.transform()).unwrap();
    let images = settings["images"].as_array().unwrap();
    assert_eq!((images.len(), &images[0]["input"]), (1, &"images".into()));
    for (key, value) in transform.as_object().unwrap() {
        assert_eq!(images[0][key], *value, "{key}");
    }
    let documentation = fs::read_to_string(at_root("docs/caption.md")).unwrap();
    for (key, value) in settings.as_object().unwrap() {
        assert!(documentation.contains(&format!("\n| `{key}` | ")), "{key}");
        let inner = value.get(0).unwrap_or(value).as_object();
        for inner in inner.into_iter().flat_map(|inner| inner.keys()) {
            assert!(documentation.contains(&format!("`{inner}`")), "{key}.{inner}");
        }
    }
    // What a transform leaves unsaid is said here.
    assert_eq!(images[0]["mirror"], false);
    let readme = String::from_utf8(files["README.md"].clone()).unwrap();
    assert!(readme.contains("| CIDEr-D | 0.577"), "{readme}");
    assert!(readme.contains("Apache-2.0") && readme.contains("half precision"), "{readme}");
}

#[test]
fn weights_in_bytes_are_small_and_say_the_same_of_photos() {
    let (whole, small) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    exported(whole.path());
    let args = ["--onnx", small.path().to_str().unwrap(), "--int8"];
    assert!(export(&starter(), &args).status.success());
    let (whole, small) = (files(whole.path()), files(small.path()));
    for file in ["settings.json", "vocabulary.json", "index.html", "caption.js"] {
        assert!(whole[file] == small[file], "{file}");
    }
    assert!(String::from_utf8_lossy(&small["README.md"]).contains("hold their weights in bytes"));
    // The starter is a file of halves: its decoder is already half as large as single precision.
    for (file, most) in [("encoder.onnx", 0.35), ("decoder.onnx", 0.55)] {
        let share = small[file].len() as f64 / whole[file].len() as f64;
        assert!(share < most, "{file}: {share}");
    }
    let transform = starter_captioner().transform().clone();
    let side = transform.crop as usize;
    let encoded = |files: &BTreeMap<String, Vec<u8>>, pixels: &[f32]| {
        let mut encoder = Session::new(&files["encoder.onnx"], NonZeroUsize::MIN).unwrap();
        let images = Input::F32 { shape: &[1, 3, side, side], values: pixels };
        encoder.run(&[("images", images)]).unwrap()
    };
    for path in photos() {
        let pixels = transform.apply(&caption::decode(&fs::read(&path).unwrap()).unwrap());
        for (ours, theirs) in encoded(&whole, &pixels).iter().zip(&encoded(&small, &pixels)) {
            let squares =
                |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>();
            let apart = squares(&mut ours.values.iter().zip(&theirs.values).map(|(a, b)| a - b));
            let share = (apart / squares(&mut ours.values.iter().copied())).sqrt();
            assert!(share > 0.0 && share < 0.1, "{}: {share} apart", path.display());
        }
    }
    let said = refused(&starter(), &["--int8"]);
    assert!(said.contains("--onnx"), "{said}");
}

#[test]
fn equal_captioners_give_equal_bytes_and_an_older_export_gives_way() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    exported(one.path());
    exported(&other.path().join("new/folder"));
    let first = files(one.path());
    assert!(first == files(&other.path().join("new/folder")), "the same file gave another folder");
    // What was cut off, and what people put beside it.
    fs::write(one.path().join("encoder.onnx"), "half of it").unwrap();
    fs::write(one.path().join("caption.py"), "print()").unwrap();
    exported(one.path());
    let mut again = files(one.path());
    assert_eq!(again.remove("caption.py").unwrap(), b"print()");
    assert!(again == first);
}

#[test]
fn what_cannot_be_exported_leaves_everything_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("settings.json"), r#"{"theirs": 1}"#).unwrap();
    let said = refused(&starter(), &["--onnx", taken.to_str().unwrap()]);
    assert!(said.contains("holds other files and no export: name an empty folder"), "{said}");
    assert_eq!(files(&taken).len(), 1);

    let new = folder.path().join("new");
    let new_arg = new.to_str().unwrap();
    assert!(refused(&starter(), &[]).contains("is a file: name the --onnx folder"));
    for option in [&["--half"][..], &["--hub", "hub"], &["--model", "name"], &["--split", "val"]] {
        let said = refused(&starter(), &[&["--onnx", new_arg][..], option].concat());
        assert!(said.contains(&format!("{} is for runs", option[0])), "{said}");
    }
    let whole = fs::read(starter()).unwrap();
    let broken = folder.path().join("broken.safetensors");
    for bytes in [&b""[..], b"a photo", &whole[..whole.len() / 2]] {
        fs::write(&broken, bytes).unwrap();
        assert!(refused(&broken, &["--onnx", new_arg]).contains("broken.safetensors"));
    }
    let nothing = refused(&folder.path().join("nothing"), &["--onnx", new_arg]);
    assert!(nothing.contains("nothing is not there: name a run, or a file"), "{nothing}");
    assert!(refused(folder.path(), &["--onnx", new_arg]).contains("no model with scores"));
    assert!(!new.exists());
}
