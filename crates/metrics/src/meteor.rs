//! METEOR 1.5 (Denkowski and Lavie 2014): its own Java program aligns captions with references and counts; the formula
//! over the counts is computed here, so that samples of images are scored without the program.

mod program;
mod statistics;

use std::path::Path;

use crate::Tokens;
use crate::tally::{Tallied, Tally};
pub use program::MeteorError;
use program::Program;
use statistics::Statistics;

pub(crate) const PROTOCOL: &str =
    "METEOR 1.5 for English with its own normalisation, from the summed statistics";

/// Where METEOR's statistics come from.
#[derive(Debug, Clone, Copy)]
pub enum MeteorSource<'a> {
    /// From nowhere: METEOR is not computed.
    None,
    /// From the program: `meteor-1.5.jar`, run by the `java` on the PATH.
    Program(&'a Path),
    /// From an earlier run of it: the numbers of each image, as [`counted`](crate::Evaluation::counted) returns them.
    Counted(&'a [Vec<f64>]),
}

/// METEOR of `hypotheses[image]` against `references[image][caption]`.
pub(crate) fn tally(
    references: &[Vec<Tokens>],
    hypotheses: &[Tokens],
    source: MeteorSource<'_>,
) -> Result<Tallied, MeteorError> {
    let statistics: Result<Vec<Statistics>, MeteorError> = match source {
        MeteorSource::None => {
            return Ok(Tallied::NotComputed("no jar of METEOR 1.5 was named (it needs Java)"));
        }
        MeteorSource::Program(jar) => {
            let mut program = Program::start(jar)?;
            let images = references.iter().zip(hypotheses);
            images.map(|(references, hypothesis)| program.count(references, hypothesis)).collect()
        }
        MeteorSource::Counted(images) if images.len() == hypotheses.len() => images
            .iter()
            .map(|numbers| Statistics::new(numbers).ok_or(MeteorError::OtherStatistics))
            .collect(),
        MeteorSource::Counted(_) => Err(MeteorError::OtherStatistics),
    };
    Ok(Tallied::new(Meteor(statistics?)))
}

/// The statistics of each image.
#[derive(Debug)]
struct Meteor(Vec<Statistics>);

impl Tally for Meteor {
    fn score(&self, sample: &[usize]) -> f64 {
        sample.iter().map(|&image| &self.0[image]).sum::<Statistics>().score()
    }

    fn counted(&self) -> Option<Vec<Vec<f64>>> {
        Some(self.0.iter().map(Statistics::numbers).collect())
    }
}
