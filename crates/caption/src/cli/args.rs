//! The command line, which is also its manual.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use model::search::SearchSettings;
use serde::Serialize;

/// Words of a caption that any model may be asked for.
const LONGEST: usize = 1000;

/// Writes captions for photos and videos.
///
/// Photos are JPEG, PNG, WebP, GIF (its first frame), TIFF or BMP, told by their content. Videos are told so too, and
/// read by ffmpeg; each shot gets a caption. A file that cannot be captioned is reported and left out; the exit code
/// is 1 then, 2 for a wrong command line, else 0.
#[derive(Debug, Parser)]
#[command(name = "caption", version)]
pub(crate) struct Args {
    /// Photos, videos, folders, patterns such as "*.jpg", or - for one photo on stdin.
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<OsString>,
    /// Takes the photos and videos of all folders below, too.
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// How the captions are written: as the ending of --output says if nothing is named, else txt.
    #[arg(short, long, value_enum)]
    format: Option<Format>,
    /// Writes into a file, which appears when it is complete, in place of stdout. Its folder is made.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The model: what export packed, or a checkpoint of train; if none is named, the newest of both below data/runs that
    /// knows photos, or models/starter.safetensors where that is newer.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// Folder with the published weights of the backbones, for checkpoints; an export holds its own, and tuned ones lie in
    /// the checkpoint's run. NAME.onnx in it is the ONNX network of that name, unless the export holds it.
    #[arg(long, value_name = "FOLDER", default_value = "data/weights")]
    pub(crate) weights: PathBuf,
    /// Captions written for each photo, best first, with their log-probabilities.
    #[arg(short = 'k', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) top_k: u16,
    /// Names the likeliest words of each photo too, with their probabilities, in JSON and CSV, and as keywords in XMP sidecars;
    /// of models whose backbone was tuned.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) keywords: Option<u16>,
    #[command(flatten)]
    pub(crate) search: Search,
    /// Draws where the model looked for each word: a PNG per photo in this folder.
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) attention: Option<PathBuf>,
    /// Also writes each caption beside its photo: as photo.jpg.txt, in place of an older one, and the subtitles of clip.mp4 as
    /// clip.srt or clip.vtt with those formats; with "--sidecar xmp" into photo.jpg.xmp, which photo libraries read. There,
    /// nothing that others wrote is lost, and photos whose captions are still right are not captioned again, if nothing
    /// else is asked for.
    #[arg(short, long, value_enum, value_name = "KIND", num_args = 0..=1, require_equals = true, default_missing_value = "txt")]
    pub(crate) sidecar: Option<Sidecar>,
    /// Replaces the captions, and keywords if they are asked for, that people wrote into XMP sidecars.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Prints errors only.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// What is written beside photos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sidecar {
    /// The caption alone.
    Txt,
    /// Description, alternative text and keywords of photo libraries.
    Xmp,
}

/// How captions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line per photo: its path, a tab, the caption; the caption alone for a single photo.
    Txt,
    /// A list with words, log-probabilities and the shots of videos.
    Json,
    /// The same, an object per line as soon as it is there.
    Jsonl,
    /// path, start, end, rank, caption, log_probability: a row per caption.
    Csv,
    /// The same columns; needs --output.
    Parquet,
    /// A page of the photos with the captions as their alt texts.
    Html,
    /// The photos as Markdown, with the captions as their alt texts.
    #[value(alias = "md")]
    Markdown,
    /// SubRip subtitles of one video.
    Srt,
    /// WebVTT subtitles of one video.
    Vtt,
}

impl Format {
    /// The format that a file's name promises.
    fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "ndjson" => Some(Format::Jsonl),
            "htm" => Some(Format::Html),
            "pq" => Some(Format::Parquet),
            extension => Format::from_str(extension, false).ok(),
        }
    }

    pub(crate) fn is_subtitles(self) -> bool {
        matches!(self, Format::Srt | Format::Vtt)
    }
}

