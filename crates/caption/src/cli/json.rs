//! Captions as JSON.

use caption::video::{CaptionedShot, ShotCaption};
use caption::{Caption, Captioned, Keyword};
use serde::Serialize;

#[derive(Serialize)]
struct Photo<'a> {
    path: &'a str,
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
    path: &'a str,
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
    path: &str,
    captioned: &Captioned,
    keywords: &[Keyword],
    top_k: usize,
) -> serde_json::Result<String> {
    serde_json::to_string(&Photo {
        path,
        width: captioned.seen.width,
        height: captioned.seen.height,
        caption: &captioned.best().caption,
        captions: captioned.captions.iter().take(top_k).map(sentence).collect(),
        keywords,
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
pub(crate) fn video(path: &str, shots: &[CaptionedShot], top_k: usize) -> serde_json::Result<String> {
    let shots = shots.iter().map(|shot| Shot {
        start: shot.shot.start,
        end: shot.shot.end,
        caption: &shot.best().caption,
        captions: &shot.captions[..top_k.min(shot.captions.len())],
    });
    serde_json::to_string(&Video { path, shots: shots.collect() })
}
