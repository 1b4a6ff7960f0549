//! `artifacts`: looks at what the stages have written.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use artifacts::manifest::Manifest;
use artifacts::recipe::digest_file;
use artifacts::show;
use clap::Parser;
use stage::Config;
use stage::progress::note;
use stage::terminal::{print, print_json};

/// Looks at what the stages have written.
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Lists the artifacts of a run: size, time, warnings.
    Status {
        /// The run's configuration.
        #[arg(long, default_value = "configs/demo.toml")]
        config: PathBuf,
        /// Overrides one setting; may be repeated.
        #[arg(long, value_name = "SECTION.KEY=VALUE")]
        set: Vec<String>,
    },
    /// Prints what a file or a folder knows of itself, as JSON: Parquet and safetensors of ours or anyone's, artifacts.
    Show {
        /// A file or a folder.
        path: PathBuf,
    },
    /// Compares every output below a folder with the hash in its manifest.
    Verify {
        /// A run folder or an artifact folder.
        path: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(code) => code,
        Err(error) => stage::cli::fail(&error),
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Status { config, set } => {
            let run = Config::load(&config, &set)?.run()?.run_folder();
            for folder in finished(run.path())? {
                let manifest = Manifest::read(&folder)?;
                let bytes: u64 = manifest.outputs.iter().map(|output| output.bytes).sum();
                print(&format!(
                    "{:<60} {:>9.1} MB {:>8.1} s {:>5} warnings\n",
                    folder.display(),
                    bytes as f64 / 1e6,
                    manifest.seconds,
                    manifest.warnings.len()
                ))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Show { path } => {
            print_json(&show::describe(&path)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify { path } => verify(&path),
    }
}

fn verify(path: &Path) -> anyhow::Result<ExitCode> {
    let mut damaged = 0;
    for folder in finished(path)? {
        for output in Manifest::read(&folder)?.outputs {
            let file = folder.join(&output.file);
            let found = digest_file(&file).with_context(|| file.display().to_string())?;
            let good = found == output.hash;
            damaged += usize::from(!good);
            print(&format!("{} {}\n", if good { "ok     " } else { "DAMAGED" }, file.display()))?;
        }
    }
    Ok(if damaged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The finished artifacts below `path`; a note when there are none.
fn finished(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let found = show::artifact_folders(path)?;
    if found.is_empty() {
        note(&format!("no finished artifact below {}: run `just pipeline`", path.display()));
    }
    Ok(found)
}
