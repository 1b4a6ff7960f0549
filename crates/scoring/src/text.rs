//! Scores as text: a line of scores and a line of intervals for every system, the protocol above, the rest below.

use std::collections::BTreeSet;

use metrics::bootstrap::Comparison;
use metrics::{Metric, Scores};

use crate::comparison::ComparisonFile;
use crate::grounding::Found;
use crate::protocol::Protocol;
use crate::score_file::{BLIND, HUMAN, ScoreFile};
use crate::sheet::Sheet;

/// The table that closes an evaluation: every system with its scores, and what attention adds.
pub fn evaluation(files: &[ScoreFile], comparison: Option<&ComparisonFile>) -> String {
    let Some(last) = files.last() else { return String::new() };
    let search = last.details.get("search").map(ToString::to_string).unwrap_or_default();
    let mut lines = protocol(&last.protocol);
    lines.push(format!("search {search}"));
    lines.push(String::new());
    let systems: Vec<(String, &Sheet)> = files.iter().map(|file| (file.model.clone(), &file.sheet)).collect();
    lines.extend(scores(&systems));
    lines.push(String::new());
    if let Some(human) = files.iter().find(|file| file.model == HUMAN) {
        let references = human.protocol.references();
        let images = human.protocol.images;
        lines.push(format!(
            "human: one reference, drawn by the seed, against the other {references} ({images} images); one reference fewer lowers it"
        ));
    }
    if files.iter().any(|file| file.model == BLIND) {
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
pub fn facts(file: &ScoreFile) -> Vec<String> {
    let mut lines = vec![character(&file.sheet), format!("{} captions were cut", file.unfinished)];
    lines.extend(grounding(file));
    if let Some(details) = file.details.as_object() {
        lines.push(String::new());
        lines.extend(details.iter().map(|(key, value)| format!("{key} {value}")));
    }
    lines
}

/// What the scores of any table mean.
pub fn protocol(protocol: &Protocol) -> Vec<String> {
    let split = protocol.split.map(|split| format!(" of {split}")).unwrap_or_default();
    let mut lines = vec![
        format!("{} images{split}, {} references each", protocol.images, protocol.references()),
        format!("tokens: {}; intervals: {}", protocol.tokenizer, protocol.intervals),
    ];
    let rule = |(metrics, rule): (Vec<Metric>, &str)| format!("{}: {rule}", names(metrics));
    lines.extend(protocol.rules().into_iter().map(rule));
    lines.extend(protocol.caveat().map(|caveat| format!("warning: {caveat}")));
    lines
}

/// Scores and intervals, then what the captions of each system are like.
pub fn scores(systems: &[(String, &Sheet)]) -> Vec<String> {
    let width = systems.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let metrics = shown(systems.iter().map(|(_, sheet)| &sheet.scores));
    let line = |name: &str, cell: &dyn Fn(Metric) -> String| {
        let cells: Vec<String> = metrics.iter().map(|&metric| format!("{:>13}", cell(metric))).collect();
        format!("{name:width$} {}", cells.join(""))
    };
    let mut lines = vec![line("", &|metric| metric.to_string())];
    for (name, sheet) in systems {
        let score = |metric| sheet.scores.get(metric).map_or(String::new(), |value| format!("{value:.4}"));
        let interval = |metric| {
            sheet.intervals.get(metric).map_or(String::new(), |[low, high]| format!("{low:.3}–{high:.3}"))
        };
        lines.push(line(name, &score));
        lines.push(line("", &interval));
    }
    lines.push(String::new());
    for (name, sheet) in systems {
        lines.push(format!("{name:width$} {}", character(sheet)));
    }
    lines.extend(not_computed(systems.iter().map(|(_, sheet)| *sheet)));
    lines
}

/// Why metrics that none of the systems has are missing.
pub fn not_computed<'a>(mut sheets: impl Iterator<Item = &'a Sheet> + Clone) -> Vec<String> {
    let shown = shown(sheets.clone().map(|sheet| &sheet.scores));
    let missing = sheets.next().into_iter().flat_map(|sheet| &sheet.not_computed);
    missing
        .filter(|(metric, _)| !shown.contains(metric))
        .map(|(metric, reason)| format!("{metric} not computed: {reason}"))
        .collect()
}

/// The metrics that at least one of the systems has, in the order of tables.
pub fn shown<'a>(systems: impl Iterator<Item = &'a Scores>) -> Vec<Metric> {
    let found: BTreeSet<Metric> = systems.flat_map(Scores::metrics).collect();
    found.into_iter().collect()
}

/// Whether a metric stands where there is room for a few only: BLEU of the longest runs speaks for the others.
pub fn is_headline(metric: Metric) -> bool {
    ![Metric::Bleu1, Metric::Bleu2, Metric::Bleu3].contains(&metric)
}

fn names(metrics: Vec<Metric>) -> String {
    metrics.into_iter().map(Metric::name).collect::<Vec<_>>().join(", ")
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
    let row = |name: &str, found: &Found| {
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
    let mut lines = vec![String::new(), format!("against {}, which has no attention", comparison.baseline)];
    for (model, gain) in &comparison.models {
        lines.push(format!("  {model}: {}", gains(gain)));
    }
    lines.push(format!("  p: {}, {} draws", comparison.test, comparison.bootstrap.resamples));
    lines
}

/// `+0.0400 BLEU-4 (+0.020 to +0.060, p = 0.002), …` for the headline metrics.
pub fn gains(gain: &Comparison) -> String {
    let one = |(metric, difference): (Metric, f64)| {
        let [low, high] = gain.interval[metric];
        let p = p_text(gain.p_value[metric]);
        format!("{difference:+.4} {metric} ({low:+.3} to {high:+.3}, p {p})")
    };
    let headlines = gain.difference.iter().filter(|(metric, _)| is_headline(*metric));
    headlines.map(one).collect::<Vec<_>>().join(", ")
}

/// `= 0.012`; `< 0.01` rather than more digits than the draws allow.
pub fn p_text(p: f64) -> String {
    if p < 0.01 { "< 0.01".to_owned() } else { format!("= {p:.2}") }
}
