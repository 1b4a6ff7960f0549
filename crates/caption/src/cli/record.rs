//! What one input got, and how it is written in each format that has no beginning and end of its own.

use std::path::{Path, PathBuf};

use artifacts::captioned::CaptionedRow;
use caption::video::{CaptionedShot, subtitles};
use caption::{Captioned, Keyword};

use super::json;

/// One captioned input.
pub(crate) struct Record {
    pub(crate) path: PathBuf,
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
            path: self.path.to_string_lossy().into_owned(),
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

    /// A line per caption; the path stands before it where it is `named`, a video's times between the two.
    pub(crate) fn txt(&self, named: bool, top_k: usize) -> Vec<u8> {
        let mut text = Vec::new();
        for row in self.rows(top_k) {
            let mut fields = Vec::new();
            if named {
                fields.push(in_a_line(&self.path));
            }
            if let (Some(start), Some(end)) = (row.start, row.end) {
                let [start, end] = [start, end].map(|time| subtitles::timestamp(time, '.'));
                fields.push(format!("{start} – {end}").into_bytes());
            }
            if top_k > 1 {
                fields.push(format!("{:.3}", row.log_probability).into_bytes());
            }
            fields.push(row.caption.into_bytes());
            text.extend(fields.join(&b'\t'));
            text.push(b'\n');
        }
        text
    }

    pub(crate) fn json(&self, top_k: usize) -> serde_json::Result<String> {
        match &self.content {
            Content::Photo(captioned, keywords) => json::photo(&self.path, captioned, keywords, top_k),
            Content::Video(shots) => json::video(&self.path, shots, top_k),
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

/// The bytes of a path as they stand in a line of fields: line breaks and tabs are written out, as `\\n` and `\\t`, and so is the
/// backslash of a name that has any of them.
pub(crate) fn in_a_line(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if !bytes.iter().any(|byte| b"\n\r\t".contains(byte)) {
        return bytes.to_vec();
    }
    let written = |byte: &u8| match byte {
        b'\n' => b"\\n".to_vec(),
        b'\r' => b"\\r".to_vec(),
        b'\t' => b"\\t".to_vec(),
        b'\\' => b"\\\\".to_vec(),
        other => vec![*other],
    };
    bytes.iter().flat_map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_field_and_its_line() {
        let line = |name: &str| String::from_utf8(in_a_line(Path::new(name))).unwrap();
        assert_eq!(line("two\nlines\tand a\\.jpg"), r"two\nlines\tand a\\.jpg");
        assert_eq!(line(r"C:\photos\new.jpg"), r"C:\photos\new.jpg");
    }
}
