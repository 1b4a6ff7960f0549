//! The `train` stage on the command line.

/// glibc's allocator gives large tensors back to the system after each step; this one keeps them, for libtorch too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    torch::threads::sleep_while_waiting();
    stage::cli::main::<train::Train>()
}
