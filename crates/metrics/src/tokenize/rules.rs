//! The token classes: what may stand together as one token.
//!
//! Invariant: every pattern is anchored at its start. Where several match, the lexer takes the longest match and, of
//! equally long ones, the first rule. The token is group 1 of a pattern that has groups (what follows is context and
//! counts for the length), else the whole match. Some entities have become private characters (see `entities`).

use std::sync::LazyLock;

use regex::Regex;

use super::abbreviations::{CLOSING, CLOSING_CAPITALISED, INNER, NUMBERED};
use Emit::{Apostrophe, Closing, Literal, Quotes, Text};

/// What becomes of a matched text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Emit {
    /// The text; blanks in it become no-break spaces, parentheses their names.
    Text,
    /// The text with a typewriter apostrophe.
    Apostrophe,
    /// The text, and one more full stop where a sentence may end.
    Closing,
    /// Each quotation mark as TeX writes it.
    Quotes,
    /// Always this.
    Literal(&'static str),
}

/// One token class.
pub(super) struct Rule {
    pub(super) pattern: Regex,
    pub(super) emit: Emit,
}

/// Parts of patterns, by the name they have in [`PATTERNS`]; a part may use those after it.
const PARTS: [(&str, &str); 12] = [
    ("<elision>", "(?:[dDlLoO]<apos><letter>)"),
    ("<alnum>", r"(?:[\p{L}\p{M}\p{Nd}\u{AD}]|<accented>)"), // a soft hyphen hides in a word
    ("<letter>", r"(?:[\p{L}\p{M}\u{AD}]|<accented>)"),
    ("<accented>", "&(?i:[aeiou](?:acute|grave|uml));"),
    ("<hyphen>", r"[-\u{58A}\u{2010}\u{2011}]"),
    ("<apos>", r"['’\u{E000}]"),
    ("<clitic>", "(?:s|m|d|re|ve|ll)"),
    ("<break>", r"(?:\P{L}|$)"), // no word goes on here
    ("<inner>", INNER),
    ("<closing>", CLOSING),
    ("<closing-capitalised>", CLOSING_CAPITALISED),
    ("<numbered>", NUMBERED),
];

