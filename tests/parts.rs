//! Features part by part, as engines hand them out, and by whoever else has numbered the process.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use artifacts::Manifest;
use dataset::Dataset;
use pipeline_tests::{Workspace, alone, message, program};
use preprocess::part::{self, Report};
use preprocess::{Preprocess, Settings};
use stage::guard::{Begin, Making, begin};
use stage::{Context, Outcome, Stage};

/// Three parts of each of two sets.
const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 12

[preprocess]
backbone = "resnet18"
views = ["centre", "flip"]
part_images = 5
workers = 1
"#;
const SETS: [&str; 2] = ["resnet18", "resnet18.flip"];

fn workspace() -> Workspace {
    let workspace = Workspace::new(CONFIG).with_weights("resnet18");
    workspace.run::<Dataset>(&[]).unwrap();
    workspace
}

fn make(workspace: &Workspace, part: usize, force: bool) -> anyhow::Result<Vec<Outcome>> {
    let context = Context { part: Some(part), force, ..workspace.context(&[])? };
    let settings: Settings = context.checked::<Preprocess>()?;
    let _alone = alone();
    Preprocess::run(&settings, &context)
}

fn list(workspace: &Workspace) -> Report {
    part::list(&workspace.context(&[]).unwrap()).unwrap()
}

/// The bytes of every part of all sets, and when they were written.
fn parts(workspace: &Workspace) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut parts = BTreeMap::new();
    for set in SETS {
        let Ok(files) = fs::read_dir(workspace.run_folder().features(set)) else { continue };
        for path in files.map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|end| end == "parquet") {
                let written = fs::metadata(&path).unwrap().modified().unwrap();
                let name = Path::new(set).join(path.file_name().unwrap());
                parts.insert(name, (fs::read(&path).unwrap(), written));
            }
        }
    }
    parts
}

fn bytes(workspace: &Workspace) -> BTreeMap<PathBuf, Vec<u8>> {
    parts(workspace).into_iter().map(|(name, (bytes, _))| (name, bytes)).collect()
}

/// The program without variables of any launcher but these.
fn preprocess(workspace: &Workspace, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program("preprocess"));
    command.args(arguments).arg("--config").arg(workspace.path("config.toml")).args(["--device", "cpu"]);
    for (name, _) in std::env::vars() {
        if ["RANK", "WORLD_SIZE", "JOB_", "SLURM_", "OMPI_"].iter().any(|begin| name.starts_with(begin)) {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn parts_made_one_by_one_are_those_of_one_run() {
    let whole = workspace();
    whole.run::<Preprocess>(&[]).unwrap();
    let wanted = bytes(&whole);
    assert_eq!((wanted.len(), list(&whole).complete), (6, vec![0, 1, 2]));

    let workspace = workspace();
    let none = list(&workspace);
    assert_eq!((none.parts, none.complete), (3, vec![]));
    assert!(make(&workspace, 1, false).unwrap().is_empty());
    let first = parts(&workspace);
    assert_eq!((first.len(), list(&workspace).complete), (2, vec![1]));
    make(&workspace, 2, false).unwrap();
    make(&workspace, 1, false).unwrap();
    for (name, part) in &first {
        assert!(parts(&workspace)[name] == *part, "a complete part was made again");
    }
    make(&workspace, 1, true).unwrap();
    assert!(first.iter().all(|(name, part)| parts(&workspace)[name].0 == part.0), "--force changed bytes");
    make(&workspace, 0, false).unwrap();
    let all = list(&workspace);
    assert!(all.complete == [0, 1, 2] && all.sets.iter().all(|set| !set.finished));
    let made = parts(&workspace);
    for set in SETS {
        assert!(Manifest::read(&workspace.run_folder().features(set)).is_err(), "a part ended the set");
    }

    // The run that finishes computes nothing.
    assert_eq!(workspace.run::<Preprocess>(&[]).unwrap().len(), 2);
    assert!(parts(&workspace) == made && bytes(&workspace) == wanted);
    assert!(list(&workspace).sets.iter().all(|set| set.finished));
    assert!(make(&workspace, 2, false).unwrap().iter().all(|outcome| outcome.up_to_date));
    let features = workspace.run_folder().features("resnet18");
    let locks = fs::read_dir(features.parent().unwrap()).unwrap();
    let numbered =
        locks.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("lock-"));
    assert_eq!(numbered.count(), 2, "locks of parts stay, beside that of the door");
}

#[test]
fn a_part_that_is_not_there_is_refused_with_how_many_there_are() {
    let workspace = workspace();
    let beyond = message(make(&workspace, 3, false));
    assert!(beyond.contains("there are 3 parts, numbered from 0"), "{beyond}");
    workspace.run::<Preprocess>(&[]).unwrap();
    assert!(make(&workspace, 3, false).is_err(), "a finished set has all parts");
    let output = preprocess(&workspace, &["--part", "3"], &[]).output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("--part"), "{}", said(&output));
}

