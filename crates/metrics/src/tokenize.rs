//! Penn Treebank words, as COCO caption scores are defined on them.
//!
//! `pycocoevalcap` pipes captions through Stanford's `PTBTokenizer` 3.4.1 (`-preserveLines -lowerCase`) and drops
//! punctuation. This is a reimplementation from observed input and output: `rules` holds the token classes,
//! `abbreviations` the words that keep their full stop, `lexer` applies them. One caption is one text; a line
//! break in it is white space.
//!
//! Known differences touch no caption word of ordinary text: the Java tool adds a full stop after an acronym before
//! certain words (`U.S. The`), and keeps a list label like `5.x` whole.

mod abbreviations;
mod entities;
mod lexer;
mod rules;

use crate::Tokens;

/// Tokens that `pycocoevalcap` removes. Compared after lower-casing, so the upper-case bracket names of its list never
/// match and `-lrb-` stays in a caption.
const PUNCTUATION: [&str; 13] = ["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"];

/// All tokens of `text` in order, lower-case, punctuation included.
///
/// A mixed number such as `1 1/2` is one token with a no-break space in it.
#[must_use]
pub fn ptb_tokens(text: &str) -> Tokens {
    lexer::lex(text)
}

/// The words of a caption that metrics compare: [`ptb_tokens`] without punctuation.
///
/// No word holds white space: the parts of `1 1/2` are two words, as for the scorers of `pycocoevalcap`.
#[must_use]
pub fn caption_tokens(text: &str) -> Tokens {
    ptb_tokens(text)
        .iter()
        .filter(|token| !PUNCTUATION.contains(&token.as_str()))
        .flat_map(|token| token.split_whitespace())
        .map(str::to_owned)
        .collect()
}