const PATTERNS: &[(Emit, &str)] = &[
    // Written as one word, counted as two: can|not, gon|na, 't|is, y'|all.
    (Text, "(?i:(can)not)"),
    (Text, "(?i:(gon|wan)na)"),
    (Text, "(?i:(got)ta)"),
    (Text, "(?i:(gim|lem)me)"),
    (Text, "(?i:('t)(?:is|was))"),
    (Text, "((?i:y)<apos>)<letter>+"),
    // Negation and clitics: do|n't, dog|'s.
    (Text, "(?i:(<letter>+)n(?:<apos>|`)t)"),
    (Apostrophe, "(?i:n(?:<apos>|`)t)"),
    (Text, "(?i:(<alnum>+)<apos><clitic><break>)"),
    (Apostrophe, r"(?i:(<apos><clitic>)<break>|[’\u{E000}]<clitic>)"),
    // Apostrophes that belong to a word: O'Reilly, ma'am, rock 'n' roll, '90s.
    (Text, "[A-HJ-XZdlno]<apos><letter>{2,}"),
    (Text, "<letter>+[aeiouyAEIOUY]<apos>[aeiouA-Z]<letter>*"),
    (Text, "(?i:[djl]|ol|dunkin|somethin)<apos>"),
    (Text, "(?i:<apos>(?:em|till?|cause|n<apos>?))"),
    (Text, "(?i:c'(?:est|mon)|e<apos>er|ev<apos>ry|li<apos>l|nat<apos>l|nor<apos>easter|s<apos>mores?)"),
    (Text, "<apos>[2-9]0s"),
    (Text, r"(<apos>\d\d)\s"),
    // Full stops that belong to a word: U.S., U.S.-based, foo.com, No. 5.
    (Text, r"(?i:(co\.)\s+ltd\.)"),
    (Text, r"(?i:<inner>)\."),
    (Closing, r"(?:(?i:<closing>)|<closing-capitalised>)\."),
    (Text, r"(?i:((?:<numbered>)\.)\s*\d)"),
    (Text, r"(?i:(?:[a-z]\.)+)"),
    (Text, r"([A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*\.)[,;:]"),
    (Text, r"<letter><alnum>*(?:[.!?]<letter><alnum>*)+"),
    // Compounds: t-shirt, non-U.S., img_12, 5.5-inch, and/or, AT&T, C++.
    (Text, r"<elision>?<alnum>+(?:<hyphen>(?:(?:[A-Za-z]\.){2,}|<elision>?<alnum>+)|_<alnum>+)*"),
    (Text, r"(?i:[a-z0-9][a-z0-9.,]*(?:-(?:(?:[a-z]\.){2,}|[a-z0-9]+))+)"),
    (Text, "(?i:[a-z0-9]+(?:-[a-z]+)*(?:/[a-z0-9]+(?:-[a-z]+)*){1,2})"),
    (Text, r"[A-Z]+(?:[&+\u{E001}][A-Z]+)+"),
    (Text, r"[Cc]\+\+|[CFcf]#"),
    // Numbers: 1,000.5, 3:30, 1 1/2, (555) 123-4567, US$.
    (Text, r"[-+]?(?:\d+(?:[.,:]\d+)*|(?:[.,:]\d+)+)"),
    (Text, r"\d{1,4}[- ]\d{1,4}/\d{1,4}"),
    (Text, r"(?:\(\d{2,3}\)[ -]?|(?:\d{2,4}[ -])?\d{2,4}[ -])\d{3,4}[ -]?\d{3,5}"),
    (Text, r"&(?i:#\d+|quot|apos|ht|tl|ur|lr|qc|ql|qr|odq|cdq);"),
    (Text, r"(?:[A-Z]|US|HK|NZ|AU|CA)\$"),
    // Addresses: URLs, e-mail, @name, #topic, markup.
    (Text, r#"(?i:https?://[^\s"<>|().]+(?:\.[^\s"<>|().]*[^\s"<>|().,;:!?'-])+)"#),
    (Text, r#"(?i:(?:https?://)?(?:[a-z0-9-]+\.)+(?:com|net|org|edu)/[^\s"<>|()]+[^\s"<>|(){}.,;:!?-])"#),
    (Text, r#"<?[A-Za-z0-9][^\s"<>|()]*@[^\s"<>|().]+(?:\.[^\s"<>|().]+)*>?"#),
    (Text, r"@[A-Za-z_][A-Za-z0-9_]*|#<letter>+"),
    (Text, r#"</?[A-Za-z][\w.:@-]*(?: +[A-Za-z][\w.:-]*(?: *= *(?:"[^"]*"|'[^']*'))?)* */?>|<[!?][^>]*>"#),
    // Faces: :-) >:( ^_^
    (Text, r"([<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]])(?:[^\p{L}\p{N}]|$)"),
    (Text, "[-^=<>']_[-^=<>']"),
    // Punctuation of more than one character.
    (Literal("--"), "-{2,4}|[\u{2013}-\u{2015}]|&(?i:md|mdash|ndash);"),
    (Text, r"-{5,}"),
    (Literal("..."), r"\.{3,5}|\.(?: \.){2,4}|…"),
    (Text, r"[!?]+|_+|\*{2,}|<<|>>"),
    (Text, "-(?i:[lr][rcs]b)-"),
    // Quotes: opening where a word follows.
    (Literal("``"), "``"),
    (Literal("''"), "''"),
    (Literal("``"), r#"(")[A-Za-z0-9$]"#),
    (Literal("`"), "(')[A-Za-z][^ \\s]"),
    (Quotes, r"[‘’‚‛“”„‟‹›«»`]{1,2}"),
    (Literal("'"), r"['\u{E000}]"),
];

/// All rules; of equally long matches the earlier wins.
pub(super) static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    PATTERNS
        .iter()
        .filter_map(|&(emit, pattern)| {
            let pattern = compile(pattern).ok()?;
            Some(Rule { pattern, emit })
        })
        .collect()
});

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    let expanded = PARTS.iter().fold(pattern.to_owned(), |text, (name, part)| text.replace(name, part));
    Regex::new(&format!("^(?:{expanded})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_has_at_most_one_group() {
        for &(_, pattern) in PATTERNS {
            let regex = compile(pattern).unwrap();
            assert!(regex.captures_len() <= 2, "{pattern}");
            assert!(!regex.is_match(""), "{pattern} matches nothing at all");
        }
    }
}
