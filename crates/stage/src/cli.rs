//! The command line that every stage shares, so that all of them feel the same.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use artifacts::Manifest;
use artifacts::preview::Preview;
use clap::{Parser, Subcommand};
use signal_hook::consts::SIGABRT;
use signal_hook::low_level::emulate_default_handler;

use crate::config::{Config, ConfigError};
use crate::context::{Context, Outcome, Stage};
use crate::help;
use crate::progress::note;
use crate::stop::Stopped;
use crate::terminal::print_json;

/// Where programs look for a configuration that is not named.
const DEFAULT_CONFIG: &str = "configs/demo.toml";

/// Arguments of every stage.
#[derive(Clone, Debug, clap::Args)]
pub struct StageArgs {
    /// The run's configuration.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Overrides one setting of the configuration; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Works even when the artifact is up to date.
    #[arg(long)]
    pub force: bool,
    /// Checks this stage's settings and stops, before any image is read.
    #[arg(long)]
    pub check: bool,
    /// With --check: what the dataset will hold, written by `dataset preview`, so that values which depend on it are
    /// checked too.
    #[arg(long, value_name = "FILE", requires = "check")]
    pub preview: Option<PathBuf>,
    /// Where networks run: auto, cpu or cuda:N. Stages without networks take it, so that one command line fits all.
    #[arg(long, default_value = "auto", value_parser = device)]
    pub device: String,
    /// Prints errors only.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Prints every skipped image or row.
    #[arg(short, long)]
    pub verbose: bool,
    /// Prints the manifests of the stage as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Refuses what is no name of a device, also where no network runs; whether the device is there, the others check.
fn device(name: &str) -> Result<String, String> {
    let number = name.strip_prefix("cuda:").map(str::parse::<usize>);
    let known = matches!(name, "auto" | "cpu" | "cuda") || matches!(number, Some(Ok(_)));
    if known { Ok(name.to_owned()) } else { Err("write auto, cpu or cuda:N".to_owned()) }
}

#[derive(Parser)]
#[command(version)]
struct Plain {
    #[command(flatten)]
    stage: StageArgs,
}

#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct WithCommands<F: clap::Args, C: Subcommand> {
    #[command(flatten)]
    stage: StageArgs,
    #[command(flatten)]
    flags: F,
    #[command(subcommand)]
    command: Option<C>,
}

/// `main` of a stage without further commands.
pub fn main<S: Stage>() -> ExitCode {
    run::<S>(&parse::<S, Plain>().stage, None)
}

/// Flags that a stage has beside those of all.
pub trait Flags: clap::Args {
    /// The settings they stand for, as `--set` would give them.
    fn overrides(&self) -> Vec<String>;

    /// The one part of the stage's work that is wanted; `None` is all of it.
    fn part(&self) -> Option<usize> {
        None
    }
}

/// No further flags.
#[derive(clap::Args)]
pub struct NoFlags {}

impl Flags for NoFlags {
    fn overrides(&self) -> Vec<String> {
        Vec::new()
    }
}

