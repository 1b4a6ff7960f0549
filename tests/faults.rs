//! Errors and kills at the system calls that write, rename, sync, make and remove: what is finished stays whole, the old or
//! the new, and the next run ends in the bytes of an undisturbed one.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use artifacts::manifest::{Manifest, Output};
use artifacts::show;
use image::{ImageFormat, Rgb, RgbImage};
use pipeline_tests::{Workspace, program};

const CONFIG: &str = r#"
[dataset]
val_fraction = 0.4
test_fraction = 0.0
[preprocess]
backbone = "resnet18"
weights = "tuned"
part_images = 4
[text]
min_count = 1
[tune]
from_block = 7
words = 5
epochs = 2
batch_images = 2
[train]
decoders = ["lstm"]
epochs = 2
batch_images = 6
lstm = { embedding_size = 8, feature_size = 8, hidden_size = 8 }
self_critical = { epochs = 1, batch_images = 2 }
[evaluate]
attention_images = 0
resamples = 10
search = { max_length = 8 }
"#;
/// Where no weights are tuned before.
const PUBLISHED: &str = "preprocess.weights=published";
const STAGES: [&str; 6] = ["dataset", "text", "tune", "preprocess", "train", "evaluate"];
/// Calls that fill files, give and take names, and make them last.
const CALLS: [&str; 8] = ["write", "fsync", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir"];

/// The artifacts of a run by their folders.
type Artifacts = BTreeMap<PathBuf, (String, Vec<Output>)>;

/// What a fault does to the process.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Error,
    Kill,
}

fn photo(number: u8) -> Vec<u8> {
    let image = RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 * 6, y as u8 * 8, number * 40]));
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).unwrap();
    png.into_inner()
}

/// Six photos beside a table.
fn workspace() -> Workspace {
    let workspace = Workspace::new("").with_weights("resnet18");
    let raw = workspace.path("raw");
    fs::create_dir(&raw).unwrap();
    let mut csv = "image,caption\n".to_owned();
    for number in 0..6 {
        fs::write(raw.join(format!("{number}.png")), photo(number)).unwrap();
        csv += &format!("{number}.png,a picture of number {number}\n{number}.png,number {number} again\n");
    }
    fs::write(raw.join("captions.csv"), csv).unwrap();
    configure(&workspace, "table", &raw.join("captions.csv"));
    workspace
}

/// Two of them in each of three tar files.
fn workspace_of_shards() -> Workspace {
    let workspace = Workspace::new("");
    let raw = workspace.path("raw");
    fs::create_dir(&raw).unwrap();
    for shard in 0..3 {
        let mut tar = tar::Builder::new(fs::File::create(raw.join(format!("{shard}.tar"))).unwrap());
        for number in [2 * shard, 2 * shard + 1] {
            let caption = format!("a picture of number {number}");
            for (ending, bytes) in [("png", photo(number)), ("txt", caption.into_bytes())] {
                let mut header = tar::Header::new_ustar();
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, format!("{number}.{ending}"), bytes.as_slice()).unwrap();
            }
        }
        tar.finish().unwrap();
    }
    configure(&workspace, "webdataset", &raw);
    workspace
}

fn configure(workspace: &Workspace, layout: &str, root: &Path) {
    let root = format!("layout = \"{layout}\"\nroot = \"{}\"", root.display());
    let config = workspace.path("config.toml");
    let run = fs::read_to_string(&config).unwrap();
    fs::write(&config, run + &CONFIG.replacen("[dataset]", &format!("[dataset]\n{root}"), 1)).unwrap();
}

/// A stage on the command line, one thread of computation.
fn stage(workspace: &Workspace, name: &str, tracer: &[&str], set: &[&str]) -> ExitStatus {
    let program = program(name);
    let mut command = match tracer {
        [] => Command::new(program),
        [tracer, arguments @ ..] => {
            let mut command = Command::new(tracer);
            command.args(arguments).arg(program);
            command
        }
    };
    for setting in set {
        command.args(["--set", setting]);
    }
    command.arg("--config").arg(workspace.path("config.toml")).args(["--device", "cpu", "--quiet"]);
    command.env("OMP_NUM_THREADS", "1").env("RAYON_NUM_THREADS", "1");
    command.stderr(Stdio::null()).stdout(Stdio::null()).status().unwrap()
}

