//! What one input got, and how it is written in each format that has no beginning and end of its own.

use std::fmt::Write as _;

use artifacts::captioned::CaptionedRow;
use caption::video::{CaptionedShot, subtitles};
use caption::{Captioned, Keyword};

use super::json;

/// One captioned input.
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) content: Content,
}

/// What was captioned.
pub(crate) enum Content {
    /// With its keywords, if they are wanted.
    Photo(Captioned, Vec<Keyword>),
    Video(Vec<CaptionedShot>),
}

const COLUMNS: [&str; 6] = ["path", "start", "end", "rank", "caption", "log_probability"];

/// The header line of CSV; `keywords` are a column of their own where they are wanted.
pub(crate) fn csv_header(keywords: bool) -> String {
    let columns: Vec<&str> = COLUMNS.into_iter().chain(keywords.then_some("keywords")).collect();
    format!("{}\n", columns.join(","))
}

impl Record {
    /// A row per caption.
    pub(crate) fn rows(&self, top_k: usize) -> Vec<CaptionedRow> {
        let row = |start, end, rank: usize, caption: &str, log_probability| CaptionedRow {
            path: self.name.clone(),
            start,
            end,
            rank: rank as u32,
            caption: caption.to_owned(),
            log_probability,
        };
        match &self.content {
            Content::Photo(captioned, _) => {
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

    pub(crate) fn json(&self, top_k: usize) -> serde_json::Result<String> {
        match &self.content {
            Content::Photo(captioned, keywords) => json::photo(&self.name, captioned, keywords, top_k),
            Content::Video(shots) => json::video(&self.name, shots, top_k),
        }
    }

    /// Its rows, without a header. Keywords stand as `dog=0.932 grass=0.411`.
    pub(crate) fn csv(&self, top_k: usize, keywords: bool) -> anyhow::Result<String> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        let named = match &self.content {
            Content::Photo(_, keywords) => {
                let named = keywords.iter().map(|found| format!("{}={:.3}", found.word, found.probability));
                named.collect::<Vec<_>>().join(" ")
            }
            Content::Video(_) => String::new(),
        };
        let named = keywords.then_some(named);
        for row in self.rows(top_k) {
            match &named {
                None => writer.serialize(row)?,
                Some(named) => writer.serialize((row, named))?,
            }
        }
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
            Content::Photo(..) => &[],
            Content::Video(shots) => shots,
        }
    }
}
