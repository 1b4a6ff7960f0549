//! METEOR 1.5 (Denkowski and Lavie 2014), asked of its own Java program.
//!
//! The program speaks lines on its standard input and output (`-stdio`): `SCORE ||| reference ||| … ||| hypothesis` gives the
//! statistics of one caption, `EVAL ||| statistics ||| …` a score for each and one for their sum. Options and order are
//! those of pycocoevalcap, whose PyPI package holds the jar.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::Tokens;
use crate::bootstrap::Bootstrap;

const SEPARATOR: &str = "|||";

/// Why METEOR cannot be computed.
#[derive(Debug, thiserror::Error)]
pub enum MeteorError {
    /// The jar is not there.
    #[error("METEOR jar {} is not there: name the meteor-1.5.jar of pycocoevalcap or of METEOR's own release", .0.display())]
    NoJar(PathBuf),
    /// No Java.
    #[error("cannot start java ({0}): METEOR needs a Java runtime on the PATH")]
    NoJava(std::io::Error),
    /// The program ended, or answered something else than numbers.
    #[error("{} does not answer as METEOR 1.5 does: {reason}", jar.display())]
    NoAnswer {
        /// The jar.
        jar: PathBuf,
        /// What it said instead.
        reason: String,
    },
}

/// METEOR scores, each in 0..1.
#[derive(Debug, Clone, PartialEq)]
pub struct MeteorScores {
    /// From the sum of the statistics.
    pub corpus: f64,
    /// One a hypothesis.
    pub images: Vec<f64>,
    /// What the program counted in each image.
    statistics: Vec<Vec<f64>>,
}

/// The running program; ends with this value.
pub struct Meteor {
    jar: PathBuf,
    program: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Meteor {
    /// Starts `java -jar jar`.
    ///
    /// # Errors
    /// When the jar or Java is missing.
    pub fn start(jar: &Path) -> Result<Meteor, MeteorError> {
        if !jar.is_file() {
            return Err(MeteorError::NoJar(jar.to_owned()));
        }
        let mut program = Command::new("java")
            .args(["-Xmx2G", "-jar"])
            .arg(jar)
            .args(["-", "-", "-stdio", "-l", "en", "-norm"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(MeteorError::NoJava)?;
        match (program.stdin.take(), program.stdout.take()) {
            (Some(input), Some(output)) => {
                Ok(Meteor { jar: jar.to_owned(), program, input, output: BufReader::new(output) })
            }
            _ => Err(MeteorError::NoJava(std::io::Error::other("no pipes"))),
        }
    }

    /// Scores `hypotheses[image]` against `references[image][caption]`.
    ///
    /// # Errors
    /// When the program ends or answers something else than numbers.
    pub fn score(
        &mut self,
        references: &[Vec<Tokens>],
        hypotheses: &[Tokens],
    ) -> Result<MeteorScores, MeteorError> {
        let mut statistics = Vec::new();
        for (references, hypothesis) in references.iter().zip(hypotheses) {
            let captions: Vec<String> = references.iter().chain([hypothesis]).map(joined).collect();
            self.ask("SCORE", &captions)?;
            let answer = self.answer()?;
            let numbers = answer.split_whitespace().map(|number| number.parse().ok());
            let numbers: Option<Vec<f64>> = numbers.collect();
            statistics.push(numbers.ok_or_else(|| self.refuse(&answer))?);
        }
        let (images, corpus) = self.evaluate(&statistics)?;
        Ok(MeteorScores { corpus, images, statistics })
    }

    /// The corpus score of each of the bootstrap's draws.
    ///
    /// # Errors
    /// When the program ends or answers something else than numbers.
    pub fn resampled(&mut self, scores: &MeteorScores, draws: &Bootstrap) -> Result<Vec<f64>, MeteorError> {
        // Statistics add up, so a draw is one line of them, however many images there are.
        let addends: Vec<Vec<f64>> = scores.statistics.iter().map(|image| addend(image)).collect();
        let sums = draws.samples(addends.len()).map(|sample| {
            let mut sum = vec![0.0; addends.first().map_or(0, Vec::len)];
            for image in sample {
                sum.iter_mut().zip(&addends[image]).for_each(|(sum, value)| *sum += value);
            }
            sum
        });
        let sums: Vec<Vec<f64>> = sums.collect();
        Ok(self.evaluate(&sums)?.0)
    }

    /// The score of each of some statistics, and of their sum.
    fn evaluate(&mut self, statistics: &[Vec<f64>]) -> Result<(Vec<f64>, f64), MeteorError> {
        let line = |numbers: &Vec<f64>| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
        self.ask("EVAL", &statistics.iter().map(line).collect::<Vec<_>>())?;
        let each = statistics.iter().map(|_| self.number()).collect::<Result<_, _>>()?;
        Ok((each, self.number()?))
    }

    fn ask(&mut self, command: &str, parts: &[String]) -> Result<(), MeteorError> {
        let line = std::iter::once(command).chain(parts.iter().map(String::as_str)).collect::<Vec<_>>();
        let written = writeln!(self.input, "{}", line.join(&format!(" {SEPARATOR} ")));
        written.and_then(|()| self.input.flush()).map_err(|error| self.refuse(&error.to_string()))
    }

    fn answer(&mut self) -> Result<String, MeteorError> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(0) => Err(self.refuse("it ended")),
            Ok(_) => Ok(line.trim().to_owned()),
            Err(error) => Err(self.refuse(&error.to_string())),
        }
    }

    fn number(&mut self) -> Result<f64, MeteorError> {
        let answer = self.answer()?;
        answer.parse().map_err(|_| self.refuse(&answer))
    }

    /// An error with what the program wrote for people; the program is over then.
    fn refuse(&mut self, reason: &str) -> MeteorError {
        let _ = self.program.kill();
        let mut said = String::new();
        if let Some(mut stderr) = self.program.stderr.take() {
            let _ = stderr.read_to_string(&mut said);
        }
        let first = said.lines().next().unwrap_or_default();
        let reason =
            [reason, first].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
        MeteorError::NoAnswer { jar: self.jar.clone(), reason }
    }
}

impl Drop for Meteor {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// A caption's statistics as they go into a sum: one that matches all of its reference in a single chunk adds no chunk,
/// which is how the program forgives perfect captions.
fn addend(statistics: &[f64]) -> Vec<f64> {
    let mut addend = statistics.to_vec();
    if let [words, reference_words, .., chunks, matched, reference_matched] = addend.as_mut_slice()
        && matched == words
        && reference_matched == reference_words
        && *chunks == 1.0
    {
        *chunks = 0.0;
    }
    addend
}

/// Words in a line; a word that holds the separator would shift the captions behind it.
fn joined(caption: &Tokens) -> String {
    let words: Vec<&str> =
        caption.iter().map(String::as_str).filter(|word| !word.contains(SEPARATOR)).collect();
    words.join(" ")
}