/// All finished artifacts, each of which must hold every byte that its manifest promises.
fn artifacts(run: &Path, told: &str) -> Artifacts {
    let folders = show::artifact_folders(run).unwrap();
    let artifact = |folder: PathBuf| {
        let manifest = Manifest::read(&folder).unwrap_or_else(|error| panic!("{told}: {error}"));
        for output in &manifest.outputs {
            let found = Output::of(&folder, &output.file).unwrap_or_else(|error| panic!("{told}: {error}"));
            assert_eq!(found, *output, "{told}: {}", folder.display());
        }
        // It says how long the epochs took.
        let outputs = manifest.outputs.into_iter().filter(|output| output.file != "metrics.jsonl");
        (folder, (manifest.fingerprint, outputs.collect()))
    };
    folders.into_iter().map(artifact).collect()
}

/// What lies in a run beside artifacts and locks.
fn litter(run: &Path) -> Vec<PathBuf> {
    let promised: Vec<PathBuf> = (show::artifact_folders(run).unwrap().into_iter())
        .flat_map(|folder| {
            let outputs = Manifest::read(&folder).unwrap().outputs;
            outputs.into_iter().map(move |output| folder.join(output.file))
        })
        .collect();
    let mut found = Vec::new();
    let mut folders = vec![run.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let unfinished = name.starts_with(".writing-") || name.contains(".unfinished") || name == "state";
            // A table that no manifest promises was one of older settings.
            let old = name.ends_with(".parquet") && !promised.contains(&path);
            if unfinished || old {
                found.push(path);
            } else if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Runs a stage again and again over what these stages, itself among them, have made by other settings, each time with a fault
/// at a later one of each kind of calls, until none is left to hit. `next` says which is hit after which.
fn torture(workspace: &Workspace, stages: &[&str], name: &str, changed: &str, next: fn(u32) -> u32) {
    let found = Command::new("strace").arg("--version").output().is_ok_and(|output| output.status.success());
    if needs::tool("strace", found.then_some(())).is_none() {
        return;
    }
    let able = Command::new("strace").args(["-f", "-e", "trace=none", "true"]).output();
    let able = able.is_ok_and(|output| output.status.success());
    if needs::machine("a system that lets processes be traced", able.then_some(())).is_none() {
        return;
    }
    let (run, saved) = (workspace.path("runs/test"), workspace.path("saved"));
    for name in stages {
        assert!(stage(workspace, name, &[], &[]).success(), "{name}");
    }
    copy(&run, &saved);
    let old = artifacts(&run, "undisturbed");
    assert!(stage(workspace, name, &[], &[changed]).success());
    let new = artifacts(&run, "undisturbed");
    assert_ne!(old, new);
    let log = workspace.path("strace.log");
    let mut failed = 0;
    for (kind, call) in CALLS.into_iter().enumerate() {
        let mut when = 1;
        loop {
            let fault = if (when as usize + kind).is_multiple_of(2) { Fault::Kill } else { Fault::Error };
            let told = format!("{name}, {fault:?} at {call} {when}");
            fs::remove_dir_all(&run).unwrap();
            copy(&saved, &run);
            let what = match fault {
                Fault::Error => "error=ENOSPC",
                Fault::Kill => "signal=KILL",
            };
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{what}:when={when}"));
            let tracer = ["strace", "-f", "-o", log.to_str().unwrap(), "-e", &trace, "-e", &inject];
            let status = stage(workspace, name, &tracer, &[changed]);
            let hit = fs::read_to_string(&log).unwrap();
            if !hit.contains("(INJECTED)") && !hit.contains("killed by SIGKILL") {
                break;
            }
            failed += usize::from(!status.success());
            let found = artifacts(&run, &told);
            for (folder, artifact) in &found {
                let whole = [&old, &new].iter().any(|known| known.get(folder) == Some(artifact));
                assert!(whole, "{told}: {} is neither the old nor the new", folder.display());
            }
            assert!(
                old.keys().all(|folder| found.contains_key(folder)),
                "{told}: something finished is gone"
            );
            assert!(stage(workspace, name, &[], &[changed]).success(), "{told}: the next run fails");
            assert!(artifacts(&run, &told) == new, "{told}: the next run ends elsewhere");
            assert_eq!(litter(&run), [] as [PathBuf; 0], "{told}");
            when = next(when);
        }
    }
    assert!(failed > 4, "{name}: {failed} runs failed");
}

/// Every call.
fn each(when: u32) -> u32 {
    when + 1
}

/// Calls further and further apart, odd and even ones: 1, 2, 5, 10, 21…
fn some(when: u32) -> u32 {
    2 * when + u32::from(when.is_multiple_of(2))
}

#[test]
fn a_fault_in_dataset_leaves_the_old_tables_or_the_new() {
    torture(&workspace(), &STAGES, "dataset", "dataset.val_fraction=0.2", each);
}

#[test]
fn a_fault_in_a_dataset_of_shards_leaves_the_old_tables_or_the_new() {
    torture(&workspace_of_shards(), &["dataset"], "dataset", "run.seed=9", each);
}

#[test]
fn a_fault_in_text_leaves_the_old_vocabulary_or_the_new() {
    torture(&workspace(), &STAGES, "text", "text.min_count=2", each);
}

#[test]
fn a_fault_in_tune_leaves_the_old_weights_or_the_new() {
    torture(&workspace(), &STAGES, "tune", "tune.head_learning_rate=0.002", some);
}

#[test]
fn a_fault_in_preprocess_leaves_the_old_features_or_the_new() {
    torture(&workspace(), &STAGES, "preprocess", "preprocess.dtype=f32", some);
}

#[test]
fn a_fault_in_train_leaves_the_old_model_or_the_new() {
    torture(&workspace(), &STAGES, "train", "train.learning_rate=0.003", some);
}

#[test]
fn a_fault_in_evaluate_leaves_the_old_scores_or_the_new() {
    torture(&workspace(), &STAGES, "evaluate", "evaluate.search.beam_size=2", some);
}

/// A program that may take so many bytes of address space; its libraries alone take several hundred million.
fn limited(program: &Path, megabytes: usize) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v \"$0\" && exec \"$@\"", &(megabytes * 1000).to_string()]).arg(program);
    command
}

