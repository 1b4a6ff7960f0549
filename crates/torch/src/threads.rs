//! How many threads compute with libtorch.

use std::thread::available_parallelism;

/// Turns libtorch's inner threads off: in this thread at once, in other threads of the process when they first compute.
///
/// Extraction and captioning run independent batches side by side, one for each core, so that no core waits for another.
/// Their programs call this once when they begin; libraries call it only in threads that they start themselves.
pub fn single() {
    tch::set_num_threads(1);
}

/// How many threads the work of this process is for: as many as cores that it may run on, or fewer where `OMP_NUM_THREADS` says so,
/// as torchrun does for processes that share a machine.
pub fn cores() -> usize {
    let here = available_parallelism().map_or(1, usize::from);
    let wanted = std::env::var("OMP_NUM_THREADS").ok().and_then(|count| count.trim().parse().ok());
    wanted.filter(|&count| count > 0).map_or(here, |count: usize| count.min(here))
}
