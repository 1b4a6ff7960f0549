//! Values of settings that make no sense, and the checks that find them.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// A value that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {reason}")]
pub struct Problem {
    /// Its key, dotted from the table that was checked.
    pub key: String,
    /// What it must be.
    pub reason: String,
}

impl Problem {
    /// The same problem, named from the table that holds `table`.
    pub fn within(self, table: &str) -> Problem {
        Problem { key: format!("{table}.{}", self.key), ..self }
    }
}

/// The first check that failed.
pub fn first(checks: impl IntoIterator<Item = Option<Problem>>) -> Option<Problem> {
    checks.into_iter().flatten().next()
}

/// Fails for reasons of its own: `reason` completes a sentence that begins with the key.
pub fn unless(holds: bool, key: &str, reason: impl Into<String>) -> Option<Problem> {
    (!holds).then(|| Problem { key: key.to_owned(), reason: reason.into() })
}

/// Fails below `least`.
pub fn at_least<T: PartialOrd + Display>(least: T, key: &str, value: T) -> Option<Problem> {
    unless(value >= least, key, format!("must be at least {least}"))
}

/// Fails outside of `range`.
pub fn within<T: PartialOrd + Display>(range: RangeInclusive<T>, key: &str, value: T) -> Option<Problem> {
    let reason = || format!("must be at least {} and at most {}", range.start(), range.end());
    unless(range.contains(&value), key, reason())
}

/// Fails for anything but a finite number above 0.
pub fn above_0(key: &str, value: f64) -> Option<Problem> {
    unless(value.is_finite() && value > 0.0, key, "must be above 0 and finite")
}

/// Fails for anything but a finite number that is 0 or above.
pub fn not_negative(key: &str, value: f64) -> Option<Problem> {
    unless(value.is_finite() && value >= 0.0, key, "must be at least 0 and finite")
}

/// Fails for anything but a share of which something is left, such as dropout.
pub fn share(key: &str, value: f64) -> Option<Problem> {
    unless((0.0..1.0).contains(&value), key, "must be at least 0 and below 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_make_no_sense_are_found_and_their_neighbours_are_not() {
        let wrong = [
            at_least(1, "n", 0),
            within(1..=5, "n", 6),
            above_0("x", 0.0),
            above_0("x", f64::NAN),
            above_0("x", f64::INFINITY),
            not_negative("x", -1e-9),
            not_negative("x", f64::INFINITY),
            share("x", 1.0),
            share("x", f64::NAN),
        ];
        assert!(wrong.iter().all(Option::is_some), "{wrong:?}");
        let right = [
            at_least(1, "n", 1),
            within(1..=5, "n", 5),
            above_0("x", 1e-9),
            not_negative("x", 0.0),
            share("x", 0.0),
        ];
        assert_eq!(first(right), None);
    }

    #[test]
    fn the_first_problem_is_named_from_outside() {
        let problem = first([None, share("dropout", 2.0), above_0("rate", 0.0)]).unwrap();
        let message = problem.within("lstm").within("train").to_string();
        assert_eq!(message, "train.lstm.dropout must be at least 0 and below 1");
    }
}
