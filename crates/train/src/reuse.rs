//! A cross-entropy phase that is done already: other self-critical settings start from its checkpoint.

use std::fs::File;
use std::path::Path;

use model::checkpoint::{self, Header};
use serde_json::Value;
use tch::Device;

use crate::state;

/// The checkpoint that self-critical training started from.
pub(crate) const FILE: &str = "cross_entropy.safetensors";

/// Keeps the best checkpoint of the cross-entropy phase, which is over.
pub(crate) fn keep(folder: &Path) -> std::io::Result<()> {
    copy(folder, checkpoint::FILE, FILE)
}

/// Whether an earlier run has finished the cross-entropy phase of `header`; its checkpoint is then the best one.
pub(crate) fn found(folder: &Path, header: &Header) -> std::io::Result<bool> {
    let same = |file: &str| {
        let found = checkpoint::load(&folder.join(file), Device::Cpu).ok()?.header;
        (plan(&found) == plan(header)).then_some(found)
    };
    if same(FILE).is_some() {
        copy(folder, FILE, checkpoint::FILE)?;
        return Ok(true);
    }
    // A run of that phase alone, which is over: otherwise its state would be there.
    let alone = !state::exists(folder) && same(checkpoint::FILE).is_some_and(|found| epochs(&found) == 0);
    if alone {
        keep(folder)?;
    }
    Ok(alone)
}

/// Forgets earlier checkpoints.
pub(crate) fn remove(folder: &Path) -> std::io::Result<()> {
    for file in [FILE, checkpoint::FILE] {
        match std::fs::remove_file(folder.join(file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn copy(folder: &Path, from: &str, to: &str) -> std::io::Result<()> {
    let mut from = File::open(folder.join(from))?;
    artifacts::atomic::write(&folder.join(to), |file| std::io::copy(&mut from, file).map(|_| ()))
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
