//! `evaluate figures`: the table of a run for documents.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use artifacts::{Split, atomic};
use stage::terminal::print;

use crate::figures;

/// Arguments of `evaluate figures`.
#[derive(clap::Args)]
pub struct Figures {
    /// The run folder, such as data/runs/demo.
    run: PathBuf,
    /// The split that was evaluated.
    #[arg(long, default_value = "val", value_parser = super::split)]
    split: Split,
    /// Also keeps them as JSON, by which a test knows when they are old.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Also replaces the table in a document: what stands between `<!-- figures of RUN -->` and `<!-- end of figures -->`.
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
}

impl Figures {
    /// Prints the table, and writes what was asked for.
    ///
    /// # Errors
    /// When the run has no evaluation, or a file cannot be written.
    pub fn run(self) -> anyhow::Result<()> {
        let figures = figures::Figures::read(&self.run, self.split)?;
        if let Some(path) = &self.into {
            let document = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let document = figures.into_document(&document).with_context(|| path.display().to_string())?;
            atomic::write(path, |file| file.write_all(document.as_bytes()))
                .with_context(|| path.display().to_string())?;
        }
        if let Some(path) = &self.record {
            figures.record(path)?;
        }
        Ok(print(&figures.markdown())?)
    }
}
