//! Edits of a text at several places, by the positions of the text as it was.

use std::ops::Range;

#[derive(Debug, Default)]
pub(crate) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    /// Puts `text` into the place of a range, which none of the others overlaps.
    pub(crate) fn replace(&mut self, range: Range<usize>, text: String) {
        self.0.push((range, text));
    }

    /// The text with all edits.
    pub(crate) fn apply(mut self, old: &str) -> String {
        self.0.sort_by_key(|(range, _)| (range.start, range.end));
        let (mut new, mut done) = (String::with_capacity(old.len()), 0);
        for (range, text) in self.0 {
            new.push_str(&old[done..range.start]);
            new.push_str(&text);
            done = range.end;
        }
        new + &old[done..]
    }
}
