//! The `tune` stage on the command line, and the weights that it begins with.

use std::process::ExitCode;

use clap::Subcommand;
use stage::Context;
use stage::cli::{self, NoFlags, StageArgs};
use stage::terminal::print;
use tune::Tune;

/// glibc's allocator gives large tensors back to the system after each step; this one keeps them, for libtorch too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Subcommand)]
enum Command {
    /// Fetches the published weights that tuning begins with, and checks them.
    Weights(StageArgs),
}

fn main() -> ExitCode {
    cli::main_with_commands::<Tune, NoFlags, Command>(|Command::Weights(args)| {
        for path in tune::fetch_weights(&Context::load(&args)?)? {
            print(&format!("{}\n", path.display()))?;
        }
        Ok(())
    })
}
