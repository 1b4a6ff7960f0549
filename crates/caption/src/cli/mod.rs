//! The program around the library: what to read, in which order, and where captions go.

mod address;
mod args;
mod attention;
mod folder;
mod html;
mod input;
mod inputs;
mod json;
mod markdown;
mod output;
mod record;
mod sidecar;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use artifacts::Recipe;
use artifacts::recipe::{digest, digest_file};
use caption::video::{CaptionedVideo, caption_video};
use caption::{CaptionError, Captioned, Captioner, DefaultModel, Keyword, Options, Photo, SearchSettings};
use image::codecs::png::PngEncoder;
use rayon::prelude::*;
use stage::cli::{fail, message};
use stage::progress::{Progress, note};

use args::{Args, Format, Sidecar};
use input::Input;
use inputs::Inputs;
use output::Output;
use record::{Content, Record, in_a_line};
use sidecar::{Library, beside, library_file, subtitle_file};

/// Photos that are decoded, and then captioned, together.
const PHOTOS_AT_ONCE: usize = 64;

/// Runs the program: 0 done, 1 something could not be captioned, 2 wrong usage.
pub(crate) fn main() -> ExitCode {
    let args = Args::read();
    if let Some(problem) = args.problem() {
        note(&format!("error: {problem}"));
        return ExitCode::from(2);
    }
    match run(&args) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        // Whoever reads has seen enough: `caption album | head`.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Captions everything; returns how many inputs could not be.
fn run(args: &Args) -> anyhow::Result<usize> {
    let mut inputs = Inputs::find(&args.inputs, args.recursive);
    let videos = inputs.found.iter().filter(|input| matches!(input, Input::Video(_))).count();
    anyhow::ensure!(
        videos <= 1 || args.sidecar.is_some() || !args.format().is_subtitles(),
        "one output holds the subtitles of one video: name one, or write them beside the videos with --sidecar"
    );
    if inputs.left_out.count() > 0 && !args.quiet {
        let (count, kinds) = (inputs.left_out.count(), &inputs.left_out);
        let are =
            if count == 1 { "file that is no photo or video" } else { "files that are no photos or videos" };
        note(&format!("left out {count} {are}: {kinds}"));
    }
    let model = match &args.model {
        Some(model) => model.clone(),
        None => {
            let DefaultModel { path, why } = caption::default_model(Path::new(""))?;
            if !args.quiet {
                note(&format!("model: {} ({why})", path.display()));
            }
            path
        }
    };
    let single = args.inputs.len() == 1 && inputs.found.len() == 1 && !Path::new(&args.inputs[0]).is_dir();
    let all = inputs.found.len() + inputs.missing.len();
    // Whoever opens the model says better why it cannot be read.
    let hash = digest_file(&model);
    let library = match (args.sidecar, &hash) {
        (Some(Sidecar::Xmp), Ok(hash)) => Some(Library {
            model: hash.clone(),
            settings: args.deciding()?,
            keywords: args.keywords.is_some(),
            overwrite: args.overwrite,
        }),
        _ => None,
    };
    if let Some(library) = library.as_ref().filter(|_| args.wants_only_sidecars()) {
        let kept = keep(&mut inputs.found, library);
        if !(kept.is_empty() || args.quiet) {
            let videos = kept.iter().any(|input| matches!(input, Input::Video(_)));
            let (count, kind) = (kept.len(), if videos { "file" } else { "photo" });
            let have = if count == 1 { " has its caption" } else { "s have their captions" };
            note(&format!("{count} {kind}{have} already"));
        }
        if inputs.found.is_empty() && !kept.is_empty() {
            inputs.missing.iter().for_each(|(path, reason)| remark(path, reason));
            return Ok(summed_up(inputs.missing.len(), all));
        }
    }
    let captioner = Captioner::open(&model, &Options { weights: args.weights.clone() })?;
    let search = args.search(captioner.search_settings())?;
    if args.keywords.is_some() && !captioner.names_keywords() {
        return Err(CaptionError::NoKeywords).with_context(|| format!("--keywords: {}", model.display()));
    }
    let settings = serde_json::json!({ "search": search, "top_k": args.top_k });
    let recipe = Recipe::new("caption", 1, &settings)?.input(model.display().to_string(), hash?);
    let output = Output::new(
        args.format(),
        args.output.as_deref(),
        (args.top_k.into(), args.keywords.is_some()),
        single,
        recipe,
    )?;
    let progress = Progress::new("captions", "files", inputs.found.len(), args.quiet);
    let drawn = HashSet::new();
    let mut job = Job { args, library, captioner, search, output, progress, drawn, failures: 0 };
    for (path, reason) in &inputs.missing {
        job.fail(path, reason);
    }
    let both_photos = |a: &Input, b: &Input| !matches!(a, Input::Video(_)) && !matches!(b, Input::Video(_));
    for group in inputs.found.chunk_by(both_photos) {
        match group {
            [Input::Video(path)] => job.video(path)?,
            photos => photos.chunks(PHOTOS_AT_ONCE).try_for_each(|photos| job.photos(photos))?,
        }
    }
    let Job { output, progress, failures, .. } = job;
    drop(progress);
    output.finish()?;
    Ok(summed_up(failures, all))
}

/// Takes out the inputs whose sidecars hold their captions.
fn keep(found: &mut Vec<Input>, library: &Library) -> Vec<Input> {
    let all = std::mem::take(found);
    let (kept, due) = all.into_par_iter().partition(|input| library.has(input));
    *found = due;
    kept
}

fn summed_up(failures: usize, all: usize) -> usize {
    if failures > 0 {
        note(&format!("{failures} of {all} could not be captioned"));
    }
    failures
}

/// What a run has at hand.
struct Job<'a> {
    args: &'a Args,
    /// Where captions go into the sidecars of photo libraries.
    library: Option<Library>,
    captioner: Captioner,
    search: SearchSettings,
    output: Output,
    progress: Progress,
    /// Names of the attention pictures so far.
    drawn: HashSet<String>,
    failures: usize,
}

