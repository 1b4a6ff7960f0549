//! The table that closes an evaluation: every model with its scores, and what attention adds.

use std::io::Write;

use anyhow::Context;
use artifacts::cli::Outcome;

use crate::score::{self, ScoreFile};

/// Prints the scores of all evaluated models on stdout, protocol first.
pub(crate) fn print(outcomes: &[Outcome]) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for outcome in outcomes {
        let path = outcome.folder.join(score::FILE);
        let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let file: ScoreFile = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        files.push(file);
    }
    let text = render(&files);
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn render(files: &[ScoreFile]) -> String {
    let Some(last) = files.last() else { return String::new() };
    let protocol = &last.protocol;
    let [fewest, most] = protocol.references_per_image;
    let references = if fewest == most { fewest.to_string() } else { format!("{fewest}–{most}") };
    let search = last.details.get("search").map(ToString::to_string).unwrap_or_default();
    let mut lines = vec![
        format!(
            "{} images of {}, {references} references each; search {search}",
            protocol.images, protocol.split
        ),
        format!("tokens: {}; BLEU: {}", protocol.tokenizer, protocol.bleu),
        String::new(),
    ];
    let width = files.iter().map(|file| file.model.len()).max().unwrap_or(0);
    let header =
        ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D"].map(|name| format!("{name:>8}"));
    lines.push(format!("{:width$} {}  captions", "", header.join(" ")));
    for file in files {
        let scores = &file.scores;
        let values: Vec<String> = scores
            .bleu
            .iter()
            .chain([&scores.rouge_l, &scores.cider_d])
            .map(|value| format!("{value:>8.4}"))
            .collect();
        lines.push(format!(
            "{:width$} {}  {} different, {} cut",
            file.model,
            values.join(" "),
            file.distinct_captions,
            file.unfinished
        ));
    }
    lines.extend(attention_line(files));
    lines.join("\n") + "\n"
}

/// Attention against the same LSTM without it, when both were evaluated.
fn attention_line(files: &[ScoreFile]) -> Option<String> {
    let named = |end: &str| files.iter().find(|file| file.model.ends_with(end)).map(|file| &file.scores);
    let (without, with) = (named("-lstm")?, named("-soft_attention")?);
    Some(format!(
        "attention adds {:+.4} BLEU-4, {:+.4} CIDEr-D",
        with.bleu[3] - without.bleu[3],
        with.cider_d - without.cider_d
    ))
}
