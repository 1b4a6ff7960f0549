//! The command line, which is also its manual.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use model::search::SearchSettings;

/// Writes captions for photos and videos.
///
/// Photos are JPEG, PNG, WebP, GIF (its first frame), TIFF or BMP, told by their content. Videos are told by their names
/// and read by ffmpeg; each shot gets a caption. A file that cannot be captioned is reported and left out; the exit code
/// is 1 then, 2 for a wrong command line, else 0.
#[derive(Debug, Parser)]
#[command(name = "caption", version)]
pub(crate) struct Args {
    /// Photos, videos, folders, patterns such as "*.jpg", or - for one photo on stdin.
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
    /// Takes the photos and videos of all folders below, too.
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// How the captions are written.
    #[arg(short, long, value_enum, default_value_t = Format::Txt)]
    pub(crate) format: Format,
    /// Writes into a file, which appears when it is complete, in place of stdout.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The model; if none is named, the newest that was trained below data/runs.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// Folder with the weights of the backbones.
    #[arg(long, value_name = "FOLDER", default_value = "data/weights")]
    pub(crate) weights: PathBuf,
    /// Hypotheses kept at each step of the search; 1 is greedy [default: 3, or top-k when that is more].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) beam_size: Option<u16>,
    /// Captions written for each photo, best first, with their log-probabilities.
    #[arg(short = 'k', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) top_k: u16,
    /// Longest caption in words.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) max_length: u16,
    /// 0 favours short captions, 1 ranks them by the mean log-probability of a word.
    #[arg(long, value_name = "POWER", default_value_t = 1.0)]
    pub(crate) length_penalty: f64,
    /// Draws where the model looked for each word: a PNG a photo in this folder.
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) attention: Option<PathBuf>,
    /// Also writes each caption beside its photo, as photo.jpg.txt, in place of an older one; the subtitles of clip.mp4 as
    /// clip.srt or clip.vtt with those formats.
    #[arg(short, long)]
    pub(crate) sidecar: bool,
    /// Where networks run: auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Prints errors only.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// How captions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line a photo: its path, a tab, the caption; the caption alone for a single photo.
    Txt,
    /// A list with words, log-probabilities and the shots of videos.
    Json,
    /// The same, an object a line as soon as it is there.
    Jsonl,
    /// path, start, end, rank, caption, log_probability: a row a caption.
    Csv,
    /// The same columns; needs --output.
    Parquet,
    /// A page of the photos with the captions as their alt texts.
    Html,
    /// SubRip subtitles of one video.
    Srt,
    /// WebVTT subtitles of one video.
    Vtt,
}

impl Format {
    pub(crate) fn is_subtitles(self) -> bool {
        matches!(self, Format::Srt | Format::Vtt)
    }
}

impl Args {
    /// What makes no sense together.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.format == Format::Parquet && self.output.is_none() {
            return Some("--format parquet needs --output FILE".to_owned());
        }
        if self.beam_size.is_some_and(|beams| beams < self.top_k) {
            return Some("--top-k cannot be more than --beam-size".to_owned());
        }
        self.search().problem().map(|(key, reason)| format!("--{} {reason}", key.replace('_', "-")))
    }

    pub(crate) fn search(&self) -> SearchSettings {
        let default = SearchSettings::default().beam_size.max(self.top_k.into());
        SearchSettings {
            beam_size: self.beam_size.map_or(default, usize::from),
            max_length: self.max_length.into(),
            length_penalty: self.length_penalty,
            ..SearchSettings::default()
        }
    }
}
