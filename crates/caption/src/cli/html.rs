//! A page of the photos with their captions as alt texts.

use std::fmt::Write;
use std::path::Path;

use caption::video::subtitles;

use super::address::address;
use super::record::{Content, Record};

pub(crate) const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Captions</title>
<style>
  body { font: 1rem/1.4 system-ui, sans-serif; margin: 1rem; }
  main { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1.5rem; }
  figure { margin: 0; }
  img, video { max-width: 100%; height: auto; }
</style>
<main>
"#;
pub(crate) const TAIL: &str = "</main>\n</html>\n";

/// A photo, whose caption is read out once; or a video above its shots. The page lies in `folder`.
pub(crate) fn figure(record: &Record, folder: &Path) -> String {
    let source = address(&record.path, folder);
    match &record.content {
        Content::Photo(captioned, _) => {
            let (caption, seen) = (escape(&captioned.best().caption), captioned.seen);
            format!(
                "<figure>\n  <img src=\"{source}\" alt=\"{caption}\" width=\"{}\" height=\"{}\" loading=\"lazy\">\n  \
                 <figcaption aria-hidden=\"true\">{caption}</figcaption>\n</figure>\n",
                seen.width, seen.height
            )
        }
        Content::Video(shots) => {
            let mut text = format!(
                "<figure>\n  <video src=\"{source}\" controls preload=\"metadata\"></video>\n  <figcaption>\n"
            );
            for shot in shots {
                let time = subtitles::timestamp(shot.shot.start, '.');
                let caption = escape(&shot.best().caption);
                // Writing to a string cannot fail.
                let _ = writeln!(text, "    <p><time>{time}</time> {caption}</p>");
            }
            text + "  </figcaption>\n</figure>\n"
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use caption::{Caption, Captioned, Seen};

    use super::*;

    #[test]
    fn names_and_captions_cannot_break_the_page() {
        let caption = Caption {
            caption: "a \"dog\" & <b>".to_owned(),
            log_probability: -1.0,
            finished: true,
            words: vec![],
        };
        let seen = Seen { width: 4, height: 3, region: [0.0, 0.0, 3.0, 3.0], mirrored: false };
        let captioned = Captioned { captions: vec![caption], grid: [1, 1], seen };
        let record = Record { path: "50% \"#1\".jpg".into(), content: Content::Photo(captioned, vec![]) };
        let figure = figure(&record, Path::new(""));
        assert!(figure.contains("src=\"./50%25%20%22%231%22.jpg\""), "{figure}");
        assert!(figure.contains("alt=\"a &quot;dog&quot; &amp; &lt;b&gt;\""), "{figure}");
    }
}
