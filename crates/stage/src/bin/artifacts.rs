//! `artifacts`: looks at what the stages have written.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use artifacts::manifest::{self, Manifest};
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
    /// Compares every file of every artifact below a folder with what was written.
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

/// Says of every file whether it is the one that its stage wrote; goes on behind one that is not.
fn verify(path: &Path) -> anyhow::Result<ExitCode> {
    let mut damaged = 0;
    let mut say = |path: &Path, problem: Option<String>| {
        damaged += usize::from(problem.is_some());
        match problem {
            None => print(&format!("ok      {}\n", path.display())),
            Some(problem) => print(&format!("DAMAGED {}: {problem}\n", path.display())),
        }
    };
    for folder in finished(path)? {
        let file = manifest::path(&folder);
        let manifest = match Manifest::read(&folder) {
            Ok(manifest) => manifest,
            Err(error) => {
                say(&file, Some(error.to_string()))?;
                continue;
            }
        };
        say(&file, None)?;
        for output in manifest.outputs {
            let file = folder.join(&output.file);
            let problem = match digest_file(&file) {
                Ok(found) if found == output.hash => None,
                Ok(_) => {
                    Some(format!("not what was written; delete it and run {} again", manifest.recipe.stage))
                }
                Err(error) => Some(format!("{error}; run {} again", manifest.recipe.stage)),
            };
            say(&file, problem)?;
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
