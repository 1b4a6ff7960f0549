//! `score`: captions of any system against references, in COCO's formats.

use std::process::ExitCode;

use clap::Parser;
use scoring::command::Score;
use stage::cli::fail;

/// Scores captions of any system in COCO's formats.
#[derive(Parser)]
#[command(name = "score", version)]
struct Arguments {
    #[command(flatten)]
    score: Score,
}

fn main() -> ExitCode {
    match Arguments::parse().score.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}
