//! Training by several processes, and what is left of one that is killed or stopped: the same bytes in the end.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use artifacts::layout::unfinished;
use artifacts::{RunFolder, Split};
use dataset::Dataset;
use pipeline_tests::{Workspace, program};
use preprocess::Preprocess;
use serde_json::{Map, Value};
use text::Text;

/// Everything that draws, and everything that is averaged. A state is saved after each step.
const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 26
val_fraction = 0.2
test_fraction = 0.0

[preprocess]
backbone = "resnet18"

[text]
min_count = 1

[train]
decoders = ["soft_attention", "hard_attention"]
epochs = 3
patience = 4
batch_images = 8
micro_batches = 8
warmup_steps = 2
label_smoothing = 0.1
average_decay = 0.9
scheduled_sampling = 0.5
save_every_minutes = 1e-6
self_critical = { epochs = 1, batch_images = 8, max_length = 8 }
soft_attention = { embedding_size = 8, feature_size = 8, hidden_size = 8, attention_size = 8 }
hard_attention = { embedding_size = 8, feature_size = 8, hidden_size = 8, attention_size = 8 }
"#;
const MODELS: [&str; 2] = ["resnet18-soft_attention", "resnet18-hard_attention"];

/// How often a training may be faster than who ends it.
const TRIES: usize = 20;

/// Of each model its bytes, and its log but for what was measured in time.
type Trained = [(Vec<u8>, Vec<Value>); 2];

/// What trainings begin with, and what one process makes of it that nobody disturbs.
struct Made {
    workspace: Workspace,
    wanted: Trained,
}

impl Made {
    fn new() -> Made {
        let workspace = Workspace::new(CONFIG).with_weights("resnet18");
        for stage in [Workspace::run::<Dataset>, Workspace::run::<Text>, Workspace::run::<Preprocess>] {
            stage(&workspace, &[]).unwrap();
        }
        // The last batch has holes: five images in eight micro-batches.
        let train = workspace.images().1.iter().filter(|row| row.split == Split::Train).count();
        assert_eq!(train % 8, 5);
        let alone = Run::of(&workspace);
        let output = alone.train().output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        Made { wanted: alone.trained(), workspace }
    }
}

