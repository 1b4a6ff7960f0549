//! A cross-entropy phase that is done already: other self-critical settings start from its checkpoint.

use std::fs::File;
use std::path::{Path, PathBuf};

use model::checkpoint::{self, Header};
use serde_json::Value;
use tch::Device;

/// The checkpoint that self-critical training started from.
pub(crate) const FILE: &str = "cross_entropy.safetensors";

/// Keeps the best checkpoint of the cross-entropy phase, which is over.
pub(crate) fn keep(best: &Path, folder: &Path) -> std::io::Result<()> {
    copy(best, &folder.join(FILE))
}

/// The checkpoint of a finished cross-entropy phase of `header` in `folder`, if it has one.
///
/// `finished` says that the whole training there is over: a training of that phase alone has it under its own name.
pub(crate) fn find(folder: &Path, header: &Header, finished: bool) -> Option<PathBuf> {
    let same = |path: PathBuf, alone: bool| {
        let found = torch::checkpoint::load(&path, Device::Cpu).ok()?.header;
        (plan(&found) == plan(header) && (!alone || epochs(&found) == 0)).then_some(path)
    };
    let alone = || same(folder.join(checkpoint::FILE), true).filter(|_| finished);
    same(folder.join(FILE), false).or_else(alone)
}

/// Removes the checkpoint that another training kept.
pub(crate) fn forget(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(folder.join(FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies a file; the copy is complete or absent.
pub(crate) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut from = File::open(from)?;
    artifacts::atomic::write(to, |file| std::io::copy(&mut from, file).map(|_| ()))
}

/// What decided a checkpoint's cross-entropy phase: its provenance without the settings of the other one.
fn plan(header: &Header) -> Value {
    let mut plan = header.provenance.clone();
    if let Some(settings) = plan.get_mut("settings").and_then(Value::as_object_mut) {
        settings.remove("self_critical");
    }
    plan
}

/// Self-critical epochs that were asked for.
fn epochs(header: &Header) -> u64 {
    header.provenance.pointer("/settings/self_critical/epochs").and_then(Value::as_u64).unwrap_or(0)
}
