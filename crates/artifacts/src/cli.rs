//! The command line that every stage shares, so that all of them feel the same.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError, RunSettings, Section};
use crate::help;
use crate::layout::RunFolder;
use crate::manifest::Manifest;
use crate::progress::note;
use crate::recipe::Recipe;
use crate::stage::{Begin, Work, begin, begin_shard};

/// Arguments of every stage.
#[derive(Clone, Debug, clap::Args)]
pub struct StageArgs {
    /// The run's configuration.
    #[arg(long, value_name = "FILE", default_value = "configs/demo.toml")]
    pub config: PathBuf,
    /// Overrides one setting of the configuration; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Works even when the artifact is up to date.
    #[arg(long)]
    pub force: bool,
    /// Checks this stage's settings and stops.
    #[arg(long)]
    pub check: bool,
    /// Where networks run: auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
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

/// A stage of the pipeline: settings, and the work they describe.
pub trait Stage {
    /// Name of the binary and of its section in the config.
    const NAME: &'static str;
    /// One sentence for `--help`.
    const ABOUT: &'static str;
    /// The stage's section of the config.
    type Settings: Section;

    /// Makes the stage's artifacts, or finds them up to date.
    fn run(settings: &Self::Settings, context: &Context) -> anyhow::Result<Vec<Outcome>>;
}

/// What a stage is given beside its own settings.
#[derive(Clone, Debug)]
pub struct Context {
    /// The whole config, to learn which artifacts are meant.
    pub config: Config,
    /// The `[run]` section.
    pub run: RunSettings,
    /// Where the run's artifacts live.
    pub folder: RunFolder,
    /// Works even when up to date.
    pub force: bool,
    /// Where networks run, as typed.
    pub device: String,
    /// No progress, no notes.
    pub quiet: bool,
    /// Name everything skipped.
    pub verbose: bool,
}

impl Context {
    /// The context of a config file, with a test's or a program's own choices.
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
        })
    }

    /// A line for people on stderr, unless `--quiet`.
    pub fn note(&self, line: &str) {
        if !self.quiet {
            note(line);
        }
    }

    /// Finds the artifact in `folder` up to date, or says why not and has it made.
    pub fn guard(
        &self,
        stage: &str,
        folder: PathBuf,
        recipe: Recipe,
        make: impl FnOnce(Work) -> anyhow::Result<Manifest>,
    ) -> anyhow::Result<Outcome> {
        match begin(&folder, recipe, self.force)? {
            Begin::UpToDate(manifest) => Ok(Outcome { folder, manifest, up_to_date: true }),
            Begin::Work(work) => {
                self.announce(stage, &folder, &work);
                Ok(Outcome { manifest: make(work)?, folder, up_to_date: false })
            }
        }
    }

    /// The same for a process that does its share of the work; nothing when the others are not done with theirs.
    pub fn guard_shard(
        &self,
        stage: &str,
        folder: PathBuf,
        recipe: Recipe,
        shard: usize,
        make: impl FnOnce(Work) -> anyhow::Result<Option<Manifest>>,
    ) -> anyhow::Result<Option<Outcome>> {
        match begin_shard(&folder, recipe, self.force, Some(shard))? {
            Begin::UpToDate(manifest) => Ok(Some(Outcome { folder, manifest, up_to_date: true })),
            Begin::Work(work) => {
                self.announce(stage, &folder, &work);
                Ok(make(work)?.map(|manifest| Outcome { folder, manifest, up_to_date: false }))
            }
        }
    }

    fn announce(&self, stage: &str, folder: &Path, work: &Work) {
        self.note(&format!("{stage}: making {} ({})", folder.display(), work.reason()));
    }
}

/// What became of one artifact.
#[derive(Debug)]
pub struct Outcome {
    /// The artifact folder.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// True when there was nothing to do.
    pub up_to_date: bool,
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
    run::<S>(&parse::<S, Plain>().stage)
}

/// Flags that a stage has beside those of all: short forms of settings.
pub trait Flags: clap::Args {
    /// The settings they stand for, as `--set` would give them.
    fn overrides(&self) -> Vec<String>;
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
        None => run::<S>(&args.stage),
        Some(command) => match run_command(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
    }
}

/// Parses the command line; `--help` names the stage and lists its settings.
fn parse<S: Stage, P: Parser>() -> P {
    let settings = help::describe::<S::Settings>(S::NAME);
    let matches = P::command().name(S::NAME).about(S::ABOUT).after_long_help(settings).get_matches();
    P::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Runs a stage as its command line says: 0 done or up to date, 1 failed, 2 wrong usage.
fn run<S: Stage>(args: &StageArgs) -> ExitCode {
    match try_run::<S>(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Prints an error with its causes; wrong settings count as wrong usage.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    note(&format!("error: {}", message(error)));
    if error.downcast_ref::<ConfigError>().is_some() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// An error with its causes, each said once: many name their cause in their own words already.
pub fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if message.is_empty() {
            message = cause;
        } else if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

fn try_run<S: Stage>(args: &StageArgs) -> anyhow::Result<()> {
    let context = Context::load(args)?;
    let settings = context.config.section::<S::Settings>(S::NAME)?;
    if args.check {
        return Ok(());
    }
    let outcomes = S::run(&settings, &context)?;
    for outcome in &outcomes {
        report(S::NAME, outcome, &context);
    }
    if args.json {
        let manifests: Vec<&Manifest> = outcomes.iter().map(|outcome| &outcome.manifest).collect();
        let mut stdout = std::io::stdout();
        serde_json::to_writer_pretty(&mut stdout, &manifests)?;
        writeln!(stdout)?;
    }
    Ok(())
}

fn report(stage: &str, outcome: &Outcome, context: &Context) {
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
        context.note(&format!("  … {} warnings in all, listed in {folder}/manifest.json", warnings.len()));
    }
}