impl Args {
    /// Reads the command line, where "--sidecar xmp" is "--sidecar=xmp", and "--sidecar album" names an input.
    pub(crate) fn read() -> Args {
        Args::parse_from(joined(std::env::args_os()))
    }

    /// How the captions are written.
    pub(crate) fn format(&self) -> Format {
        let promised = || self.output.as_deref().and_then(Format::of);
        self.format.or_else(promised).unwrap_or(Format::Txt)
    }

    /// What makes no sense together.
    pub(crate) fn problem(&self) -> Option<String> {
        if let Some(output) = self.output.as_deref().filter(|output| output.is_dir()) {
            return Some(format!("--output {}: is a folder; name a file in it", output.display()));
        }
        let looks = self.attention.as_deref();
        if let Some(looks) = looks.filter(|looks| looks.exists() && !looks.is_dir()) {
            return Some(format!("--attention {}: is a file; name a folder", looks.display()));
        }
        let format = self.format();
        if format == Format::Parquet && self.output.is_none() {
            return Some("--format parquet needs --output FILE".to_owned());
        }
        let xmp = self.sidecar == Some(Sidecar::Xmp);
        if self.keywords.is_some() && !xmp && !matches!(format, Format::Json | Format::Jsonl | Format::Csv) {
            return Some("--keywords needs --format json, jsonl or csv, or --sidecar xmp".to_owned());
        }
        if self.overwrite && !xmp {
            return Some("--overwrite needs --sidecar xmp".to_owned());
        }
        if xmp && format.is_subtitles() {
            return Some(
                "--sidecar xmp holds no subtitles: --sidecar txt writes those of videos beside them"
                    .to_owned(),
            );
        }
        if self.search.beam_size.is_some_and(|beams| beams < self.top_k) {
            return Some("--top-k cannot be more than --beam-size".to_owned());
        }
        // What is wrong by itself; what does not suit the model's own settings is seen when they are known.
        let lenient = SearchSettings { beam_size: 1, max_length: LONGEST, groups: 1, ..Default::default() };
        let alone = self.search.over(&lenient, 1);
        problem(&SearchSettings { beam_size: alone.beam_size * alone.groups, ..alone })
    }

    /// Whether sidecars are all that is wanted, so that photos which have theirs need no caption.
    pub(crate) fn wants_only_sidecars(&self) -> bool {
        let more =
            self.format.is_some() || self.output.is_some() || self.attention.is_some() || self.top_k > 1;
        !more && !self.overwrite
    }

    /// What of the command line decides a caption and its keywords, beside the model. Equal when it is.
    pub(crate) fn deciding(&self) -> serde_json::Result<String> {
        let mut named = serde_json::to_value(&self.search)?;
        if let Some(named) = named.as_object_mut() {
            named.retain(|_, value| !value.is_null());
            // More captions need a wider beam.
            named.extend((self.top_k > 1).then(|| ("top_k".to_owned(), self.top_k.into())));
            named.extend(self.keywords.map(|count| ("keywords".to_owned(), count.into())));
        }
        serde_json::to_string(&named)
    }

    /// The model's settings with those that were named in their place; the beam holds the captions that are wanted.
    pub(crate) fn search(&self, model: &SearchSettings) -> anyhow::Result<SearchSettings> {
        let settings = self.search.over(model, self.top_k.into());
        match problem(&settings) {
            None => Ok(settings),
            Some(problem) => anyhow::bail!("{problem}, where the model's own settings are {model:?}"),
        }
    }
}

/// A kind of sidecar after the option is its value; whatever else comes after it is not.
fn joined(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    let mut options = true;
    for argument in arguments {
        let kind = argument.to_str().is_some_and(|kind| Sidecar::from_str(kind, false).is_ok());
        match joined.last_mut() {
            Some(last) if options && kind && (last == "--sidecar" || last == "-s") => {
                last.push("=");
                last.push(argument);
            }
            _ => {
                options &= argument != "--";
                joined.push(argument);
            }
        }
    }
    joined
}

