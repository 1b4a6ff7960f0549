//! What a program says on standard output, and what of it may reach a terminal.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Standard output takes no more: its disk is full, say.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub struct OutputError(#[from] io::Error);

/// Prints a program's answer, `text`, all at once.
///
/// Whoever closes a pipe has read enough: that is no error, what is printed afterwards goes nowhere, and the work goes on.
///
/// # Errors
///
/// When the system refuses to write for another reason.
pub fn print(text: &str) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    let text = if out.is_terminal() { escaped(text) } else { Cow::Borrowed(text) };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(OutputError(error)),
        _ => Ok(()),
    }
}

/// The same of a value as JSON for people, with a line break behind it.
///
/// # Errors
///
/// Those of [`print()`], and a value that is none of JSON's.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    Ok(print(&format!("{}\n", serde_json::to_string_pretty(value)?))?)
}

/// The same text, safe to show: what file names and captions hold to steer a terminal (escape sequences) or to turn the order
/// of what is read (overrides of direction) is written out as `\u{…}`. Line breaks and tabs stay.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        if steers(char) {
            safe.extend(char.escape_default());
        } else {
            safe.push(char);
        }
    }
    Cow::Owned(safe)
}

fn steers(char: char) -> bool {
    let turns = matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (char.is_control() && !matches!(char, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_written_out() {
        assert_eq!(escaped("a dog é 犬\n\tb"), "a dog é 犬\n\tb");
        assert_eq!(escaped("\u{1b}[2Ja\r\u{9b}1m"), "\\u{1b}[2Ja\\r\\u{9b}1m");
        assert_eq!(escaped("a\u{202e}gnp.exe\u{2066}"), "a\\u{202e}gnp.exe\\u{2066}");
    }
}
