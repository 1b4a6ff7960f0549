//! Markdown (CommonMark) of the photos with their captions as alt texts.

use std::fmt::Write;
use std::path::Path;

use caption::video::subtitles;

use super::address::address;
use super::record::{Content, Record};

/// A photo with its caption, or a video above a list of its shots. The page lies in `folder`.
pub(crate) fn paragraph(record: &Record, folder: &Path) -> String {
    let source = address(&record.path, folder);
    match &record.content {
        Content::Photo(captioned, _) => format!("![{}]({source})\n", escape(&captioned.best().caption)),
        Content::Video(shots) => {
            let mut text = format!("[{}]({source})\n\n", escape(&record.path.to_string_lossy()));
            for shot in shots {
                let time = subtitles::timestamp(shot.shot.start, '.');
                // Writing to a string cannot fail.
                let _ = writeln!(text, "- {time} {}", escape(&shot.best().caption));
            }
            text
        }
    }
}

/// A text that means itself: any mark may have a backslash before it, and a line end would be a paragraph's.
fn escape(text: &str) -> String {
    let written = |c: char| match c {
        '\n' | '\r' => " ".to_owned(),
        c if "\\`*_[]<>&!#~|$^".contains(c) => format!("\\{c}"),
        c => c.to_string(),
    };
    text.chars().map(written).collect()
}

#[cfg(test)]
mod tests {
    use caption::{Caption, Captioned, Seen};
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Parser, Tag};

    use super::*;

    fn photo(path: &str, caption: &str) -> Record {
        let caption =
            Caption { caption: caption.to_owned(), log_probability: -1.0, finished: true, words: vec![] };
        let seen = Seen { width: 4, height: 3, region: [0.0, 0.0, 3.0, 3.0], mirrored: false };
        let captioned = Captioned { captions: vec![caption], grid: [1, 1], seen };
        Record { path: path.into(), content: Content::Photo(captioned, vec![]) }
    }

    #[test]
    fn a_photo_is_a_line() {
        let line = paragraph(&photo("my album/a (1).jpg", "a [red] dog"), Path::new(""));
        assert_eq!(line, "![a \\[red\\] dog](./my%20album/a%20%281%29.jpg)\n");
    }

    proptest! {
        #[test]
        fn any_name_and_caption_read_as_they_are(name in "[^/\0.]{1,20}", caption in "[ -~é🐕\n]{0,30}") {
            let text = paragraph(&photo(&name, &caption), Path::new(""));
            let events: Vec<Event> = Parser::new(&text).collect();
            let images = events.iter().filter_map(|event| match event {
                Event::Start(Tag::Image { dest_url, .. }) => Some(dest_url.to_string()),
                _ => None,
            });
            let address = images.collect::<Vec<_>>();
            prop_assert_eq!(address.len(), 1, "{}", text);
            let path = percent_decode_str(&address[0]).decode_utf8().unwrap().into_owned();
            prop_assert_eq!(path, format!("./{name}"));
            let said = events.iter().filter_map(|event| match event {
                Event::Text(text) => Some(text.to_string()),
                _ => None,
            });
            prop_assert_eq!(said.collect::<String>(), caption.replace('\n', " "));
        }
    }
}
