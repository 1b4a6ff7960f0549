//! The METEOR program behind its `-stdio` protocol: `SCORE ||| reference ||| … ||| hypothesis` is answered by a line of
//! statistics. Options and order are those of pycocoevalcap, whose PyPI package holds the jar.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::statistics::Statistics;
use crate::Tokens;

const SEPARATOR: &str = "|||";

/// Why METEOR cannot be computed.
#[derive(Debug, thiserror::Error)]
pub enum MeteorError {
    /// The jar is not there.
    #[error("METEOR jar {} is not there: name the meteor-1.5.jar of pycocoevalcap or of METEOR's own release", .0.display())]
    NoJar(PathBuf),
    /// `java` cannot be started.
    #[error("cannot start java ({0}): METEOR needs a Java runtime on the PATH")]
    NoJava(std::io::Error),
    /// The program ended, or answered something else than numbers.
    #[error("{} does not answer as METEOR 1.5 does: {reason}", jar.display())]
    NoAnswer {
        /// Path of the jar that was started.
        jar: PathBuf,
        /// What it said instead.
        reason: String,
    },
    /// Statistics from an earlier run that are not those of these captions.
    #[error("these are not METEOR 1.5's statistics of as many captions: count them again with the program")]
    OtherStatistics,
}

/// The running program; ends with this value.
pub(super) struct Program {
    jar: PathBuf,
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts `java -jar jar`.
    pub(super) fn start(jar: &Path) -> Result<Program, MeteorError> {
        if !jar.is_file() {
            return Err(MeteorError::NoJar(jar.to_owned()));
        }
        let mut process = Command::new("java")
            .args(["-Xmx2G", "-jar"])
            .arg(jar)
            .args(["-", "-", "-stdio", "-l", "en", "-norm"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(MeteorError::NoJava)?;
        match (process.stdin.take(), process.stdout.take()) {
            (Some(input), Some(output)) => {
                Ok(Program { jar: jar.to_owned(), process, input, output: BufReader::new(output) })
            }
            _ => Err(MeteorError::NoJava(std::io::Error::other("no pipes"))),
        }
    }

    /// What the program counts when it aligns `hypothesis` with the reference that fits it best.
    pub(super) fn count(
        &mut self,
        references: &[Tokens],
        hypothesis: &Tokens,
    ) -> Result<Statistics, MeteorError> {
        let captions: Vec<String> = references.iter().chain([hypothesis]).map(joined).collect();
        self.ask("SCORE", &captions)?;
        let answer = self.answer()?;
        let numbers: Option<Vec<f64>> = answer.split_whitespace().map(|number| number.parse().ok()).collect();
        numbers.as_deref().and_then(Statistics::new).ok_or_else(|| self.refuse(&answer))
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

    /// An error with what the program wrote for people; the program is over then.
    fn refuse(&mut self, reason: &str) -> MeteorError {
        let _ = self.process.kill();
        let mut said = String::new();
        if let Some(mut stderr) = self.process.stderr.take() {
            let _ = stderr.read_to_string(&mut said);
        }
        let first = said.lines().next().unwrap_or_default();
        let reason =
            [reason, first].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
        MeteorError::NoAnswer { jar: self.jar.clone(), reason }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Words in a line; a word that holds the separator would shift the captions behind it.
fn joined(caption: &Tokens) -> String {
    let words: Vec<&str> =
        caption.iter().map(String::as_str).filter(|word| !word.contains(SEPARATOR)).collect();
    words.join(" ")
}