#[test]
fn a_part_waits_while_another_process_makes_it() {
    let workspace = workspace();
    let folder = workspace.run_folder().features("resnet18");
    let recipe = artifacts::Recipe::new("preprocess", 1, &"of another process").unwrap();
    let Begin::Work(work) = begin(&folder, recipe, false, Making::InPlace(Some(1))).unwrap() else {
        panic!()
    };
    // Another part is nobody's.
    make(&workspace, 0, false).unwrap();
    let mut second = preprocess(&workspace, &["--part", "1"], &[]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(second.stderr.take().unwrap()).lines().map(Result::unwrap);
    let waits = lines.find(|line| line.contains("waits")).expect("it should wait");
    assert!(waits.contains("part 1 waits: another process is writing"), "{waits}");
    assert_eq!(list(&workspace).complete, [0]);
    drop(work);
    lines.for_each(drop);
    assert!(second.wait().unwrap().success());
    assert_eq!(list(&workspace).complete, [0, 1]);
}

#[test]
fn a_driver_learns_the_parts_as_json() {
    let workspace = workspace();
    make(&workspace, 2, false).unwrap();
    let list = |json: &[&str]| {
        // Whoever drives others is often numbered itself.
        let arguments = [&["parts"], json].concat();
        let output = preprocess(&workspace, &arguments, &[("JOB_COMPLETION_INDEX", "0")]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let report: serde_json::Value = serde_json::from_str(&list(&["--json"])).unwrap();
    assert_eq!((&report["parts"], &report["complete"]), (&serde_json::json!(3), &serde_json::json!([2])));
    assert_eq!(
        (&report["sets"][1]["name"], &report["sets"][1]["finished"]),
        (&SETS[1].into(), &false.into())
    );
    assert_eq!(
        list(&[]),
        "resnet18: 1 of 3 parts complete, missing 0, 1\nresnet18.flip: 1 of 3 parts complete, missing 0, 1\n"
    );
}

#[test]
fn whoever_is_numbered_makes_its_share_and_says_by_which_variables() {
    let workspace = workspace();
    let uncounted = preprocess(&workspace, &[], &[("JOB_COMPLETION_INDEX", "1")]).output().unwrap();
    let lack = said(&uncounted);
    assert!(uncounted.status.code() == Some(2) && lack.contains("set WORLD_SIZE"), "{lack}");
    // What is one part has no need of a count.
    let part = preprocess(&workspace, &["--part", "0"], &[("JOB_COMPLETION_INDEX", "0")]).output().unwrap();
    assert!(part.status.success() && list(&workspace).complete == [0], "{}", said(&part));
    let shares = [
        (
            &[("JOB_COMPLETION_INDEX", "1"), ("WORLD_SIZE", "3")],
            "JOB_COMPLETION_INDEX and WORLD_SIZE",
            vec![0, 1],
        ),
        (
            &[("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "3")],
            "OMPI_COMM_WORLD_RANK",
            vec![0, 1, 2],
        ),
    ];
    for (variables, by, complete) in shares {
        let output = preprocess(&workspace, &[], variables).output().unwrap();
        assert!(output.status.success() && said(&output).contains(by), "{}", said(&output));
        assert_eq!(list(&workspace).complete, complete);
    }
    // The last one found all parts complete.
    assert!(list(&workspace).sets.iter().all(|set| set.finished));
}