/// One for all tests that run at the same time.
fn made() -> Arc<Made> {
    static MADE: Mutex<Weak<Made>> = Mutex::new(Weak::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.upgrade().unwrap_or_else(|| {
        let new = Arc::new(Made::new());
        *made = Arc::downgrade(&new);
        new
    })
}

/// A training of its own, on artifacts that it shares.
struct Run {
    config: PathBuf,
    runs: tempfile::TempDir,
}

impl Run {
    fn of(workspace: &Workspace) -> Run {
        let run = Run { config: workspace.path("config.toml"), runs: tempfile::tempdir().unwrap() };
        fs::create_dir(run.folder().path()).unwrap();
        for artifact in ["text", "features"] {
            symlink(workspace.run_folder().path().join(artifact), run.folder().path().join(artifact))
                .unwrap();
        }
        run
    }

    fn folder(&self) -> RunFolder {
        RunFolder::new(self.runs.path().join("test"))
    }

    /// One process, whatever has launched the tests.
    fn train(&self) -> Command {
        let mut command = Command::new(program("train"));
        command.arg("--config").arg(&self.config).args(["--device", "cpu", "--set"]);
        command.arg(format!("run.folder={}", self.runs.path().display()));
        for variable in ["RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_PROCID", "TORCHELASTIC_USE_AGENT_STORE"] {
            command.env_remove(variable);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Process `rank` of so many, which meet at a port of this machine.
    fn one_of(&self, processes: usize, rank: usize, port: u16) -> Command {
        let mut command = self.train();
        command.env("RANK", rank.to_string()).env("WORLD_SIZE", processes.to_string());
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
        command
    }

    /// Whether there is a state to go on from.
    fn has_state(&self) -> bool {
        let unfinished = MODELS.map(|model| unfinished(&self.folder().train(model)));
        unfinished.iter().any(|folder| folder.join("state/latest.safetensors").exists())
    }

    /// Waits until a state lies on disk; it may be that the process has ended before.
    fn wait_for_state(&self, process: &mut Child) {
        while !self.has_state() && process.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
    }

    fn trained(&self) -> Trained {
        MODELS.map(|model| {
            let folder = self.folder().train(model);
            let log = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
            let line = |line: &str| {
                let values: Map<String, Value> = serde_json::from_str(line).unwrap();
                let is_time = |name: &str| name.ends_with("seconds") || name.ends_with("time_share");
                Value::Object(values.into_iter().filter(|(name, _)| !is_time(name)).collect())
            };
            (fs::read(folder.join("model.safetensors")).unwrap(), log.lines().map(line).collect())
        })
    }

    /// The same bytes and numbers as those of one process that nobody has disturbed.
    #[track_caller]
    fn assert_as_wanted(&self, made: &Made) {
        for ((model, found), wanted) in MODELS.iter().zip(self.trained()).zip(&made.wanted) {
            assert_eq!(found.1, wanted.1, "{model}");
            assert!(found.0 == wanted.0, "{model} has other bytes");
        }
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts two processes, `of` a rank and a port; what came of them, and of what is done `meanwhile`.
fn two(of: impl Fn(usize, u16) -> Command, meanwhile: impl Fn(&mut [Child; 2])) -> [Output; 2] {
    loop {
        // Free now; another program may take it before process 0 does.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut children = [0, 1].map(|rank| of(rank, port).spawn().unwrap());
        meanwhile(&mut children);
        let [first, mut second] = children;
        let first = first.wait_with_output().unwrap();
        let taken = told(&first).contains("EADDRINUSE");
        if taken {
            // It would wait for half an hour.
            second.kill().unwrap();
        }
        let second = second.wait_with_output().unwrap();
        if !taken {
            return [first, second];
        }
    }
}

#[track_caller]
fn assert_success(outputs: &[Output]) {
    for output in outputs {
        assert!(output.status.success(), "{}", told(output));
    }
}

fn interrupt(process: &Child) {
    // Where it has just ended, there is nobody to hear it.
    let _ = Command::new("kill").args(["-INT", &process.id().to_string()]).stderr(Stdio::null()).status();
}

/// A training that `end` has ended inside of a model's steps, and what it said.
fn ended<const N: usize>(made: &Made, end: impl Fn(&Run) -> [Output; N]) -> (Run, [Output; N]) {
    for _ in 0..TRIES {
        let run = Run::of(&made.workspace);
        let outputs = end(&run);
        if run.has_state() {
            return (run, outputs);
        }
    }
    panic!("{TRIES} trainings were through before they could be ended");
}

#[test]
fn two_processes_train_what_one_does() {
    let made = made();
    let run = Run::of(&made.workspace);
    let outputs = two(|rank, port| run.one_of(2, rank, port), |_| ());
    assert_success(&outputs);
    let [first, second] = outputs.each_ref().map(told);
    assert!(first.contains("  2 processes\n"), "{first}");
    assert_eq!(second, "", "the first process speaks for all");
    run.assert_as_wanted(&made);
    assert_eq!(made.wanted[0].1.len(), 4, "a line for each epoch: {:?}", made.wanted[0].1);

    let again = two(|rank, port| run.one_of(2, rank, port), |_| ());
    assert_success(&again);
    assert_eq!(told(&again[0]).matches("is up to date").count(), 2);
}

#[test]
fn a_killed_process_ends_the_others_and_all_of_them_go_on_later() {
    let made = made();
    let (run, [first, _]) = ended(&made, |run| {
        two(
            |rank, port| run.one_of(2, rank, port),
            |[first, second]| {
                run.wait_for_state(first);
                second.kill().unwrap();
            },
        )
    });
    assert_eq!(first.status.code(), Some(1), "{}", told(&first));
    assert!(told(&first).contains("another process of the training has ended or hangs"), "{}", told(&first));

    let outputs = two(|rank, port| run.one_of(2, rank, port), |_| ());
    assert_success(&outputs);
    assert!(told(&outputs[0]).contains("  resuming after epoch "), "{}", told(&outputs[0]));
    run.assert_as_wanted(&made);
}

#[test]
fn an_interrupted_training_goes_on_inside_the_epoch() {
    let made = made();
    let (run, [output]) = ended(&made, |run| {
        let mut process = run.train().spawn().unwrap();
        run.wait_for_state(&mut process);
        interrupt(&process);
        [process.wait_with_output().unwrap()]
    });
    assert_eq!(output.status.signal(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("the same command goes on from here"), "{}", told(&output));

    let output = run.train().output().unwrap();
    assert_success(std::slice::from_ref(&output));
    let resumed = told(&output);
    let resumed = resumed.lines().find(|line| line.starts_with("  resuming after epoch ")).unwrap();
    assert!(resumed.ends_with(" steps"), "{resumed}");
    run.assert_as_wanted(&made);
}

#[test]
fn who_is_interrupted_stops_all_and_fewer_processes_go_on() {
    let made = made();
    let (run, [first, second]) = ended(&made, |run| {
        two(
            |rank, port| run.one_of(2, rank, port),
            |[first, second]| {
                run.wait_for_state(first);
                interrupt(second);
            },
        )
    });
    assert_eq!(first.status.code(), Some(1));
    assert!(told(&first).contains("another process of the training was stopped"), "{}", told(&first));
    assert_eq!(second.status.signal(), Some(2), "{}", told(&second));
    assert!(told(&second).contains("the same command goes on from here"), "{}", told(&second));

    assert_success(&[run.train().output().unwrap()]);
    run.assert_as_wanted(&made);
}

#[test]
fn processes_that_cannot_share_the_work_are_refused_before_they_meet() {
    let made = made();
    let run = Run::of(&made.workspace);
    let output = run.one_of(3, 1, 1).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = told(&output);
    assert!(said.contains("3 processes cannot share train.micro_batches = 8"), "{said}");
    assert!(!run.folder().path().join("train").exists());
}

#[test]
fn an_error_of_one_process_ends_the_other_before_anything_is_trained() {
    const LOST: &str = "another process of the training has ended or hangs";
    let made = made();
    let run = Run::of(&made.workspace);
    let failed = |of: &dyn Fn(usize, u16) -> Command, said: [&str; 2]| {
        let outputs = two(of, |_| ());
        for (output, said) in outputs.iter().zip(said) {
            assert_eq!(output.status.code(), Some(1));
            assert!(told(output).contains(said), "{}", told(output));
        }
        assert!(MODELS.iter().all(|model| !run.folder().train(model).exists()));
    };
    let other_rate = |rank: usize, port: u16| {
        let mut command = run.one_of(2, rank, port);
        command.args(["--set", &format!("train.learning_rate=0.00{}", rank + 1)]);
        command
    };
    failed(&other_rate, [LOST, "have other settings or files than the first one"]);

    // The first one does not see the features.
    let blind = Run::of(&made.workspace);
    fs::remove_file(blind.folder().path().join("features")).unwrap();
    let without_features = |rank: usize, port: u16| [&blind, &run][rank].one_of(2, rank, port);
    failed(&without_features, ["features", LOST]);
}

#[test]
fn help_and_checks_wait_for_nobody() {
    let workspace = Workspace::new(CONFIG);
    let run = Run { config: workspace.path("config.toml"), runs: tempfile::tempdir().unwrap() };
    for argument in ["--check", "--help"] {
        assert_success(&[run.one_of(2, 1, 1).arg(argument).output().unwrap()]);
    }
}
