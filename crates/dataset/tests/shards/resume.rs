//! Runs that are killed, shared among processes, or repeated.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::SystemTime;

use crate::archives::samples;
use crate::run::{Run, says};

fn three() -> Run {
    let run = Run::new("webdataset");
    for number in 0..3_u32 {
        run.raw(&format!("{number}.tar"), &samples(number * 4..number * 4 + 4));
    }
    run
}

/// When each table was written.
fn times(run: &Run) -> BTreeMap<String, SystemTime> {
    let time =
        |file: String| (file.clone(), fs::metadata(run.dataset().join(file)).unwrap().modified().unwrap());
    run.tables().into_keys().map(time).collect()
}

#[test]
fn only_a_shard_that_changed_is_read_again() {
    let run = three();
    run.make(&[]);
    let before = times(&run);
    assert_eq!(before.len(), 6);
    let output = run.output(&[]);
    says(&String::from_utf8(output.stderr).unwrap(), &["up to date"]);
    run.raw("1.tar", &samples(20..23));
    run.make(&[]);
    let after = times(&run);
    let kept: Vec<&String> = before.keys().filter(|file| after.get(*file) == before.get(*file)).collect();
    assert_eq!((after.len(), kept.len()), (6, 4), "{kept:?}");
    assert!(kept.iter().all(|file| !file.contains("part-00001")), "{kept:?}");
    assert_eq!(run.found().len(), 11);
    // Of the parts that nothing names none is left.
    assert_eq!(fs::read_dir(run.dataset().join("images")).unwrap().count(), 3);

    let before = times(&run);
    run.make(&["--force"]);
    let after = times(&run);
    assert!(before.iter().all(|(file, time)| after[file] > *time));

    // Another seed draws other splits, so that all parts are others.
    run.make(&["--set", "run.seed=9"]);
    assert!(times(&run).keys().all(|file| !before.contains_key(file)));
    assert_eq!(fs::read_dir(run.dataset().join("captions")).unwrap().count(), 3);
    fs::remove_file(run.path("raw/2.tar")).unwrap();
    run.make(&["--set", "run.seed=9"]);
    assert_eq!(run.found().len(), 7);
    assert_eq!(fs::read_dir(run.dataset().join("captions")).unwrap().count(), 2);
}

#[test]
fn processes_that_share_the_shards_write_what_one_writes() {
    let (alone, shared) = (three(), three());
    // The place is part of the tables.
    shared.configure("webdataset", &alone.path("raw").display().to_string());
    alone.make(&[]);
    let share = |number: usize| {
        let mut command = shared.command(&["--set", &format!("dataset.shard=\"{number}/2\"")]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let processes = [share(0), share(1)];
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    shared.make(&[]);
    assert_eq!(shared.tables(), alone.tables());

    let torch = three();
    torch.configure("webdataset", &alone.path("raw").display().to_string());
    for rank in ["0", "1", "2", "3"] {
        let status = torch.command(&["--quiet"]).env("RANK", rank).env("WORLD_SIZE", "4").status().unwrap();
        assert!(status.success());
    }
    assert_eq!(torch.tables(), alone.tables());
    let lone = torch.command(&["--quiet"]).env("RANK", "0").output().unwrap();
    says(&String::from_utf8(lone.stderr).unwrap(), &["dataset.shard", "WORLD_SIZE"]);
    says(&torch.refused(&["--set", "dataset.shard=\"2/2\""]), &["dataset.shard", "expected i/n"]);
}

#[test]
fn a_killed_run_goes_on_where_it_stopped() {
    let run = Run::new("webdataset");
    for number in 0..12_u32 {
        run.raw(&format!("{number:02}.tar"), &samples(number * 8..number * 8 + 8));
    }
    let parts = || {
        fs::read_dir(run.dataset().join("images")).map_or(0, |parts| {
            parts
                .filter(|part| part.as_ref().unwrap().file_name().to_string_lossy().starts_with("part-"))
                .count()
        })
    };
    let mut process = run.command(&["--quiet"]).env("RAYON_NUM_THREADS", "1").spawn().unwrap();
    while parts() == 0 && process.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    process.kill().unwrap();
    process.wait().unwrap();
    let done: BTreeMap<_, _> = fs::read_dir(run.dataset().join("images"))
        .unwrap()
        .map(|part| part.unwrap())
        .filter(|part| part.file_name().to_string_lossy().starts_with("part-"))
        .map(|part| (part.file_name(), part.metadata().unwrap().modified().unwrap()))
        .collect();
    assert!(!done.is_empty());
    run.make(&[]);
    assert_eq!(run.found().len(), 96);
    for (name, time) in done {
        let path = run.dataset().join("images").join(&name);
        assert_eq!(fs::metadata(path).unwrap().modified().unwrap(), time, "{name:?} was made again");
    }
}
