//! The page of an exported folder, in a browser: from plain files it captions a photo as `caption` does, shows where the
//! model looked, and speaks to nobody else.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use caption::{Captioned, Captioner, Options};
use pipeline_tests::browser::Browser;
use pipeline_tests::program;
use serde_json::{Value, json};

use crate::figures::at_root;

/// A server of the plainest kind: the files of a folder, and what was asked of it.
struct Files {
    address: String,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl Files {
    fn serve(folder: &Path) -> Files {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(BTreeSet::new()));
        let (folder, log) = (folder.to_owned(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (folder, log) = (folder.clone(), log.clone());
                // A browser that goes away in the middle is none of the server's business.
                std::thread::spawn(move || answer(stream, &folder, &log).ok());
            }
        });
        Files { address, asked }
    }
}

/// One request, one file.
fn answer(mut stream: TcpStream, folder: &Path, log: &Mutex<BTreeSet<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // What is not read when the connection closes would cut the answer off.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let Some(path) = request.strip_prefix("GET /").and_then(|rest| rest.strip_suffix(" HTTP/1.1")) else {
        // A browser opens connections that it may need.
        if !request.is_empty() {
            log.lock().unwrap().insert(request);
        }
        return Ok(());
    };
    let path = if path.is_empty() { "index.html" } else { path };
    log.lock().unwrap().insert(path.to_owned());
    let kind = match path.rsplit('.').next() {
        Some("html") => "text/html",
        Some("js" | "mjs") => "text/javascript",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    };
    let (status, body) = match fs::read(folder.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", vec![]),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}

fn starter() -> PathBuf {
    at_root("models/starter.safetensors")
}

/// The starter's folder.
fn export(folder: &Path) {
    let output = Command::new(program("export")).arg(starter()).arg("--onnx").arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Where ONNX Runtime Web lies, if it was loaded.
fn runtime() -> Option<PathBuf> {
    let folder = std::env::var_os("ONNXRUNTIME_WEB").map(PathBuf::from);
    needs::tool("ONNX Runtime Web, named by ONNXRUNTIME_WEB", folder.filter(|folder| folder.is_dir()))
}

/// The test photos in a format that every decoder reads alike: each whole, and as the network sees it.
fn photos(folder: &Path, captioner: &Captioner) -> Vec<(PathBuf, PathBuf)> {
    let both = ["ascent", "camera", "grace_hopper"].iter().map(|name| {
        let bytes = fs::read(at_root("tests/photos").join(format!("{name}.jpg"))).unwrap();
        let photo = caption::decode(&bytes).unwrap();
        let (whole, square) = (folder.join(format!("{name}.png")), folder.join(format!("{name}-square.png")));
        photo.save(&whole).unwrap();
        captioner.transform().pixels(&photo).save(&square).unwrap();
        (whole, square)
    });
    both.collect()
}

fn captioned(captioner: &Captioner, photo: &Path, search: &Value) -> Captioned {
    let photo = captioner.photo(&fs::read(photo).unwrap()).unwrap();
    captioner.caption(&[photo], &serde_json::from_value(search.clone()).unwrap()).unwrap().remove(0)
}

/// Every hypothesis, in order.
fn assert_same(ours: &Captioned, theirs: &Value) {
    let theirs = theirs["captions"].as_array().unwrap();
    assert_eq!(ours.captions.len(), theirs.len());
    for (ours, theirs) in ours.captions.iter().zip(theirs) {
        assert_eq!((&theirs["caption"], &theirs["finished"]), (&json!(ours.caption), &json!(ours.finished)));
        let difference = (ours.log_probability - theirs["log_probability"].as_f64().unwrap()).abs();
        assert!(difference < 1e-3, "{}: {difference}", ours.caption);
        for (ours, theirs) in ours.words.iter().zip(theirs["words"].as_array().unwrap()) {
            let look: Vec<f32> = serde_json::from_value(theirs["attention"].clone()).unwrap();
            let differences = ours.attention.as_ref().unwrap().iter().zip(&look).map(|(a, b)| (a - b).abs());
            assert!(differences.fold(0.0, f32::max) < 1e-3, "{}", ours.text);
        }
    }
}

/// What the page says once it is done with a photo.
fn said(browser: &mut Browser, photo: &Path) -> Value {
    browser.value("answer = null");
    browser.choose_file("#file", photo.to_str().unwrap());
    browser.wait("document.querySelector('#error').textContent !== '' || answer !== null");
    assert_eq!(browser.value("document.querySelector('#error').textContent"), "");
    let words = "[...document.querySelectorAll('.word')].map(word => word.textContent).join(' ')";
    browser.wait(&format!("{words} === answer.caption"));
    browser.value("answer")
}

#[test]
fn the_page_captions_as_the_program_does_and_speaks_to_nobody() {
    let Some(runtime) = runtime() else { return };
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    export(folder.path());
    let files = Files::serve(folder.path());
    let Some(mut browser) = Browser::open(&files.address, 1200, 900) else { return };

    // Without the runtime beside it the page says where to get it.
    let error = "document.querySelector('#error').textContent";
    browser.wait(&format!("{error} !== ''"));
    let missing = browser.value(error);
    assert!(missing.as_str().unwrap().contains("scripts/get-onnxruntime-web.sh"), "{missing}");
    fs::create_dir(folder.path().join("ort")).unwrap();
    for entry in fs::read_dir(runtime).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join("ort").join(entry.file_name())).unwrap();
    }
    browser.call("Page.reload", json!({ "ignoreCache": true }));
    browser.wait("document.readyState === 'complete' && typeof loading === 'object'");
    browser.complaints.clear();
    files.asked.lock().unwrap().clear();
    browser.value("loading.then(() => null)");

    let captioner = Captioner::open(&starter(), &Options::default()).unwrap();
    let recipe = serde_json::to_value(captioner.search_settings()).unwrap();
    let photos = photos(elsewhere.path(), &captioner);
    for (whole, square) in &photos {
        let ours = captioned(&captioner, whole, &recipe);
        let theirs = said(&mut browser, whole);
        assert_eq!(theirs["grid"], json!(ours.grid));
        let region: [f32; 4] = serde_json::from_value(theirs["seen"]["region"].clone()).unwrap();
        assert_eq!(region, ours.seen.region);
        assert_eq!(theirs["caption"], ours.best().caption, "{}", whole.display());
        // The kernels of the page have more bits than ours.
        let theirs = theirs["captions"][0]["log_probability"].as_f64().unwrap();
        assert!((ours.best().log_probability - theirs).abs() < 0.05, "{}", whole.display());
        assert_same(&captioned(&captioner, square, &recipe), &said(&mut browser, square));
    }
    for change in [
        json!({ "beam_size": 1, "length_penalty": 0.0, "no_repeat_ngram": 0 }),
        json!({ "beam_size": 4, "length_penalty": 0.5, "no_repeat_ngram": 1, "min_length": 13 }),
        json!({ "max_length": 5 }),
        json!({ "beam_size": 6, "groups": 3, "diversity": 0.7 }),
        json!({ "beam_size": 20, "consensus": 0.5 }),
    ] {
        let mut search = recipe.clone();
        search.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        browser.value(&format!("loading.then(model => {{ model.settings.search = {search} }})"));
        let square = &photos[0].1;
        assert_same(&captioned(&captioner, square, &search), &said(&mut browser, square));
    }

    // Pointing at a word shows where the model looked.
    browser.hover(".word");
    browser.wait("getComputedStyle(document.querySelector('#heat')).opacity === '1'");
    let shades = "(() => { const c = document.querySelector('#heat'); \
                  const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height); \
                  return new Set(data.filter((_, at) => at % 4 === 3)).size })()";
    assert!(browser.value(shades).as_u64().unwrap() > 20);
    assert!(browser.value("answer.captions[0].words[0].attention.length") == 49);

    // A photo that is dropped, and one that was no photo.
    let drop = |content: &str, name: &str| {
        format!(
            "(() => {{ answer = null; const data = new DataTransfer(); data.items.add(new File([{content}], '{name}')); \
             document.dispatchEvent(new DragEvent('drop', {{ dataTransfer: data }})) }})()"
        )
    };
    browser.value(&format!(
        "(async () => {{ globalThis.kept = {{ bytes: await photo.arrayBuffer(), caption: answer.caption }}; {} }})()",
        drop("kept.bytes", "photo.png")
    ));
    browser.wait("answer !== null && answer.caption === kept.caption");
    for (content, says) in [
        ("'Dear diary'", "no photo that the browser can read"),
        ("", "empty"),
        ("'\\0\\0\\0\\x18ftypheic\\0\\0\\0\\0'", "HEIC"),
    ] {
        browser.value(&drop(content, "file"));
        browser.wait(&format!("{error}.includes('{says}')"));
    }
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);

    // It asked for its own files, and for nothing else anywhere.
    let asked = files.asked.lock().unwrap().clone();
    let ours =
        ["encoder.onnx", "decoder.onnx", "settings.json", "vocabulary.json", "index.html", "caption.js"];
    let unknown: Vec<_> =
        asked.iter().filter(|path| !ours.contains(&path.as_str()) && !path.starts_with("ort/")).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let all = browser.value("performance.getEntriesByType('resource').map(entry => entry.name)");
    let here = |name: &Value| {
        let name = name.as_str().unwrap();
        name.starts_with(&files.address) || name.starts_with("blob:") || name.starts_with("data:")
    };
    assert!(all.as_array().unwrap().iter().all(here), "{all}");
}