impl Job<'_> {
    fn fail(&mut self, path: &Path, reason: &str) {
        remark(path, reason);
        self.failures += 1;
    }

    fn photos(&mut self, inputs: &[Input]) -> anyhow::Result<()> {
        if self.args.format().is_subtitles() {
            for input in inputs {
                self.fail(input.path(), "is a photo, which has no subtitles: use another --format");
            }
            self.progress.add(inputs.len());
            return Ok(());
        }
        let read = |input: &Input| -> anyhow::Result<(Photo, File)> {
            let bytes = input.read()?;
            let photo = self.captioner.photo(&bytes)?;
            let hash = self.library.as_ref().map(|_| digest(&bytes));
            // To be drawn on later.
            Ok((photo, File { hash, bytes: self.args.attention.is_some().then_some(bytes) }))
        };
        let read: Vec<_> = inputs.par_iter().map(read).collect();
        let (mut names, mut photos, mut files) = (Vec::new(), Vec::new(), Vec::new());
        for (input, read) in inputs.iter().zip(read) {
            match read {
                Ok((photo, file)) => {
                    names.push(input);
                    photos.push(photo);
                    files.push(file);
                }
                Err(error) => self.fail(input.path(), &message(&error)),
            }
        }
        let features = self.captioner.features(&photos)?;
        let captioned = self.captioner.search(&features, &self.search)?;
        let keywords = match self.args.keywords {
            Some(count) => self.captioner.keywords(&features, count.into())?,
            None => vec![vec![]; photos.len()],
        };
        let captioned = captioned.into_iter().zip(keywords);
        for ((input, (captioned, keywords)), file) in names.into_iter().zip(captioned).zip(files) {
            let caption = &captioned.best().caption;
            match (input, self.args.sidecar, file.hash) {
                (Input::Photo(path), Some(Sidecar::Txt), _) => {
                    self.sidecar(&beside(path, ".txt"), format!("{caption}\n").as_bytes());
                }
                (Input::Photo(path), Some(Sidecar::Xmp), Some(hash)) => {
                    self.describe(path, hash, caption, &keywords);
                }
                _ => {}
            }
            if let (Some(folder), Some(bytes)) = (&self.args.attention, file.bytes) {
                self.draw(folder, input, &bytes, &captioned)?;
            }
            let content = Content::Photo(captioned, keywords);
            self.write(&Record { path: input.path().to_owned(), content })?;
        }
        self.progress.add(inputs.len());
        Ok(self.output.flush()?)
    }

    fn video(&mut self, path: &Path) -> anyhow::Result<()> {
        // Of what it was before it was read.
        let hash = match self.library {
            Some(_) => digest_file(path).ok(),
            None => None,
        };
        let progress = &self.progress;
        let shots = |done: usize, all: usize| progress.message(format!("{done} of {all} shots"));
        let CaptionedVideo { shots, complaint } =
            match caption_video(&self.captioner, path, &self.search, shots) {
                Ok(video) => video,
                Err(error) => {
                    self.progress.add(1);
                    self.fail(path, &error.to_string());
                    return Ok(());
                }
            };
        if let Some(complaint) = complaint {
            remark(path, &format!("captioned, but ffmpeg complained: {complaint}"));
        }
        let record = Record { path: path.to_owned(), content: Content::Video(shots) };
        let format = self.args.format();
        match (self.args.sidecar, &record.content, hash) {
            (Some(Sidecar::Txt), ..) => {
                let (file, text) = match format {
                    Format::Srt => (subtitle_file(path, "srt"), record.srt().into_bytes()),
                    Format::Vtt => (subtitle_file(path, "vtt"), record.vtt().into_bytes()),
                    _ => (beside(path, ".txt"), record.txt(false, 1)),
                };
                self.sidecar(&file, &text);
            }
            (Some(Sidecar::Xmp), Content::Video(shots), Some(hash)) => {
                self.describe(path, hash, &sidecar::description(shots), &[]);
            }
            _ => {}
        }
        if !(self.args.sidecar.is_some() && format.is_subtitles()) {
            self.write(&record)?;
        }
        self.progress.add(1);
        Ok(self.output.flush()?)
    }

    /// Draws the attention of the best caption into the folder for it.
    fn draw(
        &mut self,
        folder: &Path,
        input: &Input,
        bytes: &[u8],
        captioned: &Captioned,
    ) -> anyhow::Result<()> {
        let name = match input {
            Input::Stdin => "stdin".into(),
            _ => input.path().file_name().unwrap_or_default().to_string_lossy(),
        };
        // Photos of one name come from several folders.
        let names =
            (1..).map(|number| if number == 1 { name.to_string() } else { format!("{name}-{number}") });
        let Some(name) = names.into_iter().find(|name| !self.drawn.contains(name)) else { return Ok(()) };
        let file = folder.join(format!("{name}.png"));
        self.drawn.insert(name);
        let strip = attention::draw(&caption::decode(bytes)?, self.captioner.transform(), captioned)?;
        artifacts::atomic::write(&file, |out| {
            strip.write_with_encoder(PngEncoder::new(out)).map_err(std::io::Error::other)
        })
        .with_context(|| file.display().to_string())
    }

    fn write(&mut self, record: &Record) -> anyhow::Result<()> {
        if record.path.to_str().is_none() && matches!(self.args.format(), Format::Csv | Format::Parquet) {
            remark(
                &record.path,
                "its name is no Unicode, so the table holds what can be read of it; JSON holds its bytes",
            );
        }
        self.output.write(record)
    }

    fn sidecar(&mut self, path: &Path, text: &[u8]) {
        let written = artifacts::atomic::write(path, |file| std::io::Write::write_all(file, text));
        if let Err(error) = written {
            self.fail(path, &format!("cannot be written: {error}"));
        }
    }

    /// Puts a caption into the sidecar that photo libraries read.
    fn describe(&mut self, path: &Path, hash: String, caption: &str, keywords: &[Keyword]) {
        let Some(library) = &self.library else { return };
        let file = library_file(path);
        if let Err(error) = library.write(&file, hash, caption, keywords) {
            self.fail(&file, &format!("{}; it is left as it is", message(&error)));
        }
    }
}

/// What is kept of a photo's bytes once it is decoded.
struct File {
    /// For its sidecar.
    hash: Option<String>,
    bytes: Option<Vec<u8>>,
}

/// Says something about a file.
fn remark(path: &Path, text: &str) {
    note(&format!("{}: {text}", String::from_utf8_lossy(&in_a_line(path))));
}
