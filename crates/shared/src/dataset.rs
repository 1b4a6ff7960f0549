//! The dataset's tables on their way to other machines and back.

use std::path::Path;

use anyhow::Context as _;
use artifacts::manifest::{self, Manifest};
use artifacts::recipe::digest;
use stage::Context;
use store::Folder;

use crate::shared;

/// Name of the folder of the dataset's tables.
const FOLDER: &str = "dataset";
/// Most bytes of one of its files.
const MOST: u64 = 1 << 32;

/// Puts the tables of the finished dataset where other machines find them, unless they are there.
///
/// # Errors
/// The dataset is not finished, or the store refuses.
pub fn publish_dataset(context: &Context) -> anyhow::Result<()> {
    let Some(shared) = shared(context)? else { return Ok(()) };
    let (local, shared) = (context.folder.dataset(), shared.within(FOLDER)?);
    let manifest = Manifest::read(&local)?;
    if remote_manifest(&shared)?.is_some_and(|there| there.outputs == manifest.outputs) {
        return Ok(());
    }
    context.note(&format!("  the dataset's tables go to {shared}"));
    for output in &manifest.outputs {
        let path = local.join(&output.file);
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        shared.write(&output.file, bytes.into())?;
    }
    Ok(shared.write(manifest::FILE, manifest.sealed()?.into())?)
}

/// Fetches the dataset's tables of a shared run, where this machine has other ones or none.
///
/// # Errors
/// The tables are nowhere, damaged, or the store fails.
pub fn fetch_dataset(context: &Context) -> anyhow::Result<()> {
    let Some(shared) = shared(context)? else { return Ok(()) };
    let (local, shared) = (context.folder.dataset(), shared.within(FOLDER)?);
    let there = remote_manifest(&shared)?.with_context(|| {
        format!("{shared} is not there: run the stage dataset with this run.store on the machine that has the data")
    })?;
    if Manifest::read(&local).is_ok_and(|here| here.outputs == there.outputs) {
        return Ok(());
    }
    context.note(&format!("  the dataset's tables come from {shared}"));
    for output in &there.outputs {
        let bytes = shared.fetch(&output.file, MOST)?;
        anyhow::ensure!(
            digest(&bytes) == output.hash,
            "{} is not what its manifest says: remove the folder, and run dataset on the machine that has the data",
            shared.place_of(&output.file)
        );
        artifacts::atomic::write(&local.join(&output.file), |file| std::io::Write::write_all(file, &bytes))?;
    }
    Ok(there.write(&local)?)
}

fn remote_manifest(shared: &Folder) -> anyhow::Result<Option<Manifest>> {
    match shared.fetch(manifest::FILE, MOST) {
        Ok(bytes) => Ok(Some(Manifest::parse(Path::new(&shared.place_of(manifest::FILE)), &bytes)?)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
