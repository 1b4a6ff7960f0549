//! Standard output.

use std::io::Write;

/// Writes what was asked for; what the user should know beside it goes to standard error.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
