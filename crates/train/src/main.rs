//! The `train` stage on the command line.

use std::ffi::c_int;

/// glibc's allocator gives large tensors back to the system after each step; this one keeps them, for libtorch too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Milliseconds after which the allocator gives memory back that nobody uses (`mi_option_purge_delay`).
const PURGE_DELAY: c_int = 15;

fn main() -> std::process::ExitCode {
    // Never: each step takes the memory of the one before. The system would clear every page anew, a fifth of a step's time.
    #[allow(unsafe_code, reason = "a setting of the allocator, called through C")]
    // SAFETY: the function takes two plain numbers; a user's own word in the environment stays.
    unsafe {
        libmimalloc_sys::mi_option_set_default(PURGE_DELAY, -1);
    }
    stage::cli::main::<train::Train>()
}