#[test]
fn memory_that_the_system_refuses_fails_the_stage_like_any_error() {
    let workspace = workspace();
    assert!(stage(&workspace, "dataset", &[], &[]).success());
    let preprocess = program("preprocess");
    let mut told_of_memory = 0;
    for megabytes in (450..=900).step_by(50) {
        // Below that nothing of ours runs yet.
        let starts = limited(&preprocess, megabytes).arg("--help").output().unwrap().status.success();
        if !starts {
            continue;
        }
        let mut command = limited(&preprocess, megabytes);
        command.arg("--config").arg(workspace.path("config.toml"));
        command.args(["--device", "cpu", "--quiet", "--force", "--set", PUBLISHED]);
        let output = command.env("RUST_BACKTRACE", "0").env("RAYON_NUM_THREADS", "2").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let told = format!("{megabytes} MB: {:?}, {said}", output.status);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{told}");
        assert!(!said.contains("frame #") && !said.contains("panicked"), "{told}");
        told_of_memory += usize::from(!output.status.success() && said.contains("memory"));
    }
    assert!(told_of_memory > 0, "every run was granted what it asked for, or failed otherwise");
    assert!(
        stage(&workspace, "preprocess", &[], &[PUBLISHED]).success(),
        "nothing stands in the way of the next run"
    );
}
