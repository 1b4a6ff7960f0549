//! The `evaluate` stage on the command line, and its commands.

use evaluate::Evaluate;
use scoring::command::Command;
use stage::cli::{self, NoFlags};

/// glibc's allocator gives large tensors back to the system after each batch; this one keeps them, for libtorch too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main_with_commands::<Evaluate, NoFlags, Command>(Command::run)
}
