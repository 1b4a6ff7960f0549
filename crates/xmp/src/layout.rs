//! How new lines stand between those that are there.

/// A line of markup, with how deep it is indented.
pub(crate) type Line = (usize, String);

/// Line ending and indentation of a place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout<'t> {
    /// Empty where everything stands in one line.
    newline: &'t str,
    /// Of spaces and tabs.
    pub(crate) indent: &'t str,
}

impl<'t> Layout<'t> {
    pub(crate) const IN_A_LINE: Layout<'static> = Layout { newline: "", indent: "" };

    /// That of whatever begins at `at`, if nothing stands before it in its line.
    pub(crate) fn at(text: &'t str, at: usize) -> Layout<'t> {
        let Some((lines, indent)) = text[..at].rsplit_once('\n') else { return Layout::IN_A_LINE };
        match indent.trim_matches([' ', '\t']).is_empty() {
            true => Layout { newline: if lines.ends_with('\r') { "\r\n" } else { "\n" }, indent },
            false => Layout::IN_A_LINE,
        }
    }

    /// With another indentation.
    pub(crate) fn indented<'i>(self, indent: &'i str) -> Layout<'i>
    where
        't: 'i,
    {
        Layout { indent, ..self }
    }

    /// Whole lines of a text, or all in one, without spaces but those that they have themselves.
    pub(crate) fn lines(self, lines: &[Line]) -> String {
        let line = |(depth, line): &Line| match self.newline {
            "" => line.clone(),
            newline => format!("{}{}{line}{newline}", self.indent, " ".repeat(*depth)),
        };
        lines.iter().map(line).collect()
    }
}
