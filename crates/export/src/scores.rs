//! How a model scored, as a table in Markdown.

use std::fmt::Write as _;

use scoring::ScoreFile;

/// The protocol and a row per metric; `dataset` is what the split is of, as people call it.
pub(crate) fn table(scores: &ScoreFile, dataset: &str) -> String {
    let (protocol, sheet) = (&scores.protocol, &scores.sheet);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "On {} images of the {} split of {dataset}, {} references per image; in brackets {}.\n\n\
         | metric | score | how |\n|---|---|---|",
        protocol.images,
        split(scores),
        protocol.references(),
        protocol.intervals,
    );
    for (metric, value) in sheet.scores.iter() {
        let interval = sheet.intervals.get(metric);
        let interval = interval.map_or(String::new(), |[low, high]| format!(" ({low:.4}–{high:.4})"));
        let _ = writeln!(text, "| {} | {value:.4}{interval} | {} |", metric.name(), metric.protocol());
    }
    let _ = writeln!(text, "\nCaptions are compared as words: {}.", protocol.tokenizer);
    text
}

/// Name of the split.
pub(crate) fn split(scores: &ScoreFile) -> &str {
    scores.protocol.split.map_or("all", |split| split.as_str())
}
