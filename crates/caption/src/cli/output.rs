//! Captions as text, JSON, CSV, Parquet, a page, Markdown or subtitles.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use artifacts::captioned::CaptionedRow;
use artifacts::{Recipe, table};
use stage::terminal::escaped;
use tempfile::NamedTempFile;

use super::args::Format;
use super::record::{Record, csv_header};
use super::{html, markdown};

/// Where captions go. On stdout each appears as soon as it is there; a file gets its name when it is complete.
pub(crate) struct Output {
    format: Format,
    top_k: usize,
    /// Whether photos have keywords.
    keywords: bool,
    /// One input alone needs no name beside its caption.
    single: bool,
    /// The folder from which a page's photos are found.
    folder: PathBuf,
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
        (top_k, keywords): (usize, bool),
        single: bool,
        recipe: Recipe,
    ) -> anyhow::Result<Output> {
        let folder = path.and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        let target = match path.map(Path::to_owned) {
            None => Target::Stdout(BufWriter::new(io::stdout())),
            Some(path) if format == Format::Parquet => Target::Table { rows: vec![], path, recipe },
            Some(path) => {
                let file = artifacts::atomic::beside(&path);
                Target::File(file.with_context(|| format!("--output {}", path.display()))?, path)
            }
        };
        Ok(Output { format, top_k, keywords, single, folder, target, written: 0 })
    }

    /// Adds a record, after the ones before it.
    pub(crate) fn write(&mut self, record: &Record) -> anyhow::Result<()> {
        if let Target::Table { rows, .. } = &mut self.target {
            rows.extend(record.rows(self.top_k));
            return Ok(());
        }
        let text = match self.format {
            Format::Txt => {
                self.written += 1;
                return Ok(self.put(&record.txt(!self.single, self.top_k))?);
            }
            Format::Json => format!("{}{}", self.before(), record.json(self.top_k)?),
            Format::Jsonl => format!("{}\n", record.json(self.top_k)?),
            Format::Csv | Format::Parquet => {
                let header = if self.written == 0 { csv_header(self.keywords) } else { String::new() };
                header + &record.csv(self.top_k, self.keywords)?
            }
            Format::Html => format!("{}{}", self.before(), html::figure(record, &self.folder)),
            Format::Markdown => format!("{}{}", self.before(), markdown::paragraph(record, &self.folder)),
            Format::Srt => record.srt(),
            Format::Vtt => record.vtt(),
        };
        self.written += 1;
        Ok(self.put(text.as_bytes())?)
    }

    /// What stands before a record, or before the end.
    fn before(&self) -> &'static str {
        match (self.format, self.written) {
            (Format::Json, 0) => "[\n",
            (Format::Json, _) => ",\n",
            (Format::Html, 0) => html::HEAD,
            (Format::Markdown, 1..) => "\n",
            _ => "",
        }
    }

    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        match &mut self.target {
            Target::Stdout(out) if io::stdout().is_terminal() => {
                out.write_all(escaped(&String::from_utf8_lossy(text)).as_bytes()).map_err(of_stdout)
            }
            Target::Stdout(out) => out.write_all(text).map_err(of_stdout),
            Target::File(file, _) => file.write_all(text),
            Target::Table { .. } => Ok(()),
        }
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Stdout(out) => out.flush().map_err(of_stdout),
            Target::File(..) | Target::Table { .. } => Ok(()),
        }
    }

    /// Closes brackets and gives files their names.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        match (self.format, self.written) {
            (Format::Json, 0) => self.put(b"[]\n")?,
            (Format::Json, _) => self.put(b"\n]\n")?,
            (Format::Csv, 0) => self.put(csv_header(self.keywords).as_bytes())?,
            (Format::Html, 0) => self.put([html::HEAD, html::TAIL].concat().as_bytes())?,
            (Format::Html, _) => self.put(html::TAIL.as_bytes())?,
            _ => {}
        }
        self.flush()?;
        match self.target {
            Target::Stdout(_) => Ok(()),
            Target::File(file, path) => artifacts::atomic::persist(file, &path)
                .with_context(|| format!("--output {}", path.display())),
            Target::Table { rows, path, recipe } => Ok(table::write(&path, &rows, &recipe, &[])?),
        }
    }
}

/// Says what could not be written, and keeps the kind, by which a closed pipe is known.
fn of_stdout(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
}
