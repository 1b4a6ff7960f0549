//! A page of the photos with their captions as alt texts.

use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use caption::video::subtitles;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use super::record::{Content, Record};

/// All that may mean something else in an address or in HTML.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'\'')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'`');

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

/// A path as an address from the page's folder; one from the root stays so.
fn address(path: &Path, folder: &Path) -> String {
    let path = if path.is_absolute() { path.to_owned() } else { relative(path, folder) };
    let encoded = percent_encode(path.as_os_str().as_encoded_bytes(), ENCODED).to_string();
    // A name like `a:b.jpg` would be taken for a protocol.
    if path.is_absolute() || path.starts_with("..") { encoded } else { format!("./{encoded}") }
}

/// A path from the working directory as one from a folder there, step by step as browsers go: links are not followed.
fn relative(path: &Path, folder: &Path) -> PathBuf {
    let (Ok(from), Ok(to)) = (std::path::absolute(Path::new(".").join(folder)), std::path::absolute(path))
    else {
        return path.to_owned();
    };
    let (from, to) = (steps(&from), steps(&to));
    let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    let up = from[common..].iter().map(|_| Component::ParentDir);
    up.chain(to[common..].iter().copied()).collect()
}

/// The steps of an absolute path without `..`.
fn steps(path: &Path) -> Vec<Component<'_>> {
    let mut steps = Vec::new();
    for step in path.components() {
        match step {
            Component::ParentDir => drop(steps.pop()),
            Component::CurDir => {}
            other => steps.push(other),
        }
    }
    steps
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

    #[test]
    fn photos_are_found_from_the_folder_of_the_page() {
        for (path, folder, wanted) in [
            ("album/a.jpg", "", "./album/a.jpg"),
            ("album/a.jpg", "site", "../album/a.jpg"),
            ("album/a.jpg", "album", "./a.jpg"),
            ("./album/a.jpg", "album/pages", "../a.jpg"),
            ("album/../a.jpg", "site", "../a.jpg"),
            ("/photos/a b.jpg", "site", "/photos/a%20b.jpg"),
            ("ü/a:b.jpg", "", "./%C3%BC/a:b.jpg"),
        ] {
            assert_eq!(address(Path::new(path), Path::new(folder)), wanted, "{path} from {folder}");
        }
    }
}
