//! What one input got, and how it is written in each format that has no beginning and end of its own.

use std::fmt::Write as _;

use artifacts::captioned::CaptionedRow;
use caption::Captioned;
use caption::video::{CaptionedShot, subtitles};

use super::json;

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

pub(crate) const COLUMNS: [&str; 6] = ["path", "start", "end", "rank", "caption", "log_probability"];

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

    pub(crate) fn json(&self, top_k: usize) -> serde_json::Result<String> {
        match &self.content {
            Content::Photo(captioned) => json::photo(&self.name, captioned, top_k),
            Content::Video(shots) => json::video(&self.name, shots, top_k),
        }
    }

    pub(crate) fn csv(&self, top_k: usize, with_header: bool) -> anyhow::Result<String> {
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
