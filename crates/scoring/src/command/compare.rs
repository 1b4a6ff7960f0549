//! `evaluate compare`: decoders of runs side by side.

use std::path::PathBuf;

use artifacts::Split;
use stage::terminal::{print, print_json};

use super::draws::Draws;
use crate::ablation::Ablation;

/// Arguments of `evaluate compare`.
#[derive(clap::Args)]
pub struct Compare {
    /// Run folders, such as data/runs/demo.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The split that was evaluated.
    #[arg(long, default_value = "val", value_parser = super::split)]
    split: Split,
    /// The decoder that the others are compared with.
    #[arg(long, default_value = "lstm")]
    baseline: String,
    #[command(flatten)]
    draws: Draws,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl Compare {
    /// Compares, and prints the table.
    ///
    /// # Errors
    /// When an evaluation is missing, or the runs are not of the same images.
    pub fn run(self) -> anyhow::Result<()> {
        let ablation = Ablation::read(&self.runs, self.split, &self.baseline, self.draws.bootstrap())?;
        if self.json { print_json(&ablation) } else { Ok(print(&ablation.markdown())?) }
    }
}