/// `main` of a stage that has further flags, and commands that `run_command` runs.
pub fn main_with_commands<S: Stage, F: Flags, C: Subcommand>(
    run_command: impl FnOnce(C) -> anyhow::Result<()>,
) -> ExitCode {
    let mut args = parse::<S, WithCommands<F, C>>();
    args.stage.set.extend(args.flags.overrides());
    match args.command {
        None => run::<S>(&args.stage, args.flags.part()),
        Some(command) => match run_command(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
    }
}

/// Makes an abort, by which Rust and libtorch end when the system refuses them memory, a failure like any other: what they
/// said of it stands on stderr, and the code is 1.
fn fail_on_abort() {
    // Where it cannot be set, an abort stays one.
    let _ = signal_hook::flag::register_conditional_shutdown(SIGABRT, 1, Arc::new(AtomicBool::new(true)));
}

/// Parses the command line; `--help` names the stage and lists its settings.
fn parse<S: Stage, P: Parser>() -> P {
    fail_on_abort();
    let settings = help::describe::<S::Settings>(S::NAME);
    let matches = P::command().name(S::NAME).about(S::ABOUT).after_long_help(settings).get_matches();
    P::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Runs a stage as its command line says: 0 done or up to date, 1 failed, 2 wrong usage.
impl StageArgs {
    /// Whether no configuration is named, and none lies where it would be looked for.
    pub fn lack_config(&self) -> bool {
        self.config == Path::new(DEFAULT_CONFIG) && !self.config.exists()
    }
}

fn run<S: Stage>(args: &StageArgs, part: Option<usize>) -> ExitCode {
    match try_run::<S>(args, part) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Prints an error with its causes; wrong settings count as wrong usage.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    if let Some(&Stopped { signal }) = error.downcast_ref() {
        note(&message(error));
        // Whoever waits for the program learns what ended it. It returns only when the system refuses.
        let _refused = emulate_default_handler(signal);
        return ExitCode::FAILURE;
    }
    note(&format!("error: {}", message(error)));
    if error.downcast_ref::<ConfigError>().is_some() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// An error with its causes, each said once: many name their cause in their own words already.
pub fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(|cause| without_frames(&cause.to_string())) {
        if message.is_empty() {
            message = cause;
        } else if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

/// What libtorch says, without the C++ frames that it appends.
fn without_frames(text: &str) -> String {
    let is_frame = |line: &str| {
        let line = line.trim_start();
        line.starts_with("frame #") || line.starts_with("Exception raised from")
    };
    text.lines().take_while(|line| !is_frame(line)).collect::<Vec<_>>().join("\n")
}

impl Context {
    /// The context of a command line.
    ///
    /// # Errors
    /// A config that cannot be read, or a wrong `[run]` section.
    pub fn load(args: &StageArgs) -> Result<Context, ConfigError> {
        let config = Config::load(&args.config, &args.set)?;
        let run = config.run()?;
        Ok(Context {
            folder: run.run_folder(),
            config,
            run,
            force: args.force,
            device: args.device.clone(),
            quiet: args.quiet,
            verbose: args.verbose,
            part: None,
        })
    }
}

fn try_run<S: Stage>(args: &StageArgs, part: Option<usize>) -> anyhow::Result<()> {
    let context = Context { part, ..Context::load(args)? };
    let settings = context.checked::<S>()?;
    if let Some(preview) = &args.preview {
        let preview = Preview::read(preview)?;
        if preview.is_known() {
            S::foresee(&settings, &context, &preview)?;
        }
    }
    if args.check {
        return Ok(());
    }
    S::prepare_process(&settings, &context)?;
    report::<S>(&S::run(&settings, &context)?, args, &context)
}

/// Says what became of the artifacts of a stage: on stderr for people, and as JSON on stdout where that is wanted.
///
/// # Errors
/// Nobody reads stdout.
pub fn report<S: Stage>(outcomes: &[Outcome], args: &StageArgs, context: &Context) -> anyhow::Result<()> {
    for outcome in outcomes {
        note_outcome(S::NAME, outcome, context);
    }
    if args.json {
        let manifests: Vec<&Manifest> = outcomes.iter().map(|outcome| &outcome.manifest).collect();
        print_json(&manifests)?;
    }
    Ok(())
}

fn note_outcome(stage: &str, outcome: &Outcome, context: &Context) {
    let folder = outcome.folder.display();
    let warnings = &outcome.manifest.warnings;
    if outcome.up_to_date {
        context.note(&format!("{stage}: {folder} is up to date"));
    } else {
        context.note(&format!("{stage}: {folder} done in {:.1} s", outcome.manifest.seconds));
    }
    let shown = if context.verbose { warnings.len() } else { 3 };
    for warning in warnings.iter().take(shown) {
        context.note(&format!("  warning: {}: {}", warning.subject, warning.reason));
    }
    if warnings.len() > shown {
        let manifest = artifacts::manifest::path(&outcome.folder);
        context.note(&format!("  … {} warnings in all, listed in {}", warnings.len(), manifest.display()));
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn causes_are_said_once_and_frames_of_another_language_not_at_all() {
        let torch =
            "not enough memory: you tried to allocate 8 bytes\n    frame #0: c10::alloc_cpu(unsigned long)\n";
        let error = anyhow!(torch.to_owned()).context("the network failed").context("the network failed");
        assert_eq!(message(&error), "the network failed: not enough memory: you tried to allocate 8 bytes");
        let raised =
            anyhow!("sizes do not match\nException raised from check at a.cpp:1 (most recent call first):");
        assert_eq!(message(&raised), "sizes do not match");
        assert_eq!(message(&anyhow!("two\nlines")), "two\nlines");
    }
}
