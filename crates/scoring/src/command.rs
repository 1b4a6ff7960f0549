//! What the programs `score` and `evaluate` do with captions that exist already.

mod compare;
mod draws;
mod figures;
mod score;

use artifacts::Split;
use clap::Subcommand;

pub use compare::Compare;
pub use figures::Figures;
pub use score::Score;

/// Commands of the `evaluate` program beside the stage.
#[derive(Subcommand)]
pub enum Command {
    /// Scores captions of any system in COCO's formats; no model needed.
    Score(Score),
    /// Compares the decoders of one or more evaluated runs; runs of the same decoder count as seeds.
    Compare(Compare),
    /// Prints the scores of an evaluated run as a table for documents.
    Figures(Figures),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// When a file cannot be read, or images do not fit each other.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Command::Score(command) => command.run(),
            Command::Compare(command) => command.run(),
            Command::Figures(command) => command.run(),
        }
    }
}

fn split(name: &str) -> Result<Split, String> {
    Split::named(name).ok_or_else(|| "train, val or test".to_owned())
}
