//! Several processes of one training: this program starts itself once for each of them.
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

use std::net::TcpListener;
use std::ops::Range;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};
use torch::distributed::{Group, GroupError, Meeting, Place};

/// Longer than any machine is busy.
const PATIENT: Duration = Duration::from_secs(300);

/// The variables that tell a started process what to do, and for how long it waits for the others.
const ACT: &str = "DISTRIBUTED_ACT";
const LIMIT: &str = "DISTRIBUTED_LIMIT_MS";

/// A port that is free now; another program may take it before it is listened on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts process `rank` of `processes`, which meet at `port`.
fn start(act: &str, rank: usize, processes: usize, port: u16, limit: Duration) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "one_of_the_processes", "--nocapture"])
        .envs([(ACT, act), ("MASTER_ADDR", "127.0.0.1"), ("OMP_NUM_THREADS", "1")])
        .env(LIMIT, limit.as_millis().to_string())
        .env("MASTER_PORT", port.to_string())
        .env("RANK", rank.to_string())
        .env("WORLD_SIZE", processes.to_string())
        .env_remove("TORCHELASTIC_USE_AGENT_STORE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What each of them has put out when it has ended. The first is waited for first: what the others read from us ends after it.
fn outputs(commands: impl Iterator<Item = Command>) -> Vec<Output> {
    let children: Vec<Child> = commands.map(|mut command| command.spawn().unwrap()).collect();
    children.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

/// What each process of `act` has put out that is started: those of `ranks`, in their order, out of `processes`.
fn play(act: &str, processes: usize, ranks: Range<usize>, limit: Duration) -> Vec<Output> {
    loop {
        let port = free_port();
        let outputs = outputs(ranks.clone().map(|rank| start(act, rank, processes, port, limit)));
        if !told(&outputs[0]).contains("EADDRINUSE") {
            return outputs;
        }
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn assert_success(outputs: &[Output]) {
    for output in outputs {
        let told = told(output);
        assert!(output.status.success() && !told.contains("not joined"), "{told}");
    }
}

fn play_well(act: &str, processes: usize) -> Vec<Output> {
    let outputs = play(act, processes, 0..processes, PATIENT);
    assert_success(&outputs);
    outputs
}

/// What a process does that [`play`] has started; nothing in a run of the tests.
#[test]
fn one_of_the_processes() {
    let Ok(act) = std::env::var(ACT) else { return };
    let limit = Duration::from_millis(std::env::var(LIMIT).unwrap().parse().unwrap());
    let place = Place::from_environment().unwrap().unwrap();
    let group = match Group::join(&place, Device::Cpu, limit) {
        Ok(group) => group,
        Err(error) => return println!("not joined: {error}"),
    };
    match act.as_str() {
        "values" => values(&group),
        "wrong tensors" => wrong_tensors(&group),
        "dies" if group.rank() == 1 => std::process::exit(0),
        // Until its standard input ends, with process 0.
        "hangs" if group.rank() == 1 => drop(std::io::read_to_string(std::io::stdin()).unwrap()),
        "dies" | "hangs" => {
            let error = group.gather_all(&Tensor::zeros([1000], (Kind::Float, Device::Cpu))).unwrap_err();
            println!("lost: {error}");
        }
        "clocked" => println!("{}", clocked(&group)),
        _ => panic!("{act}"),
    }
}

/// `count` numbers that no other rank has.
fn of(rank: usize, count: i64) -> Tensor {
    Tensor::arange(count, (Kind::Float, Device::Cpu)) + 1000 * rank as i64
}

fn values(group: &Group) {
    let (rank, processes) = (group.rank(), group.processes());
    // Twice: nothing of the first time stays.
    for count in [5, 100_000] {
        let all = group.gather_all(&of(rank, count)).unwrap();
        assert_eq!(all, (0..processes).map(|rank| of(rank, count)).collect::<Vec<_>>());

        // Slice r for process r: r's hundreds.
        let slices: Vec<Tensor> = (0..processes).map(|to| of(rank, count) + 100 * to as i64).collect();
        let received = group.all_to_all(&Tensor::cat(&slices, 0)).unwrap();
        let expected: Vec<Tensor> = (0..processes).map(|from| of(from, count) + 100 * rank as i64).collect();
        assert_eq!(received, Tensor::cat(&expected, 0));

        for root in 0..processes {
            let mut tensor = of(rank, count);
            group.broadcast(root, &mut tensor).unwrap();
            assert_eq!(tensor, of(root, count));
        }
    }
    for message in [&b""[..], b"epoch 3", &[255; 4096]] {
        let own = if rank == 1 { message } else { b"other" };
        assert_eq!(group.broadcast_bytes(1, own).unwrap(), message);
    }
    group.barrier().unwrap();
}

fn wrong_tensors(group: &Group) {
    let odd = Tensor::zeros([3], (Kind::Float, Device::Cpu));
    let message = group.all_to_all(&odd).unwrap_err().to_string();
    assert!(message.contains("2 equal slices") && message.contains("[3]"), "{message}");
    let columns = Tensor::zeros([4, 2], (Kind::Float, Device::Cpu));
    for tensor in
        [columns.shallow_clone(), columns.select(1, 0), Tensor::zeros([0], (Kind::Float, Device::Cpu))]
    {
        assert!(matches!(group.gather_all(&tensor), Err(GroupError::Tensor { .. })), "{tensor:?}");
    }
    // The group has not suffered.
    assert_eq!(group.gather_all(&odd).unwrap().len(), 2);
}

#[test]
fn every_process_gets_the_tensors_of_all_in_the_order_of_ranks() {
    for processes in [2, 3] {
        play_well("values", processes);
    }
}

/// As torchrun's agent does, this process keeps one store for all its starts.
#[test]
fn processes_that_an_agent_starts_again_meet_in_its_store() {
    let (_agent, port) = loop {
        let port = free_port();
        let meeting = Meeting { host: "127.0.0.1".to_owned(), port, restart: None };
        let place = Place { rank: 0, processes: 1, local_rank: 0, meeting };
        match Group::join(&place, Device::Cpu, PATIENT) {
            Ok(agent) => break (agent, port),
            Err(error) => assert!(error.to_string().contains("EADDRINUSE"), "{error}"),
        }
    };
    for restart in ["0", "1"] {
        let of_agent = |rank| {
            let mut command = start("values", rank, 2, port, PATIENT);
            command.envs([("TORCHELASTIC_USE_AGENT_STORE", "True"), ("TORCHELASTIC_RESTART_COUNT", restart)]);
            command
        };
        assert_success(&outputs((0..2).map(of_agent)));
    }
}

#[test]
fn a_tensor_that_cannot_be_sent_is_refused_before_anything_is() {
    play_well("wrong tensors", 2);
}

#[test]
fn a_process_that_dies_ends_the_others_at_once() {
    let outputs = play("dies", 3, 0..3, PATIENT);
    let [first, third] = [&outputs[0], &outputs[2]].map(told);
    for message in [first, third] {
        assert!(message.contains("lost: gather_all: another process of the training has ended"), "{message}");
        assert!(message.contains("start all of them again"), "{message}");
        assert!(!message.contains("imed out"), "{message}");
    }
}

#[test]
fn a_process_that_hangs_ends_the_others_after_the_limit() {
    let outputs = play("hangs", 2, 0..2, Duration::from_secs(10));
    let message = told(&outputs[0]);
    assert!(
        message.contains("lost: gather_all: another process of the training has ended or hangs"),
        "{message}"
    );
    assert!(message.contains("imed out"), "{message}");
}

#[test]
fn a_process_without_its_gpu_does_not_wait_for_the_others() {
    let meeting = Meeting { host: "127.0.0.1".to_owned(), port: 1, restart: None };
    let place = Place { rank: 0, processes: 2, local_rank: 4096, meeting };
    let error = Group::join(&place, Device::Cuda(place.local_rank), PATIENT).unwrap_err();
    assert!(matches!(error, GroupError::Unable(Device::Cuda(4096), _)), "{error}");
}

#[test]
fn processes_that_do_not_come_are_counted() {
    // Process 0 keeps the count: without it nobody does.
    for (ranks, count) in [(0..1, ", 1 of 3 came"), (1..2, "")] {
        let message = told(&play("values", 3, ranks, Duration::from_millis(1500))[0]);
        let begin =
            "not joined: the 3 processes of the training did not meet at MASTER_ADDR:MASTER_PORT, 127.0.0.1:";
        assert!(message.contains(begin), "{message}");
        let end = format!("within 1.5s{count}: start all of them at the same time");
        assert!(message.contains(&end), "{message}");
        // libtorch's own words are one line of ours.
        assert!(!message.contains("Exception raised"), "{message}");
    }
}

/// Milliseconds for 20 MB of gradients: what a step of training sends.
fn clocked(group: &Group) -> String {
    let sent = of(group.rank(), 5_000_000);
    let slice = of(group.rank(), 5_000_000 / group.processes() as i64);
    let mut rounds = [(); 20].map(|()| {
        let start = Instant::now();
        drop(group.all_to_all(&sent).unwrap());
        let between = start.elapsed();
        drop(group.gather_all(&slice).unwrap());
        [between, start.elapsed() - between].map(|time| time.as_secs_f64() * 1e3)
    });
    rounds.sort_by(|a, b| (a[0] + a[1]).total_cmp(&(b[0] + b[1])));
    let [all_to_all, gather_all] = rounds[rounds.len() / 2];
    format!(
        "all_to_all of 20 MB {all_to_all:.1} ms, gather_all to 20 MB {gather_all:.1} ms, the median of 20"
    )
}

#[test]
#[ignore = "a measurement: cargo test --release -p torch --test distributed -- --ignored --nocapture"]
fn what_an_exchange_takes() {
    println!("{}", told(&play_well("clocked", 2)[0]));
}
