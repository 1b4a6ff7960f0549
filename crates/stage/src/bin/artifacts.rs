//! `artifacts`: looks at what the stages have written.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use artifacts::manifest::{self, Manifest};
use artifacts::recipe::digest_file;
use artifacts::table;
use clap::Parser;
use stage::Config;
use stage::progress::note;

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
    /// Prints what a Parquet file or an artifact folder knows of itself, as JSON.
    Show {
        /// A Parquet file or an artifact folder.
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
            for folder in artifact_folders(run.path())? {
                let manifest = Manifest::read(&folder)?;
                let bytes: u64 = manifest.outputs.iter().map(|output| output.bytes).sum();
                print(&format!(
                    "{:<60} {:>9.1} MB {:>8.1} s {:>5} warnings",
                    folder.display(),
                    bytes as f64 / 1e6,
                    manifest.seconds,
                    manifest.warnings.len()
                ));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Show { path } => {
            let value = if path.is_dir() {
                serde_json::to_value(Manifest::read(&path)?)?
            } else {
                serde_json::to_value(table::read_metadata(&path)?)?
            };
            print(&serde_json::to_string_pretty(&value)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify { path } => verify(&path),
    }
}

fn verify(path: &Path) -> anyhow::Result<ExitCode> {
    let mut damaged = 0;
    for folder in artifact_folders(path)? {
        for output in Manifest::read(&folder)?.outputs {
            let file = folder.join(&output.file);
            let found = digest_file(&file).with_context(|| file.display().to_string())?;
            let good = found == output.hash;
            damaged += usize::from(!good);
            print(&format!("{} {}", if good { "ok     " } else { "DAMAGED" }, file.display()));
        }
    }
    Ok(if damaged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every folder below `path` that holds a manifest, in name order.
fn artifact_folders(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(folder) = open.pop() {
        if folder.join(manifest::FILE).is_file() {
            found.push(folder.clone());
        }
        let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    found.sort();
    if found.is_empty() {
        note(&format!("no finished artifact below {}: run `just pipeline`", path.display()));
    }
    Ok(found)
}

#[allow(clippy::print_stdout, reason = "the program's answer")]
fn print(line: &str) {
    println!("{line}");
}
