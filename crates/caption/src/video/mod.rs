//! A video as a row of shots, a caption each.
//!
//! A caption should stand still while its shot does, so some frames of a shot vote: each proposes its own captions, and
//! the one that is most probable on average over all frames wins. Neighbouring shots with the same caption become one.

mod clock;
mod ffmpeg;
mod shots;
pub mod subtitles;

use std::path::Path;

use model::search::SearchSettings;
use serde::Serialize;

use crate::captioner::Captioner;
use crate::error::CaptionError;
use crate::photo::Photo;

use clock::Clock;
pub use shots::Shot;
use shots::Shots;

/// Most frames of a shot that vote on its caption.
const VOTERS: usize = 5;
/// Frames of a short shot lie no closer than this, in seconds.
const VOTERS_APART: f64 = 0.4;

/// A shot with its captions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaptionedShot {
    /// From when to when.
    #[serde(flatten)]
    pub shot: Shot,
    /// At least one and at most `beam_size` captions, best first.
    pub captions: Vec<ShotCaption>,
}

/// A caption of a shot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShotCaption {
    /// The words with a space between them.
    pub caption: String,
    /// Mean over the voting frames of the caption's natural log-probability.
    pub log_probability: f64,
}

impl CaptionedShot {
    /// The first of `captions`, the most probable by the search.
    pub fn best(&self) -> &ShotCaption {
        &self.captions[0]
    }
}

/// Why a video has no captions.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// There is no program `ffmpeg` on the path.
    #[error(
        "videos are read by ffmpeg, which is not installed: get it from your system's packages (apt install ffmpeg, brew install ffmpeg)"
    )]
    NoFfmpeg,
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file is no video, or ffmpeg cannot read it.
    #[error("ffmpeg cannot read it as a video: {0}")]
    Unreadable(String),
    /// ffmpeg's output broke off.
    #[error("reading from ffmpeg failed: {0}")]
    Io(#[from] std::io::Error),
    /// The captioner failed.
    #[error(transparent)]
    Caption(Box<CaptionError>),
}

impl From<CaptionError> for VideoError {
    fn from(error: CaptionError) -> VideoError {
        VideoError::Caption(Box::new(error))
    }
}

/// The captions of a video file.
#[derive(Clone, Debug)]
pub struct CaptionedVideo {
    /// Its shots in order, without gaps.
    pub shots: Vec<CaptionedShot>,
    /// What ffmpeg complained of while it read the file, when it could go on.
    pub complaint: Option<String>,
}

/// Captions every shot of a video; `progress` hears how many shots of how many are done.
///
/// # Errors
///
/// There is no ffmpeg, it cannot read the file as a video, or the captioner fails.
pub fn caption_video(
    captioner: &Captioner,
    path: &Path,
    settings: &SearchSettings,
    mut progress: impl FnMut(usize, usize),
) -> Result<CaptionedVideo, VideoError> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        return Err(VideoError::Empty);
    }
    let Shots { shots, clock, complaint } = shots::find(path)?;
    let mut captioned: Vec<CaptionedShot> = Vec::new();
    for (number, &shot) in shots.iter().enumerate() {
        progress(number, shots.len());
        let next = CaptionedShot { shot, captions: caption_shot(captioner, (path, &clock), shot, settings)? };
        match captioned.last_mut() {
            Some(last) if last.best().caption == next.best().caption => last.extend(next),
            _ => captioned.push(next),
        }
    }
    progress(shots.len(), shots.len());
    Ok(CaptionedVideo { shots: captioned, complaint })
}

impl CaptionedShot {
    /// Goes on with a shot that has the same best caption; the longer one's numbers stand for both.
    fn extend(&mut self, next: CaptionedShot) {
        let end = next.shot.end;
        if next.shot.seconds() > self.shot.seconds() {
            self.captions = next.captions;
        }
        self.shot.end = end;
    }
}

fn caption_shot(
    captioner: &Captioner,
    (path, clock): (&Path, &Clock),
    shot: Shot,
    settings: &SearchSettings,
) -> Result<Vec<ShotCaption>, VideoError> {
    let voters = ((shot.seconds() / VOTERS_APART) as usize).clamp(1, VOTERS);
    let frames = ffmpeg::frames(path, clock, (shot.start, shot.seconds()), voters)?;
    let photos: Vec<Photo> = frames.iter().map(|frame| captioner.photo_of(frame)).collect();
    let features = captioner.features(&photos)?;
    let mut proposals: Vec<Vec<String>> = Vec::new();
    for captioned in captioner.search(&features, settings)? {
        for caption in captioned.captions {
            let words = caption.words.into_iter().map(|word| word.text).collect();
            if !proposals.contains(&words) {
                proposals.push(words);
            }
        }
    }
    let votes = captioner.log_likelihoods(&features, &proposals)?;
    let mean = |caption: usize| votes.iter().map(|frame| frame[caption]).sum::<f64>() / votes.len() as f64;
    // As the search ranks its beams: by log-probability for the length.
    let score = |words: &[String], log_probability: f64| {
        log_probability / (words.len() as f64 + 1.0).powf(settings.length_penalty)
    };
    let mut ranked: Vec<(f64, ShotCaption)> = proposals
        .iter()
        .enumerate()
        .map(|(number, words)| {
            let log_probability = mean(number);
            (score(words, log_probability), ShotCaption { caption: words.join(" "), log_probability })
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.truncate(settings.beam_size);
    Ok(ranked.into_iter().map(|(_, caption)| caption).collect())
}

/// Whether a file name is that of a video. Content decides first; this is for films of formats that have no signature, and for what
/// is damaged at its beginning.
pub fn is_video(path: &Path) -> bool {
    const EXTENSIONS: [&str; 27] = [
        "3g2", "3gp", "asf", "avi", "divx", "dv", "f4v", "flv", "h264", "h265", "hevc", "m1v", "m2ts", "m2v",
        "m4v", "mjpeg", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ogv", "vob", "webm", "wmv",
    ];
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}