fn problem(settings: &SearchSettings) -> Option<String> {
    let problem = settings.problem()?;
    Some(format!("--{} {}", problem.key.replace('_', "-"), problem.reason))
}

/// Settings of the search. What is not named is as the model has it: what its recipe chose for an export, else 3 beams, at
/// most 30 words, and a length penalty of 1.
#[derive(Debug, clap::Args, Serialize)]
#[command(next_help_heading = "Search (what is not named is as the model's recipe has it)")]
pub(crate) struct Search {
    /// Hypotheses kept at each step of the search; 1 is greedy. At least --top-k.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) beam_size: Option<u16>,
    /// Fewest words of a caption.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    min_length: Option<u16>,
    /// Longest caption in words.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    max_length: Option<u16>,
    /// 0 favours short captions, 1 ranks them by the mean log-probability of a word.
    #[arg(long, value_name = "POWER")]
    length_penalty: Option<f64>,
    /// No caption writes the same N words in a row twice; 0 allows it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1000))]
    no_repeat_ngram: Option<u16>,
    /// Divides the beam into this many groups that avoid each other's words.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    groups: Option<u16>,
    /// How strongly they do.
    #[arg(long, value_name = "STRENGTH")]
    diversity: Option<f64>,
    /// Above 0, the caption that agrees most with the others of the beam comes first, each counting by its probability to
    /// this power.
    #[arg(long, value_name = "POWER")]
    consensus: Option<f64>,
}

