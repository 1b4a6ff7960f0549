//! Cuts a text into tokens: at each place the longest match of [`RULES`], else a single character.

use super::entities;
use super::rules::{Emit, RULES, Rule};

/// Lower-case tokens of `text`.
pub(super) fn lex(text: &str) -> Vec<String> {
    let text = readable(text);
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match plain_word(rest) {
            Some(word) => {
                tokens.push(word.to_lowercase());
                word.len()
            }
            None => match longest_match(rest) {
                Some((rule, token)) => {
                    emit(rule.emit, token, &rest[token.len()..], &mut tokens);
                    token.len()
                }
                None => {
                    tokens.extend(symbol(first));
                    first.len_utf8()
                }
            },
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

/// `text` with character entities resolved, and a blank for every character that no token may hold.
fn readable(text: &str) -> String {
    let blank = |c: char| {
        // Private characters, beyond the Basic Multilingual Plane (emoji), and variation selectors: unknown to the
        // reference tokeniser.
        c.is_whitespace()
            || c.is_control()
            || c > '\u{FFFF}'
            || ('\u{E000}'..='\u{F8FF}').contains(&c)
            || ('\u{FE00}'..='\u{FE0F}').contains(&c)
    };
    entities::resolve(&text.replace(blank, " ")).into_owned()
}

/// The next word if it is one beyond doubt: ASCII letters up to a blank. Most words of a caption are.
fn plain_word(rest: &str) -> Option<&str> {
    const COMPOUNDS: [&str; 6] = ["cannot", "gonna", "gotta", "gimme", "lemme", "wanna"];
    let word = &rest[..rest.bytes().take_while(u8::is_ascii_alphabetic).count()];
    let blank = matches!(rest.as_bytes().get(word.len()), None | Some(b' '));
    let compound = || COMPOUNDS.iter().any(|compound| compound.eq_ignore_ascii_case(word));
    (blank && !word.is_empty() && !compound()).then_some(word)
}

/// The rule with the longest match at the start of `rest`, and its token.
fn longest_match(rest: &str) -> Option<(&'static Rule, &str)> {
    let mut best: Option<(&Rule, usize)> = None;
    for rule in RULES.iter() {
        if let Some(found) = rule.pattern.find(rest)
            && best.is_none_or(|(_, longest)| found.len() > longest)
        {
            best = Some((rule, found.len()));
        }
    }
    let (rule, _) = best?;
    let captures = rule.pattern.captures(rest)?;
    let token = captures.get(1).or_else(|| captures.get(0))?;
    Some((rule, token.as_str()))
}

fn emit(emit: Emit, token: &str, rest: &str, tokens: &mut Vec<String>) {
    let text: String = token.chars().filter(|c| *c != '\u{AD}').map(entities::shown).collect();
    let text = text.to_lowercase();
    let text = match emit {
        Emit::Text | Emit::Closing => text.replace(' ', "\u{A0}").replace('(', "-lrb-").replace(')', "-rrb-"),
        Emit::Apostrophe => text.replace('’', "'"),
        Emit::Quotes => text.chars().map(quote).collect(),
        Emit::Literal(literal) => literal.to_owned(),
    };
    if !text.is_empty() {
        tokens.push(text);
    }
    if emit == Emit::Closing && sentence_ends(rest) {
        tokens.push(".".to_owned());
    }
}

/// A quotation mark as TeX writes it; the low ones stay.
fn quote(mark: char) -> String {
    let written = match mark {
        '‘' | '‛' | '‹' => "`",
        '’' | '›' => "'",
        '“' | '«' => "``",
        '”' | '»' => "''",
        _ => return mark.to_string(),
    };
    written.to_owned()
}

/// Whether a sentence may end before `rest`.
fn sentence_ends(rest: &str) -> bool {
    let next = rest.trim_start();
    next.is_empty() || (next.len() < rest.len() && next.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// The token that a character makes alone; none for a blank and for what the reference tokeniser drops.
fn symbol(character: char) -> Option<String> {
    let character = entities::shown(character);
    let name = match character {
        '(' => "-lrb-",
        ')' => "-rrb-",
        '[' => "-lsb-",
        ']' => "-rsb-",
        '{' => "-lcb-",
        '}' => "-rcb-",
        '"' => "''",
        '€' | '¤' | '\u{20A0}' => "$",
        '£' => "#",
        '¢' => "cents",
        '¼' => "1/4",
        '½' => "1/2",
        '¾' => "3/4",
        '⅓' => "1/3",
        '⅔' => "2/3",
        '\u{AD}' => "-",
        _ => return is_symbol(character).then(|| character.to_lowercase().collect()),
    };
    Some(name.to_owned())
}

/// Symbols that the reference tokeniser knows.
fn is_symbol(character: char) -> bool {
    matches!(character,
        '!'..='~'
        | '¡'..='÷'
        | '\u{37E}' | '\u{387}' | '\u{589}' | '\u{5BE}' | '\u{5C0}' | '\u{5C3}' | '\u{5F3}'..='\u{5F4}'
        | '\u{60C}' | '\u{61B}' | '\u{61E}'..='\u{61F}' | '\u{66A}' | '\u{66D}' | '\u{6D4}'
        | '\u{964}'..='\u{965}' | '\u{E3F}'
        | '\u{2016}'..='\u{2017}' | '\u{201A}' | '\u{201E}'..='\u{2023}' | '\u{2030}'..='\u{2038}'
        | '\u{203B}' | '\u{203E}'..='\u{2042}' | '\u{2044}' | '\u{2070}'..='\u{208E}' | '₤'
        | '\u{2100}'..='\u{214F}' | '\u{2155}'..='\u{215E}' | '\u{2190}'..='\u{2BFF}'
        | '\u{3001}'..='\u{3002}' | '\u{3012}' | '\u{30FB}'
        | '\u{FF01}'..='\u{FF0F}' | '\u{FF1A}'..='\u{FF20}' | '\u{FF3B}'..='\u{FF40}' | '\u{FF5B}'..='\u{FF65}'
        | '\u{FFE0}'..='\u{FFE6}')
}
