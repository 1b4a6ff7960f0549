//! Scores as text: a line of scores and a line of intervals for every system, the protocol above, the rest below.

use metrics::bootstrap::Comparison;
use metrics::{NAMES, Scores};

use crate::compare::ComparisonFile;
use crate::score::{Protocol, ScoreFile};
use crate::sheet::{MeteorLine, Sheet};

/// The table that closes an evaluation: every system with its scores, and what attention adds.
pub(crate) fn evaluation(files: &[ScoreFile], comparison: Option<&ComparisonFile>) -> String {
    let Some(last) = files.last() else { return String::new() };
    let search = last.details.get("search").map(ToString::to_string).unwrap_or_default();
    let mut lines = protocol(&last.protocol);
    lines.push(format!("search {search}"));
    lines.push(String::new());
    let systems: Vec<(String, &Sheet)> = files.iter().map(|file| (file.model.clone(), &file.sheet)).collect();
    lines.extend(scores(&systems));
    lines.push(String::new());
    if let Some(human) = files.iter().find(|file| file.model == crate::human::NAME) {
        let references = human.protocol.references();
        let images = human.protocol.images;
        lines.push(format!(
            "human: one reference, drawn by the seed, against the other {references} ({images} images); one reference fewer lowers it"
        ));
    }
    if files.iter().any(|file| file.model == crate::blind::NAME) {
        lines.push("blind: the best constant caption, chosen on train images".to_owned());
    }
    for file in files.iter().filter(|file| file.unfinished > 0) {
        lines.push(format!("{}: {} captions were cut at the longest length", file.model, file.unfinished));
    }
    lines.extend(files.iter().flat_map(grounding));
    if let Some(comparison) = comparison {
        lines.extend(attention_lines(comparison));
    }
    lines.join("\n") + "\n"
}

/// What there is to say of one model beside its scores.
pub(crate) fn facts(file: &ScoreFile) -> Vec<String> {
    let mut lines = vec![character(&file.sheet), format!("{} captions were cut", file.unfinished)];
    lines.extend(grounding(file));
    if let Some(details) = file.details.as_object() {
        lines.push(String::new());
        lines.extend(details.iter().map(|(key, value)| format!("{key} {value}")));
    }
    lines
}

/// What the scores of any table mean.
pub(crate) fn protocol(protocol: &Protocol) -> Vec<String> {
    let split = protocol.split.map(|split| format!(" of {split}")).unwrap_or_default();
    vec![
        format!("{} images{split}, {} references each", protocol.images, protocol.references()),
        format!("tokens: {}; BLEU: {}", protocol.tokenizer, protocol.bleu),
        format!("CIDEr-D: {}; intervals: {}", protocol.cider_d, protocol.intervals),
    ]
}

/// Scores and intervals, then what the captions of each system are like.
pub(crate) fn scores(systems: &[(String, &Sheet)]) -> Vec<String> {
    let width = systems.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |name: &str, cells: [String; 6]| {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>13}")).collect();
        format!("{name:width$} {}", cells.join(""))
    };
    let mut lines = vec![line("", NAMES.map(str::to_owned))];
    for (name, sheet) in systems {
        lines.push(line(name, sheet.scores.values().map(|value| format!("{value:.4}"))));
        let interval = |[low, high]: [f64; 2]| format!("{low:.3}–{high:.3}");
        lines.push(line("", sheet.intervals.values().map(interval)));
    }
    lines.push(String::new());
    for (name, sheet) in systems {
        lines.push(format!("{name:width$} {}", character(sheet)));
    }
    let reasons = systems.iter().map(|(_, sheet)| &sheet.meteor);
    if let Some(reason @ MeteorLine::NotComputed { .. }) =
        reasons.clone().find(|line| matches!(line, MeteorLine::NotComputed { .. }))
    {
        lines.push(format!("METEOR {reason}"));
    } else {
        lines.extend(systems.iter().map(|(name, sheet)| format!("METEOR of {name}: {}", sheet.meteor)));
    }
    lines
}

fn character(sheet: &Sheet) -> String {
    let (diversity, lengths) = (&sheet.diversity, &sheet.lengths);
    let new = diversity.not_in_train.map(|share| format!(", {:.0} % not in train", 100.0 * share));
    format!(
        "{} different captions{}, {} words used, distinct-1 {:.3}, distinct-2 {:.3}, {:.1} % repeat themselves, \
         {:.1} ± {:.1} words (references {:.1} ± {:.1})",
        sheet.distinct_captions,
        new.unwrap_or_default(),
        diversity.vocabulary,
        diversity.distinct_1,
        diversity.distinct_2,
        100.0 * diversity.repetition,
        lengths.mean,
        lengths.deviation,
        sheet.reference_lengths.mean,
        sheet.reference_lengths.deviation
    )
}

fn grounding(file: &ScoreFile) -> Vec<String> {
    let Some(grounding) = &file.grounding else { return vec![] };
    let row = |name: &str, found: &crate::grounding::Found| {
        let (mass, pointing) = (found.mass, found.pointing);
        format!(
            "  {name:<12} {:>5}   {:>6.3} {:>7.3} {:>7.3}   {:>6.3} {:>7.3} {:>7.3}",
            found.words,
            mass.model,
            mass.uniform,
            mass.centre,
            pointing.model,
            pointing.uniform,
            pointing.centre
        )
    };
    let mut lines = vec![
        String::new(),
        format!("where {} looks when it names an object", file.model),
        format!("  {:<12} {:>5}   {:<23}  pointing game", "", "words", "attention in the box"),
        format!(
            "  {:<12} {:>5}   {:>6} {:>7} {:>7}   {:>6} {:>7} {:>7}",
            "", "", "model", "uniform", "centre", "model", "uniform", "centre"
        ),
        row("all", &grounding.all),
    ];
    lines.extend(grounding.nouns.iter().map(|(noun, found)| row(noun, found)));
    lines
}

/// Every decoder against the one without attention.
fn attention_lines(comparison: &ComparisonFile) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (model, gain) in &comparison.models {
        lines.push(format!("attention adds {} ({model} against {})", gains(gain), comparison.baseline));
    }
    lines.push(format!("p: {}, {} draws", comparison.test, comparison.bootstrap.resamples));
    lines
}

/// `+0.0400 BLEU-4 (+0.020 to +0.060, p = 0.002), …` for BLEU-4, ROUGE-L and CIDEr-D.
pub(crate) fn gains(gain: &Comparison) -> String {
    let Comparison { difference, interval, p_value } = gain;
    let (difference, interval, p_value): ([f64; 6], [[f64; 2]; 6], [f64; 6]) =
        (difference.values(), interval.values(), p_value.values());
    let one = |metric: usize| {
        let [low, high] = interval[metric];
        let p = p_text(p_value[metric]);
        format!("{:+.4} {} ({low:+.3} to {high:+.3}, p {p})", difference[metric], NAMES[metric])
    };
    [3, 4, 5].map(one).join(", ")
}

/// `= 0.012`; `< 0.01` rather than more digits than the draws allow.
pub(crate) fn p_text(p: f64) -> String {
    if p < 0.01 { "< 0.01".to_owned() } else { format!("= {p:.2}") }
}

/// Markdown cells of a score with its interval.
pub(crate) fn cell(scores: &Scores, intervals: &Scores<[f64; 2]>, metric: usize) -> String {
    let [low, high] = intervals.values()[metric];
    format!("{:.4} ({low:.3}–{high:.3})", scores.values()[metric])
}
