//! What a stage is, what it is given, and what comes of it.

use std::path::{Path, PathBuf};

use artifacts::preview::Preview;
use artifacts::{Manifest, Recipe, RunFolder};

use crate::config::{Config, ConfigError, RunSettings};
use crate::guard::{Begin, Making, Work, begin};
use crate::progress::note;
use crate::section::Section;
use crate::shard::Shard;

/// A stage of the pipeline: settings, their check, and the work that they describe.
pub trait Stage {
    /// Name of the program and of its section in the config.
    const NAME: &'static str;
    /// One sentence for `--help`.
    const ABOUT: &'static str;
    /// The stage's section of the config.
    type Settings: Section;

    /// Refuses what can never work: every value of the section, and what must be there before the work begins.
    ///
    /// It reads no image, changes nothing, and runs before everything else, on `--check` as on a run.
    ///
    /// # Errors
    /// The first wrong value, with its key and what is allowed.
    fn check(settings: &Self::Settings, context: &Context) -> anyhow::Result<()>;

    /// Refuses what can never work on the dataset that is to come, on `--check --preview`.
    ///
    /// # Errors
    /// What the dataset lacks, with the key to change.
    fn foresee(_settings: &Self::Settings, _context: &Context, _preview: &Preview) -> anyhow::Result<()> {
        Ok(())
    }

    /// Sets what belongs to the whole process, such as how libtorch computes: `main` alone calls it.
    ///
    /// # Errors
    /// When the process cannot be set so.
    fn prepare_process(_settings: &Self::Settings, _context: &Context) -> anyhow::Result<()> {
        Ok(())
    }

    /// Makes the stage's artifacts, or finds them up to date. The settings have been checked.
    ///
    /// # Errors
    /// Whatever stops the work; what was finished before stays.
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
    /// The one part to be made, in a stage that has such a flag; `None` is all of its work.
    pub part: Option<usize>,
}

/// What became of one artifact.
#[derive(Debug)]
pub struct Outcome {
    /// Where the artifact lies.
    pub folder: PathBuf,
    /// What the stage wrote there, or found finished.
    pub manifest: Manifest,
    /// True when there was nothing to do.
    pub up_to_date: bool,
}

impl Context {
    /// Settings of a stage that have passed its check.
    ///
    /// # Errors
    /// Keys or values that the stage refuses.
    pub fn checked<S: Stage>(&self) -> anyhow::Result<S::Settings> {
        let settings = self.config.section(S::NAME)?;
        S::check(&settings, self)?;
        Ok(settings)
    }

    /// What a stage refuses about one of its values: `key` is that of its section, `reason` says what is allowed.
    pub fn refuse<S: Stage>(&self, key: &str, reason: impl std::fmt::Display) -> ConfigError {
        self.config.bad_value(&format!("{}.{key}", S::NAME), reason.to_string())
    }

    /// The same for a check that may have found nothing.
    ///
    /// # Errors
    /// The problem, when there is one.
    pub fn refuse_any<S: Stage, R: std::fmt::Display>(
        &self,
        problem: Option<(&str, R)>,
    ) -> Result<(), ConfigError> {
        problem.map_or(Ok(()), |(key, reason)| Err(self.refuse::<S>(key, reason)))
    }

    /// The share of the work that the key `shard` of a stage's section names, or else the environment, which is said.
    ///
    /// # Errors
    /// A setting or variables that are no share.
    pub fn shard<S: Stage>(&self, setting: &str) -> Result<Shard, ConfigError> {
        let refused = |error| self.refuse::<S>("shard", error);
        if setting.is_empty()
            && let Some(launched) = Shard::from_environment().map_err(refused)?
        {
            self.note(&format!("{}: {launched}", S::NAME));
        }
        Shard::choose(setting).map_err(refused)
    }

    /// A line for people on stderr, unless `--quiet`.
    pub fn note(&self, line: &str) {
        if !self.quiet {
            note(line);
        }
    }

    /// Finds the artifact in `folder` up to date, or says why not and has it made.
    ///
    /// # Errors
    /// Those of the guard and of `make`.
    pub fn guard(
        &self,
        stage: &str,
        folder: PathBuf,
        recipe: Recipe,
        making: Making,
        make: impl FnOnce(Work) -> anyhow::Result<Manifest>,
    ) -> anyhow::Result<Outcome> {
        match begin(&folder, recipe, self.force, making)? {
            Begin::UpToDate(manifest) => Ok(Outcome { folder, manifest, up_to_date: true }),
            Begin::Work(work) => {
                self.announce(stage, &folder, &work);
                Ok(Outcome { manifest: make(work)?, folder, up_to_date: false })
            }
        }
    }

    /// The same for a process that does its share of the work; nothing when the others are not done with theirs.
    ///
    /// # Errors
    /// Those of the guard and of `make`.
    pub fn guard_shard(
        &self,
        stage: &str,
        folder: PathBuf,
        recipe: Recipe,
        shard: usize,
        make: impl FnOnce(Work) -> anyhow::Result<Option<Manifest>>,
    ) -> anyhow::Result<Option<Outcome>> {
        match begin(&folder, recipe, self.force, Making::InPlace(Some(shard)))? {
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
