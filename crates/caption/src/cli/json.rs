//! Captions as JSON.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use caption::video::{CaptionedShot, ShotCaption};
use caption::{Caption, Captioned, Keyword};
use serde::Serialize;

/// Where a file is. JSON is Unicode, which a name need not be: then its bytes stand beside what can be read of it.
#[derive(Serialize)]
struct Place<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_base64: Option<String>,
}

impl Place<'_> {
    fn write<T>(path: &Path, write: impl FnOnce(Place) -> T) -> T {
        let path_base64 =
            path.to_str().is_none().then(|| STANDARD.encode(path.as_os_str().as_encoded_bytes()));
        write(Place { path: &path.to_string_lossy(), path_base64 })
    }
}

#[derive(Serialize)]
struct Photo<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    width: u32,
    height: u32,
    caption: &'a str,
    captions: Vec<Sentence<'a>>,
    #[serde(skip_serializing_if = "<[Keyword]>::is_empty")]
    keywords: &'a [Keyword],
}

#[derive(Serialize)]
struct Sentence<'a> {
    caption: &'a str,
    log_probability: f64,
    finished: bool,
    words: Vec<Word<'a>>,
}

#[derive(Serialize)]
struct Word<'a> {
    text: &'a str,
    log_probability: f64,
}

#[derive(Serialize)]
struct Video<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    shots: Vec<Shot<'a>>,
}

#[derive(Serialize)]
struct Shot<'a> {
    start: f64,
    end: f64,
    caption: &'a str,
    captions: &'a [ShotCaption],
}

/// A photo's best captions with their words.
pub(crate) fn photo(
    path: &Path,
    captioned: &Captioned,
    keywords: &[Keyword],
    top_k: usize,
) -> serde_json::Result<String> {
    Place::write(path, |place| {
        serde_json::to_string(&Photo {
            place,
            width: captioned.seen.width,
            height: captioned.seen.height,
            caption: &captioned.best().caption,
            captions: captioned.captions.iter().take(top_k).map(sentence).collect(),
            keywords,
        })
    })
}

fn sentence(caption: &Caption) -> Sentence<'_> {
    let words = caption.words.iter();
    let words = words.map(|word| Word { text: &word.text, log_probability: word.log_probability });
    Sentence {
        caption: &caption.caption,
        log_probability: caption.log_probability,
        finished: caption.finished,
        words: words.collect(),
    }
}

/// A video's shots with their best captions.
pub(crate) fn video(path: &Path, shots: &[CaptionedShot], top_k: usize) -> serde_json::Result<String> {
    let shots = shots.iter().map(|shot| Shot {
        start: shot.shot.start,
        end: shot.shot.end,
        caption: &shot.best().caption,
        captions: &shot.captions[..top_k.min(shot.captions.len())],
    });
    Place::write(path, |place| serde_json::to_string(&Video { place, shots: shots.collect() }))
}