#[test]
fn the_page_resizes_as_pillow_does_and_the_programs_nearly() {
    let folder = tempfile::tempdir().unwrap();
    export(folder.path());
    let captioner = Captioner::open(&starter(), &Options::default()).unwrap();
    let photo = fs::read(at_root("tests/photos/grace_hopper.jpg")).unwrap();
    // A side that is a prime: no kernel falls on the pixels.
    let photo = image::imageops::crop_imm(&caption::decode(&photo).unwrap(), 0, 0, 499, 401).to_image();
    photo.save(folder.path().join("photo.png")).unwrap();
    let files = Files::serve(folder.path());
    let imports = "import json, sys\nfrom PIL import Image";
    let script = format!(
        "{imports}\n\
         photo, look = Image.open(sys.argv[1]), json.loads(sys.argv[2])\n\
         crop, kernel = look['crop'], Image.Resampling[look['interpolation'].upper()]\n\
         sides = [crop if look['squash'] else look['resize'] * side // min(photo.size) for side in photo.size]\n\
         left, top = [round((side - crop) / 2) for side in sides]\n\
         square = photo.resize(sides, kernel).crop((left, top, left + crop, top + crop))\n\
         sys.stdout.buffer.write(square.tobytes())"
    );
    let python = needs::python(imports);
    // It needs no networks to resize.
    let Some(mut browser) = Browser::open(&files.address, 800, 600) else { return };
    browser.value("fetch('photo.png').then(reply => reply.blob()).then(decode).then(bitmap => { globalThis.bitmap = bitmap; return null })");
    for change in [
        json!({ "resize": 72, "squash": false }),
        json!({ "resize": 65, "squash": false, "interpolation": "bilinear" }),
        json!({ "resize": 801, "crop": 96, "squash": false }),
        json!({}),
    ] {
        let mut look = json!({ "resize": 64, "crop": 64, "squash": true, "mirror": false });
        let rest = json!({ "interpolation": "bicubic", "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0] });
        for object in [rest, change] {
            look.as_object_mut().unwrap().extend(object.as_object().unwrap().clone());
        }
        let mut transform = captioner.transform().clone();
        transform.clone_from(&serde_json::from_value(look.clone()).unwrap());
        let ours = transform.pixels(&photo).into_raw();
        let theirs: Vec<u8> =
            serde_json::from_value(browser.value(&format!("[...square(bitmap, {look})]"))).unwrap();
        assert_eq!(ours.len(), theirs.len());
        let differ = ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
        assert!(differ * 50 < ours.len(), "{look}: {differ} of {}", ours.len());
        assert!(ours.iter().zip(&theirs).all(|(a, b)| a.abs_diff(*b) <= 2), "{look}");
        if let Some(python) = &python {
            let mut command = Command::new(python);
            command.args(["-c", &script]).arg(folder.path().join("photo.png")).arg(look.to_string());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout == theirs, "{look}: not what Pillow does");
        }
    }
}
