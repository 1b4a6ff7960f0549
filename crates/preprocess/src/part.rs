//! One part alone, for engines that hand out parts to their workers, and the list of parts that they go by.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use artifacts::Manifest;
use artifacts::images::Images;
use serde::Serialize;
use stage::guard::StageError;
use stage::{Context, Outcome, Stage};

use crate::{Preprocess, Set, Settings, backbones, check_values, sets};

/// How often a process looks whether another one is done.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What there is to be made, and what is there.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Parts of each set, numbered from 0.
    pub parts: usize,
    /// Those that are complete in all sets.
    pub complete: Vec<usize>,
    /// The sets of features that the config names.
    pub sets: Vec<SetReport>,
}

/// The parts of one set.
#[derive(Debug, Serialize)]
pub struct SetReport {
    /// As its folder is called.
    pub name: String,
    /// Where its parts are.
    pub folder: PathBuf,
    /// Parts that are complete.
    pub complete: Vec<usize>,
    /// Whether its manifest is written, so that nothing is left to do.
    pub finished: bool,
}

/// Says which parts of the config's sets are complete. It reads their last bytes alone.
///
/// # Errors
/// Values that the stage refuses, weights that are nowhere, a dataset that is not made.
pub fn list(context: &Context) -> anyhow::Result<Report> {
    let settings: Settings = context.config.section(Preprocess::NAME)?;
    check_values(&settings, context)?;
    shared::fetch_dataset(context)?;
    let images = Images::open(&context.folder.dataset())?;
    let backbones = backbones(&settings, context)?;
    let mut reports = Vec::new();
    for set in sets(&backbones, &settings, context)? {
        let (folder, recipe) = set.wanted(&images);
        let parts = set.parts(&images, folder.clone())?;
        let (folder, finished, complete) = match set.shared(&recipe)? {
            Some(shared) => (shared.place(), shared.finished().is_some(), shared.complete(&parts)?),
            None => {
                let finished = Manifest::read(&folder).is_ok_and(|manifest| {
                    recipe.difference(&manifest.recipe).is_none()
                        && manifest.damaged_output(&folder).is_none()
                });
                let complete = parts.complete();
                (folder, finished, complete)
            }
        };
        reports.push(SetReport { name: set.spec.name(), folder, complete, finished });
    }
    let parts = images.parts.len().div_ceil(settings.part_images);
    let in_all = |part: &usize| reports.iter().all(|set| set.complete.contains(part));
    Ok(Report { parts, complete: (0..parts).filter(in_all).collect(), sets: reports })
}

impl Report {
    /// The same for people, a line for each set.
    pub fn lines(&self) -> String {
        let line = |set: &SetReport| {
            let missing = (0..self.parts).filter(|part| !set.complete.contains(part));
            let missing: Vec<String> = missing.map(|part| part.to_string()).collect();
            let more = match (missing.is_empty(), set.finished) {
                (_, true) => "finished".to_owned(),
                (true, false) => "to be finished by a run without --part".to_owned(),
                (false, false) => format!("missing {}", missing.join(", ")),
            };
            format!("{}: {} of {} parts complete, {more}\n", set.name, set.complete.len(), self.parts)
        };
        self.sets.iter().map(line).collect()
    }
}

/// Makes part `number` of every set alone, if it is not complete; the manifest is left to a run of all parts.
///
/// While another process makes that part, or all of them, it waits: an engine that took that process for dead has often
/// started this one.
pub(crate) fn make(
    number: usize,
    sets: &[Set],
    settings: &Settings,
    context: &Context,
) -> anyhow::Result<Vec<Outcome>> {
    let images = Images::open(&context.folder.dataset())?;
    let parts = images.parts.len().div_ceil(settings.part_images);
    if number >= parts {
        let reason = format!("there are {parts} parts, numbered from 0");
        return Err(context.config.bad_value("--part", reason).into());
    }
    let mut finished = Vec::new();
    for set in sets {
        finished.extend(set.make_part(number, &images)?);
    }
    Ok(finished)
}

impl Set<'_> {
    /// Gives the whole set where it is finished.
    fn make_part(&self, number: usize, images: &Images) -> anyhow::Result<Option<Outcome>> {
        let context = self.context;
        let mut waits = false;
        loop {
            let (folder, recipe) = self.wanted(images);
            if let Some(set) = self.shared(&recipe)? {
                return set.make(images, |part| part == number, false);
            }
            let made = context.guard_shard(Preprocess::NAME, folder, recipe, number, |work| {
                let parts = self.parts(images, work.path(""))?;
                self.complete(&parts, images, |part| part == number, &work)?;
                context.note(&format!("  part {number} of {} is complete", parts.len()));
                Ok(None)
            });
            match made {
                Err(error) if matches!(error.downcast_ref(), Some(StageError::Busy(_))) => {
                    if !waits {
                        context.note(&format!("{}: part {number} waits: {error}", Preprocess::NAME));
                    }
                    waits = true;
                    sleep(LOOK_EVERY);
                }
                made => return made,
            }
        }
    }
}
