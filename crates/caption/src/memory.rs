//! What becomes of memory that is no longer needed.

/// Gives freed memory back to the system from so many bytes on.
const KEPT: i32 = 1 << 20;

/// Lets the process give memory back that it has freed. glibc otherwise keeps the more for later, the larger the pieces were that
/// it has once given back: with networks of tens of megabytes, twice of what they need.
///
/// Process-wide: for `main`, before it does anything. Other systems and allocators are left as they are.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the function takes two plain numbers and keeps nothing; where it refuses, all stays as it was.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}
