//! Progress for people: a bar on a terminal, a plain line now and then elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::escaped;

const LINE_EVERY: Duration = Duration::from_secs(15);

/// Counts finished pieces of known total; can be shared by worker threads.
pub struct Progress {
    label: String,
    unit: String,
    total: u64,
    done: AtomicU64,
    message: Mutex<String>,
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Option<Mutex<Instant>>,
}

impl Progress {
    /// Starts at 0 of `total` pieces; `quiet` shows nothing.
    pub fn new(label: &str, unit: &str, total: usize, quiet: bool) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        let bar = (!quiet && terminal).then(|| {
            let template = format!(
                "{{prefix}} {{bar:30}} {{human_pos}}/{{human_len}} {unit}, {{per_sec}}, {{eta}} left{{msg}}"
            );
            let style =
                ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total as u64).with_style(style).with_prefix(escaped(label).into_owned())
        });
        Progress {
            label: label.to_owned(),
            unit: unit.to_owned(),
            total: total as u64,
            done: AtomicU64::new(0),
            message: Mutex::default(),
            bar,
            started: Instant::now(),
            last_line: (!quiet && !terminal).then(|| Mutex::new(Instant::now())),
        }
    }

    /// Counts `pieces` more as finished.
    pub fn add(&self, pieces: usize) {
        let done = self.done.fetch_add(pieces as u64, Ordering::Relaxed) + pieces as u64;
        if let Some(bar) = &self.bar {
            bar.inc(pieces as u64);
        }
        let Some(last_line) = &self.last_line else { return };
        let Ok(mut last_line) = last_line.lock() else { return };
        if last_line.elapsed() >= LINE_EVERY {
            *last_line = Instant::now();
            note(&self.line(done, self.seconds()));
        }
    }

    fn line(&self, done: u64, seconds: f64) -> String {
        let rate = done as f64 / seconds.max(1e-9);
        let left = self.total.saturating_sub(done) as f64 / rate.max(1e-9);
        let message = self.message.lock().map(|message| message.clone()).unwrap_or_default();
        let Progress { label, unit, total, .. } = self;
        format!("{label}: {done}/{total} {unit}, {rate:.1}/s, {left:.0} s left{message}")
    }

    /// Shows a short text beside the numbers (a running loss, say).
    pub fn message(&self, text: String) {
        let text = format!(", {}", escaped(&text));
        if let Some(bar) = &self.bar {
            bar.set_message(text);
        } else if let Ok(mut message) = self.message.lock() {
            *message = text;
        }
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes one note to stderr, escaped for terminals; a closed stderr is nobody's error.
///
/// What follows a line break is indented, so that no name passes for a line of its own.
pub fn note(text: &str) {
    let text = escaped(text).replace('\n', "\n    ");
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_rate_and_time_left() {
        let progress = Progress::new("resnet50", "images", 400, true);
        assert_eq!(progress.line(100, 8.0), "resnet50: 100/400 images, 12.5/s, 24 s left");
    }

    #[test]
    fn a_message_follows_the_numbers() {
        let progress = Progress::new("resnet50", "images", 400, true);
        progress.message("1.5 MB/s".to_owned());
        assert!(progress.line(400, 8.0).ends_with("50.0/s, 0 s left, 1.5 MB/s"));
    }
}
