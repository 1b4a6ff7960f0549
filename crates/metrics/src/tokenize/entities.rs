//! HTML's character entities, as the reference tokeniser takes them.
//!
//! It resolves them while it cuts, so that `&lt;b&gt;` is three tokens where `<b>` is a tag. Such an entity becomes a private
//! character here, which rules can tell from the character that it stands for, and is shown as that one in the end.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Entity without `&` and `;`, its private character, the character that it stands for. `&apos;` is known in small letters alone.
const PRIVATE: [(&str, char, char); 4] =
    [("apos", '\u{E000}', '\''), ("amp", '\u{E001}', '&'), ("lt", '\u{E002}', '<'), ("gt", '\u{E003}', '>')];

static ENTITY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("&(apos|quot|(?i:amp|lt|gt|nbsp));").ok());

/// `text`, which holds no private characters, with its entities resolved.
pub(super) fn resolve(text: &str) -> Cow<'_, str> {
    let Some(entity) = ENTITY.as_ref().filter(|_| text.contains('&')) else { return Cow::Borrowed(text) };
    entity.replace_all(text, |found: &Captures| {
        let name = found[1].to_lowercase();
        match PRIVATE.iter().find(|(entity, ..)| *entity == name) {
            Some((_, private, _)) => *private,
            None if name == "quot" => '"',
            None => ' ',
        }
        .to_string()
    })
}

/// The character that a private one stands for; any other as it is.
pub(super) fn shown(character: char) -> char {
    PRIVATE.iter().find(|(_, private, _)| *private == character).map_or(character, |(_, _, shown)| *shown)
}
