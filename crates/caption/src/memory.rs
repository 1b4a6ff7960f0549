//! How the process takes memory from the system, and gives it back.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::ffi::c_int;

/// Larger pieces are taken from the system one by one and given back at once; as much is kept of what is free at the end of a heap.
/// Most of what a network computes on the way is smaller: to give all of that back has the system clear thirty megabytes
/// for each photo, and to keep all doubles what the process holds.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: c_int = 2 << 20;

/// Lets the process give memory back that it has freed, and keep what it will soon need again. Left alone, glibc keeps the more for
/// later, the larger the pieces were that it has once given back, and for each of eight heaps a core.
///
/// Process-wide: for `main`, before it does anything. Other systems and allocators are left as they are.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let heaps = c_int::try_from(cores).unwrap_or(c_int::MAX);
        // SAFETY: the function takes two plain numbers and keeps nothing; where it refuses, all stays as it was.
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
            libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT);
            libc::mallopt(libc::M_ARENA_MAX, heaps);
        }
    }
}
