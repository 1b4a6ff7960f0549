//! How many threads libtorch computes with, and how they wait for one another.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// What libgomp reads when it is loaded: a user's own word on how its threads wait.
const WAITING: [&str; 2] = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"];

/// About 10 µs: longer than the gap between two operations of a training step, shorter than what a busy machine notices.
const SPINS: &str = "1000";

/// Turns libtorch's inner threads off: in this thread at once, in other threads of the process when they first compute.
///
/// Extraction and captioning run independent batches side by side, one for each core, so that no core waits for another.
/// Their programs call this once when they begin; libraries call it only in threads that they start themselves.
pub fn single() {
    tch::set_num_threads(1);
}

/// Lets libtorch's inner threads sleep soon while they wait, so that a program that computes with them gets its share of a
/// machine that does other work. They spin for milliseconds otherwise, and whoever holds a core so keeps the thread from it
/// that all wait for: with eight other programs on two cores, training took five to ten times its share.
///
/// libgomp reads its settings from the environment before `main`, so the program replaces itself with itself once, under
/// the same process id: the first thing that `main` does. What the user has set stays, and where the system refuses,
/// threads wait as libgomp has them.
pub fn sleep_while_waiting() {
    if WAITING.iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // It returns only when the system refuses.
    let _refused = again.args(arguments).env(WAITING[1], SPINS).exec();
}
