//! Intervals and p-values behave as the statistics that they are.

#![allow(clippy::unwrap_used, reason = "test utilities")]

use metrics::bootstrap::{Bootstrap, interval, p_value};
use metrics::{Evaluation, Metric, ScoreError, Tokens, score};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const WORDS: [&str; 8] = ["a", "dog", "cat", "runs", "on", "the", "red", "mat"];

fn caption(random: &mut ChaCha8Rng) -> Tokens {
    (0..random.random_range(4..10)).map(|_| WORDS[random.random_range(0..8)].to_owned()).collect()
}

/// References of some images, and a hypothesis each that keeps a word of the first reference with probability `skill`.
fn system(images: usize, skill: f64, seed: u64) -> (Vec<Vec<Tokens>>, Vec<Tokens>) {
    let mut world = ChaCha8Rng::seed_from_u64(0);
    let references: Vec<Vec<Tokens>> =
        (0..images).map(|_| vec![caption(&mut world), caption(&mut world)]).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut hypothesis = |reference: &Tokens| -> Tokens {
        let word = |word: &String| {
            let other = WORDS[random.random_range(0..8)].to_owned();
            if random.random_bool(skill) { word.clone() } else { other }
        };
        reference.iter().map(word).collect()
    };
    let hypotheses = references.iter().map(|image| hypothesis(&image[0])).collect();
    (references, hypotheses)
}

fn evaluation(images: usize, skill: f64, seed: u64) -> Evaluation {
    let (references, hypotheses) = system(images, skill, seed);
    score(&references, &hypotheses).unwrap()
}

#[test]
fn a_draw_is_scored_as_the_corpus_of_its_images() {
    let (references, hypotheses) = system(30, 0.6, 1);
    let whole = score(&references, &hypotheses).unwrap();
    for sample in (Bootstrap { resamples: 5, seed: 9 }).samples(30) {
        let drawn: (Vec<_>, Vec<_>) =
            sample.iter().map(|&image| (references[image].clone(), hypotheses[image].clone())).unzip();
        let (ours, direct) = (whole.of_sample(&sample), score(&drawn.0, &drawn.1).unwrap().corpus);
        for metric in [Metric::Bleu1, Metric::Bleu2, Metric::Bleu3, Metric::Bleu4] {
            assert_eq!(ours[metric], direct[metric]);
        }
        assert!((ours[Metric::RougeL] - direct[Metric::RougeL]).abs() < 1e-12);
    }
}

#[test]
fn the_interval_of_a_mean_is_that_of_the_normal_approximation() {
    let run = evaluation(400, 0.6, 1);
    let draws = Bootstrap { resamples: 4000, seed: 1 };
    let intervals = draws.intervals(std::slice::from_ref(&run)).unwrap();
    let values: Vec<f64> = run.images.iter().map(|scores| scores[Metric::RougeL]).collect();
    let mean = run.corpus[Metric::RougeL];
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    let half = 1.96 * (variance / values.len() as f64).sqrt();
    let [low, high] = intervals[Metric::RougeL];
    assert!((mean - half - low).abs() < 0.1 * half, "{low} is not {}", mean - half);
    assert!((mean + half - high).abs() < 0.1 * half, "{high} is not {}", mean + half);
    for (metric, score) in run.corpus.iter() {
        let [low, high] = intervals[metric];
        assert!(low < score && score < high, "{metric}");
    }
}

#[test]
fn a_better_system_is_told_from_a_lucky_one() {
    let draws = Bootstrap::default();
    let (weak, strong) = ([evaluation(200, 0.5, 1)], [evaluation(200, 0.8, 2)]);
    let gain = draws.compare(&strong, &weak).unwrap();
    assert!(gain.difference.iter().all(|(_, difference)| difference > 0.0));
    assert!(gain.p_value.iter().all(|(_, p)| p == 2.0 / 1001.0), "{:?}", gain.p_value);
    assert!(gain.interval[Metric::Bleu4][0] > 0.0);
    let loss = draws.compare(&weak, &strong).unwrap();
    assert_eq!(loss.difference[Metric::Bleu4], -gain.difference[Metric::Bleu4]);
    assert_eq!(loss.p_value, gain.p_value, "the p-value has two sides");

    let same = draws.compare(&weak, &weak).unwrap();
    assert!(same.p_value.iter().all(|(_, p)| p == 1.0));
    let lucky = draws.compare(&[evaluation(200, 0.5, 3)], &weak).unwrap();
    assert!(lucky.p_value[Metric::Bleu4] > 0.05);
    assert!(lucky.interval[Metric::Bleu4][0] < 0.0 && 0.0 < lucky.interval[Metric::Bleu4][1]);
}

#[test]
fn several_runs_of_a_system_count_with_their_mean() {
    let draws = Bootstrap { resamples: 200, seed: 1 };
    let runs = [evaluation(50, 0.7, 1), evaluation(50, 0.7, 2)];
    let other = [evaluation(50, 0.4, 3)];
    let mean = (runs[0].corpus[Metric::Bleu4] + runs[1].corpus[Metric::Bleu4]) / 2.0;
    let found = draws.compare(&runs, &other).unwrap().difference[Metric::Bleu4];
    assert!((found - (mean - other[0].corpus[Metric::Bleu4])).abs() < 1e-12);
}

#[test]
fn one_seed_gives_one_answer() {
    let run = [evaluation(60, 0.6, 1)];
    let of = |seed| Bootstrap { resamples: 100, seed }.intervals(&run).unwrap();
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn systems_on_different_images_are_refused() {
    let (few, many) = ([evaluation(10, 0.6, 1)], [evaluation(11, 0.6, 1)]);
    let refused = |other: &[Evaluation]| Bootstrap::default().compare(&few, other).unwrap_err();
    assert!(matches!(refused(&many), ScoreError::DifferentImages { one: 10, other: 11 }));
    assert!(matches!(refused(&[]), ScoreError::NoImages));
}

#[test]
fn quantiles_and_p_values_as_by_hand() {
    assert_eq!(interval(&(0..1000).rev().map(f64::from).collect::<Vec<_>>()), [25.0, 974.0]);
    assert_eq!(interval(&[3.0]), [3.0, 3.0]);
    // 2 of 9 draws are not above 0: 2 × (2 + 1) / (9 + 1).
    assert_eq!(p_value(&[-1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), 0.6);
}
