//! What a run tells while it trains: `metrics.jsonl` for programs, TensorBoard events for eyes.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::tensorboard::EventFile;

/// File name in the train folder.
pub const FILE: &str = "metrics.jsonl";

/// The two logs of a run.
pub struct Log {
    lines: File,
    events: EventFile,
}

impl Log {
    /// Opens the logs of `folder` for the steps after `steps_done`; what an interrupted run logged beyond is dropped.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn open(folder: &Path, steps_done: usize) -> anyhow::Result<Log> {
        let path = folder.join(FILE);
        let kept = kept_lines(&path, steps_done).with_context(|| path.display().to_string())?;
        artifacts::atomic::write(&path, |file| file.write_all(kept.as_bytes()))?;
        if steps_done == 0 {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with("events.out.tfevents") {
                    std::fs::remove_file(entry.path())?;
                }
            }
        }
        let lines =
            OpenOptions::new().append(true).open(&path).with_context(|| path.display().to_string())?;
        Ok(Log { lines, events: EventFile::create(folder, steps_done)? })
    }

    /// Logs named values of one step.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write(&mut self, step: usize, values: &[(&str, f64)]) -> std::io::Result<()> {
        let mut line = Map::from_iter([("step".to_owned(), json!(step))]);
        line.extend(values.iter().map(|(name, value)| (name.to_string(), json!(value))));
        writeln!(self.lines, "{}", Value::Object(line))?;
        let scalars: Vec<_> = values.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        self.events.scalars(step, &scalars)
    }
}

fn kept_lines(path: &Path, steps_done: usize) -> std::io::Result<String> {
    if steps_done == 0 || !path.exists() {
        return Ok(String::new());
    }
    let mut kept = String::new();
    for line in BufReader::new(File::open(path)?).lines() {
        let line = line?;
        let step = serde_json::from_str::<Value>(&line).ok().and_then(|line| line.get("step")?.as_u64());
        if step.is_some_and(|step| step <= steps_done as u64) {
            kept.push_str(&line);
            kept.push('\n');
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_run_drops_what_it_will_log_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path(), 0).unwrap();
        for step in 1..=3 {
            log.write(step, &[("loss", 1.0)]).unwrap();
        }
        drop(log);
        Log::open(folder.path(), 2).unwrap().write(3, &[("loss", 2.0)]).unwrap();
        let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.ends_with("{\"loss\":2.0,\"step\":3}\n"), "{text}");
    }
}
