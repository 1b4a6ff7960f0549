//! Engines that others wrote make the features, part by part, and the files that start them elsewhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use dataset::Dataset;
use pipeline_tests::{Workspace, program};
use preprocess::Preprocess;
use serde_json::Value;

const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 12

[preprocess]
backbone = "resnet18"
part_images = 3
"#;

/// A folder that `scripts/get-test-tools.sh` names in a variable.
#[track_caller]
fn installed(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    needs::tool(&format!("the folder that {variable} names"), folder.filter(|folder| folder.is_dir()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn features(workspace: &Workspace) -> BTreeMap<OsString, Vec<u8>> {
    let files =
        fs::read_dir(workspace.run_folder().features("resnet18")).unwrap().map(|entry| entry.unwrap());
    let parts = files.filter(|file| file.path().extension().is_some_and(|end| end == "parquet"));
    parts.map(|file| (file.file_name(), fs::read(file.path()).unwrap())).collect()
}

fn executable(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A script of `scripts/scale` makes what one process makes, although one of its processes is killed at part 1, and the one
/// that waits for another at part 2.
fn makes_the_same(script: &str, python: &Path, packages: &Path, arguments: &[&str]) {
    let made = |run: &dyn Fn(&Workspace)| {
        let workspace = Workspace::new(CONFIG).with_weights("resnet18");
        workspace.run::<Dataset>(&[]).unwrap();
        run(&workspace);
        assert!(workspace.run::<Preprocess>(&[]).unwrap()[0].up_to_date, "the set is not finished");
        features(&workspace)
    };
    let wanted = made(&|workspace| drop(workspace.run::<Preprocess>(&[]).unwrap()));
    // Names of sockets are short.
    let scratch = tempfile::tempdir_in("/tmp").unwrap();
    let met = made(&|workspace| {
        let programs = workspace.path("programs");
        fs::create_dir(&programs).unwrap();
        let wrapper = format!(
            "#!/bin/sh\ncase \" $* \" in\n\
             *' --part 1 '*) mkdir '{0}/first' 2>/dev/null && kill -KILL $$ ;;\n\
             *' --part 2 '*) mkdir '{0}/second' 2>/dev/null && kill -KILL $PPID ;;\n\
             esac\nexec '{1}' \"$@\"\n",
            scratch.path().display(),
            program("preprocess").display(),
        );
        executable(&programs.join("preprocess"), &wrapper);
        let mut command = Command::new(python);
        command.arg(root().join("scripts/scale").join(script)).arg(workspace.path("config.toml"));
        command.arg("--programs").arg(&programs).args(["--set", "preprocess.engine=onnx"]).args(arguments);
        // Nothing of it stays, and nothing is told to anybody.
        command.env("PYTHONPATH", packages).env("HOME", scratch.path());
        command.env("RAY_TMPDIR", scratch.path().join("ray")).env("RAY_USAGE_STATS_ENABLED", "0");
        command.env("SPARK_LOCAL_DIRS", scratch.path().join("spark")).env("SPARK_LOCAL_IP", "127.0.0.1");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    });
    for killed in ["first", "second"] {
        assert!(scratch.path().join(killed).is_dir(), "the {killed} process was not killed");
    }
    assert!(met.len() == 4 && met == wanted, "{script} made other bytes");
}

#[test]
fn ray_makes_what_one_process_makes_although_workers_die() {
    let Some(packages) = installed("SCALE_PACKAGES") else { return };
    let Some(python) = needs::python("import google.protobuf, yaml") else { return };
    makes_the_same("ray_features.py", &python, &packages, &[]);
}

#[test]
fn spark_makes_what_one_process_makes_although_workers_die() {
    let folder = std::env::var_os("SPARK_PACKAGES").map(PathBuf::from);
    let Some(packages) = needs::large_tool("Spark", "WITH_SPARK", folder) else { return };
    let Some(python) = needs::python("import sys") else { return };
    if needs::program("java", &["-version"]) {
        makes_the_same("spark_features.py", &python, &packages, &["--master", "local[2,4]"]);
    }
}

const KUBERNETES: &str = include_str!("../docs/scale/kubernetes.yaml");

/// What a pod of a Job runs: variables and command line.
fn container(job: &Value) -> (Vec<(String, String)>, Vec<String>) {
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let variables = container["env"].as_array().into_iter().flatten();
    let pair = |variable: &Value| {
        [&variable["name"], &variable["value"]].map(|text| text.as_str().unwrap().to_owned())
    };
    let variables = variables.map(pair).map(|[name, value]| (name, value)).collect();
    (variables, [texts(&container["command"]), texts(&container["args"])].concat())
}

/// Runs one pod's or task's program to its end; what it said.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

#[test]
fn the_jobs_of_kubernetes_make_and_finish_a_set() {
    let workspace = Workspace::new(CONFIG).with_weights("resnet18");
    workspace.run::<Dataset>(&[]).unwrap();
    let jobs: Vec<Value> =
        KUBERNETES.split("\n---\n").map(|job| serde_saphyr::from_str(job).unwrap()).collect();
    let pod = |job: &Value, index: Option<u64>| {
        let (variables, line) = container(job);
        let [name, config] = [&line[0], &line[2]];
        assert_eq!(
            [name.as_str(), &line[1], config],
            ["/captioning/target/release/preprocess", "--config", "/data/run.toml"]
        );
        let mut command = Command::new(program("preprocess"));
        command.arg("--config").arg(workspace.path("config.toml")).args(&line[3..]).envs(variables);
        command.envs(index.map(|index| ("JOB_COMPLETION_INDEX", index.to_string())));
        said(&mut command)
    };
    let [features, finish] = jobs.as_slice() else { panic!("two Jobs") };
    let count = features["spec"]["completions"].as_u64().unwrap();
    for index in (0..count).rev() {
        let said = pod(features, Some(index));
        assert!(said.contains(&format!("shard {index}/{count}, by JOB_COMPLETION_INDEX")), "{said}");
    }
    let said = pod(finish, None);
    assert!(said.contains("is up to date") && !said.contains("shard"), "{said}");
}

#[test]
fn the_jobs_of_slurm_make_and_finish_a_set() {
    let workspace = Workspace::new(CONFIG).with_weights("resnet18");
    workspace.run::<Dataset>(&[]).unwrap();
    // A cluster that runs each job as it is submitted.
    let slurm = workspace.path("slurm");
    fs::create_dir(&slurm).unwrap();
    let sbatch = r#"#!/bin/bash
for argument; do
  case $argument in
    --wrap=*) job=${argument#--wrap=} ;;
    --array=*) array=${argument#--array=} ;;
    --dependency=*) [ "$argument" = --dependency=afterok:17 ] || exit 1 ;;
  esac
done
if [ -z "${array:-}" ]; then sh -c "$job" >&2 && echo '18;here'; exit; fi
first=${array%-*} last=${array#*-}
export SLURM_ARRAY_TASK_MIN=$first SLURM_ARRAY_TASK_MAX=$last SLURM_ARRAY_TASK_STEP=1
export SLURM_ARRAY_TASK_COUNT=$((last - first + 1))
for ((task = first; task <= last; task++)); do SLURM_ARRAY_TASK_ID=$task sh -c "$job" >&2 || exit; done
echo '17;here'
"#;
    let srun = "#!/bin/sh\nwhile case $1 in --*) ;; *) false ;; esac; do shift; done\n\
                SLURM_PROCID=0 SLURM_NTASKS=1 exec \"$@\"\n";
    for (name, script) in [("sbatch", sbatch), ("srun", srun)] {
        executable(&slurm.join(name), script);
    }
    let path = format!("{}:{}", slurm.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(root().join("docs/scale/slurm.sh"));
    command.arg(workspace.path("config.toml")).args(["3", "1"]).env("PATH", path);
    command.env("PROGRAMS", program("preprocess").parent().unwrap());
    let said = said(&mut command);
    for share in ["shard 0/3, by SLURM_ARRAY_TASK_ID", "shard 1/3", "shard 2/3", "is up to date"] {
        assert_eq!(said.matches(share).count(), 1, "{share}: {said}");
    }
    assert!(said.contains("features: job 17; finished by job 18"), "{said}");
}

#[test]
fn files_for_clusters_are_what_kubernetes_and_shells_read() {
    let Some(packages) = installed("SCALE_PACKAGES") else { return };
    let Some(python) = needs::python("import packaging, typing_extensions, yaml") else { return };
    let validate = |files: &[PathBuf]| {
        let mut command = Command::new(&python);
        command.env("PYTHONPATH", &packages).args(["-m", "kubernetes_validate", "--strict"]).args(files);
        command.output().unwrap()
    };
    let files =
        ["docs/scale/kubernetes.yaml", "examples/deploy/kubernetes.yaml"].map(|file| root().join(file));
    let output = validate(&files);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.yaml");
    fs::write(&wrong, KUBERNETES.replace("backoffLimitPerIndex", "backoffLimitPerindex")).unwrap();
    assert!(!validate(&[wrong]).status.success(), "a key that is none passes");

    let folders = ["scripts", "scripts/bench", "docs/scale"].map(|folder| root().join(folder));
    let files =
        folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|file| file.unwrap().path());
    let mut scripts: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|end| end == "sh")).collect();
    scripts.push(root().join(".ci/run"));
    assert!(scripts.iter().any(|script| script.ends_with("docs/scale/slurm.sh")));
    said(Command::new(packages.join("bin/shellcheck")).args(scripts).current_dir(root()));
}
