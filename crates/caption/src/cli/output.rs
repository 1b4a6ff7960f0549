//! Captions as text, JSON, CSV, Parquet, a page or subtitles.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use artifacts::captioned::CaptionedRow;
use artifacts::{Recipe, table};
use caption::Captioned;
use caption::video::{CaptionedShot, subtitles};
use tempfile::NamedTempFile;

use super::args::Format;
use super::{html, json};

/// One captioned input.
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) content: Content,
}

/// What was captioned.
pub(crate) enum Content {
    Photo(Captioned),
    Video(Vec<CaptionedShot>),
}

/// Where captions go. On stdout each appears as soon as it is there; a file gets its name when it is complete.
pub(crate) struct Output {
    format: Format,
    top_k: usize,
    /// One input alone needs no name beside its caption.
    single: bool,
    target: Target,
    written: usize,
}

enum Target {
    Stdout(BufWriter<io::Stdout>),
    File(NamedTempFile, PathBuf),
    Table { rows: Vec<CaptionedRow>, path: PathBuf, recipe: Recipe },
}

impl Output {
    pub(crate) fn new(
        format: Format,
        path: Option<&Path>,
        top_k: usize,
        single: bool,
        recipe: Recipe,
    ) -> anyhow::Result<Output> {
        let target = match path.map(Path::to_owned) {
            None => Target::Stdout(BufWriter::new(io::stdout())),
            Some(path) if format == Format::Parquet => Target::Table { rows: vec![], path, recipe },
            Some(path) => Target::File(artifacts::atomic::beside(&path)?, path),
        };
        Ok(Output { format, top_k, single, target, written: 0 })
    }

    /// Adds a record, after the ones before it.
    pub(crate) fn write(&mut self, record: &Record) -> anyhow::Result<()> {
        if let Target::Table { rows, .. } = &mut self.target {
            rows.extend(record.rows(self.top_k));
            return Ok(());
        }
        let name = (!self.single).then_some(record.name.as_str());
        let text = match self.format {
            Format::Txt => record.txt(name, self.top_k),
            Format::Json => format!("{}{}", self.before(), record.json(self.top_k)?),
            Format::Jsonl => format!("{}\n", record.json(self.top_k)?),
            Format::Csv | Format::Parquet => record.csv(self.top_k, self.written == 0)?,
            Format::Html => format!("{}{}", self.before(), html::figure(record)),
            Format::Srt => record.srt(),
            Format::Vtt => record.vtt(),
        };
        self.written += 1;
        Ok(self.put(&text)?)
    }

    /// What stands before a record, or before the end.
    fn before(&self) -> &'static str {
        match (self.format, self.written) {
            (Format::Json, 0) => "[\n",
            (Format::Json, _) => ",\n",
            (Format::Html, 0) => html::HEAD,
            _ => "",
        }
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        match &mut self.target {
            Target::Stdout(out) => out.write_all(text.as_bytes()),
            Target::File(file, _) => file.write_all(text.as_bytes()),
            Target::Table { .. } => Ok(()),
        }
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Stdout(out) => out.flush(),
            Target::File(..) | Target::Table { .. } => Ok(()),
        }
    }

    /// Closes brackets and gives files their names.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        match (self.format, self.written) {
            (Format::Json, 0) => self.put("[]\n")?,
            (Format::Json, _) => self.put("\n]\n")?,
            (Format::Csv, 0) => self.put(&format!("{}\n", COLUMNS.join(",")))?,
            (Format::Html, 0) => self.put(&[html::HEAD, html::TAIL].concat())?,
            (Format::Html, _) => self.put(html::TAIL)?,
            _ => {}
        }
        self.flush()?;
        match self.target {
            Target::Stdout(_) => Ok(()),
            Target::File(file, path) => Ok(artifacts::atomic::persist(file, &path)?),
            Target::Table { rows, path, recipe } => Ok(table::write(&path, &rows, &recipe, &[])?),
        }
    }
}

const COLUMNS: [&str; 6] = ["path", "start", "end", "rank", "caption", "log_probability"];

impl Record {
    /// A row per caption.
    fn rows(&self, top_k: usize) -> Vec<CaptionedRow> {
        let row = |start, end, rank: usize, caption: &str, log_probability| CaptionedRow {
            path: self.name.clone(),
            start,
            end,
            rank: rank as u32,
            caption: caption.to_owned(),
            log_probability,
        };
        match &self.content {
            Content::Photo(captioned) => {
                let best = (1..).zip(&captioned.captions).take(top_k);
                best.map(|(rank, caption)| row(None, None, rank, &caption.caption, caption.log_probability))
                    .collect()
            }
            Content::Video(shots) => {
                let best = shots.iter().flat_map(|shot| {
                    let captions = (1..).zip(&shot.captions).take(top_k);
                    captions.map(move |(rank, caption)| (&shot.shot, rank, caption))
                });
                best.map(|(shot, rank, caption)| {
                    let (start, end) = (Some(shot.start), Some(shot.end));
                    row(start, end, rank, &caption.caption, caption.log_probability)
                })
                .collect()
            }
        }
    }

    /// A line per caption; `name` stands before it, a video's times between the two.
    pub(crate) fn txt(&self, name: Option<&str>, top_k: usize) -> String {
        let mut text = String::new();
        for row in self.rows(top_k) {
            let mut fields: Vec<String> = name.iter().map(|&name| name.to_owned()).collect();
            if let (Some(start), Some(end)) = (row.start, row.end) {
                let [start, end] = [start, end].map(|time| subtitles::timestamp(time, '.'));
                fields.push(format!("{start} – {end}"));
            }
            if top_k > 1 {
                fields.push(format!("{:.3}", row.log_probability));
            }
            fields.push(row.caption);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", fields.join("\t"));
        }
        text
    }

    fn json(&self, top_k: usize) -> serde_json::Result<String> {
        match &self.content {
            Content::Photo(captioned) => json::photo(&self.name, captioned, top_k),
            Content::Video(shots) => json::video(&self.name, shots, top_k),
        }
    }

    fn csv(&self, top_k: usize, with_header: bool) -> anyhow::Result<String> {
        let mut writer = csv::WriterBuilder::new().has_headers(with_header).from_writer(Vec::new());
        self.rows(top_k).iter().try_for_each(|row| writer.serialize(row))?;
        Ok(String::from_utf8(writer.into_inner()?)?)
    }

    pub(crate) fn srt(&self) -> String {
        subtitles::srt(self.shots())
    }

    pub(crate) fn vtt(&self) -> String {
        subtitles::vtt(self.shots())
    }

    fn shots(&self) -> &[CaptionedShot] {
        match &self.content {
            Content::Photo(_) => &[],
            Content::Video(shots) => shots,
        }
    }
}