impl Search {
    fn over(&self, model: &SearchSettings, top_k: usize) -> SearchSettings {
        let count = |named: Option<u16>, model: usize| named.map_or(model, usize::from);
        let groups = count(self.groups, model.groups);
        let beams = model.beam_size.max(top_k).next_multiple_of(groups.max(1));
        SearchSettings {
            beam_size: count(self.beam_size, beams),
            min_length: count(self.min_length, model.min_length),
            max_length: count(self.max_length, model.max_length),
            length_penalty: self.length_penalty.unwrap_or(model.length_penalty),
            no_repeat_ngram: count(self.no_repeat_ngram, model.no_repeat_ngram),
            groups,
            diversity: self.diversity.unwrap_or(model.diversity),
            consensus: self.consensus.unwrap_or(model.consensus),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        let line = ["caption", "photo.jpg"].into_iter().chain(line.split_whitespace());
        Args::try_parse_from(joined(line.map(OsString::from))).unwrap()
    }

    #[test]
    fn only_what_is_named_differs_from_the_model() {
        let model = SearchSettings { beam_size: 7, max_length: 20, no_repeat_ngram: 2, ..Default::default() };
        let search = |line: &str| args(line).search(&model).unwrap();
        assert_eq!(search(""), model);
        assert_eq!(search("--top-k 5"), model);
        assert_eq!(search("--top-k 9").beam_size, 9);
        assert_eq!(search("--groups 2").beam_size, 8);
        let named = "--beam-size 2 --min-length 4 --max-length 9 --length-penalty 0 --no-repeat-ngram 0 --groups 2 --diversity 1 --consensus 0.5";
        let wanted = SearchSettings {
            beam_size: 2,
            min_length: 4,
            max_length: 9,
            length_penalty: 0.0,
            no_repeat_ngram: 0,
            groups: 2,
            diversity: 1.0,
            consensus: 0.5,
        };
        assert_eq!(search(named), wanted);
    }

    #[test]
    fn the_ending_of_the_output_decides_where_no_format_is_named() {
        let format = |line: &str| args(line).format();
        for (name, wanted) in [
            ("captions.json", Format::Json),
            ("captions.JSONL", Format::Jsonl),
            ("captions.ndjson", Format::Jsonl),
            ("captions.csv", Format::Csv),
            ("captions.parquet", Format::Parquet),
            ("page.htm", Format::Html),
            ("album.md", Format::Markdown),
            ("clip.srt", Format::Srt),
            ("clip.vtt", Format::Vtt),
            ("captions.txt", Format::Txt),
            ("captions.log", Format::Txt),
            ("captions", Format::Txt),
        ] {
            assert_eq!(format(&format!("--output {name}")), wanted, "{name}");
        }
        assert_eq!(format("--output captions.json --format csv"), Format::Csv);
        assert_eq!(format(""), Format::Txt);
    }

    #[test]
    fn a_kind_of_sidecar_is_a_value_and_anything_else_is_an_input() {
        let read = |line: &str| {
            let args = args(line);
            let inputs: Vec<_> = args.inputs.iter().map(|input| input.to_str().unwrap().to_owned()).collect();
            (args.sidecar, inputs[1..].join(" "))
        };
        for (line, sidecar, inputs) in [
            ("", None, ""),
            ("--sidecar", Some(Sidecar::Txt), ""),
            ("--sidecar album", Some(Sidecar::Txt), "album"),
            ("-s album", Some(Sidecar::Txt), "album"),
            ("-rs album", Some(Sidecar::Txt), "album"),
            ("--sidecar xmp album", Some(Sidecar::Xmp), "album"),
            ("--sidecar=xmp album", Some(Sidecar::Xmp), "album"),
            ("-s txt album", Some(Sidecar::Txt), "album"),
            ("-s=xmp", Some(Sidecar::Xmp), ""),
            ("--sidecar ./xmp", Some(Sidecar::Txt), "./xmp"),
            ("--sidecar -- xmp", Some(Sidecar::Txt), "xmp"),
            ("-- --sidecar xmp", None, "--sidecar xmp"),
        ] {
            assert_eq!(read(line), (sidecar, inputs.to_owned()), "{line}");
        }
    }

    #[test]
    fn what_decides_a_caption_is_equal_when_it_is_and_tells_what_else_is_wanted() {
        let deciding = |line: &str| args(line).deciding().unwrap();
        assert_eq!(deciding("--sidecar xmp --quiet --recursive --overwrite"), "{}");
        assert_eq!(
            deciding("--keywords 5 --beam-size 4 --sidecar xmp"),
            deciding("--sidecar xmp --beam-size=4 --keywords 5")
        );
        assert_ne!(deciding("--beam-size 4"), deciding("--groups 4"));
        assert_ne!(deciding("--top-k 4"), deciding(""));
        let only = |line: &str| args(line).wants_only_sidecars();
        assert!(only("--sidecar xmp --keywords 5 --beam-size 4"));
        for more in ["--output a.csv", "--format txt", "--attention looks", "--top-k 2", "--overwrite"] {
            assert!(!only(&format!("--sidecar xmp {more}")), "{more}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_said_as_early_as_it_can_be() {
        let problem = |line: &str| args(line).problem();
        assert!(problem("--length-penalty=-1").unwrap().contains("--length-penalty must be at least 0"));
        assert!(problem("--top-k 5 --beam-size 3").unwrap().contains("--top-k"));
        assert!(problem("--min-length 9 --max-length 5").unwrap().contains("--min-length must not be above"));
        assert!(problem("--keywords 5").unwrap().contains("--format json"));
        assert_eq!(problem("--keywords 5 --format csv"), None);
        assert_eq!(problem("--keywords 5 --sidecar xmp"), None);
        assert!(problem("--keywords 5 --sidecar txt").unwrap().contains("--sidecar xmp"));
        assert!(problem("--overwrite --sidecar").unwrap().contains("--sidecar xmp"));
        assert!(problem("--format srt --sidecar xmp").unwrap().contains("no subtitles"));
        assert_eq!(problem("--min-length 25"), None);
        assert_eq!(problem("--groups 4"), None);
        let model = SearchSettings { max_length: 20, ..Default::default() };
        let error = args("--min-length 25").search(&model).unwrap_err().to_string();
        assert!(error.contains("--min-length must not be above max_length"), "{error}");
    }
}
