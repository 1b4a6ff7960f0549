//! Shards of the WebDataset kind: tar archives whose neighbouring members of one key are a sample.
//!
//! ```text
//! 00000.tar             000000000.jpg  000000000.json  000000000.txt  000000003.jpg …
//! 00000.parquet         a row for each image that was to be fetched, with its status     ┐ as img2dataset
//! 00000_stats.json      how many were, written last                                      ┘ leaves them
//! ```
//!
//! A key is a member's name up to the first dot of its last part; what is behind it is its ending, in small letters. Members that
//! are no files, and those called `__like_this__`, are passed over, as the library `webdataset` does. The text file has a caption a line;
//! where there is JSON whose `caption` is one sentence, that is the only one, as img2dataset writes it.

use std::collections::BTreeMap;

use annotations::Captions;
use anyhow::Context as _;
use artifacts::{Locator, Within};
use images::archive::{self, Content, Member};
use images::{ImageSource, SourceError};
use serde::Deserialize;

use super::gather::{Gathered, Sample};
use super::shards::Shard;

const IMAGES: [&str; 9] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "image"];
const TEXTS: [&str; 3] = ["txt", "caption", "text"];
const JSON: &str = "json";
/// What img2dataset says of a row that became a sample.
const SUCCESS: &str = "success";
/// Of img2dataset's files at most; its counts are a few lines, its tables a row an image.
const MOST_STATS: u64 = 1 << 24;

/// The members of one key.
#[derive(Default)]
struct Group {
    key: String,
    image: Option<(Locator, Vec<u8>)>,
    texts: BTreeMap<String, Vec<u8>>,
    /// An image of it cannot be used, and is counted already.
    refused: bool,
}

/// What is read of a sample's JSON.
#[derive(Default, Deserialize)]
struct Described {
    caption: Option<Captions>,
    captions: Option<Captions>,
}

/// What is read of `_stats.json`.
#[derive(Deserialize)]
struct Stats {
    successes: u64,
}

pub(super) fn read(
    source: &ImageSource,
    shard: &Shard,
    gathered: &mut Gathered,
    advance: &mut dyn FnMut(u64),
) -> anyhow::Result<()> {
    let blob = source.folder().blob(&shard.name)?;
    let mut group = Group::default();
    archive::read(&blob, |member| {
        advance(member.offset);
        take(member, shard, &mut group, gathered);
    })?;
    group.close(gathered);
    if let Some(table) = &shard.table {
        count_unfetched(source, table, gathered)?;
    }
    if let Some(stats) = &shard.stats {
        let bytes = source.folder().fetch(stats, MOST_STATS)?;
        let place = || source.folder().place_of(stats);
        let Stats { successes } = serde_json::from_slice(&bytes).with_context(place)?;
        let held = gathered.held();
        anyhow::ensure!(
            held == successes,
            "{} holds {held} images, {stats} says {successes}: fetch or write the shard again",
            shard.place(source)
        );
    }
    Ok(())
}

fn take(member: Member, shard: &Shard, group: &mut Group, gathered: &mut Gathered) {
    let Member { name, offset, content } = member;
    let name = name.strip_prefix("./").unwrap_or(&name);
    let bytes = match content {
        Content::File(bytes) => Ok(bytes),
        Content::Unusable(reason) => Err(reason),
        // Folders and links are nobody's sample, and tear none apart.
        Content::Other => return,
    };
    let Some((key, ending)) = key(name) else { return };
    if key != group.key {
        std::mem::replace(group, Group { key: key.to_owned(), ..Group::default() }).close(gathered);
    }
    let (is_image, is_text) =
        (IMAGES.contains(&ending.as_str()), ending == JSON || TEXTS.contains(&ending.as_str()));
    let leaves = name.split('/').any(|part| part == "..") || name.starts_with('/');
    let bytes = if leaves { Err("its name leads out of the archive") } else { bytes };
    match bytes {
        // A video, a mask, or what else is no part of a caption's sample.
        _ if !is_image && !is_text => {}
        Err(reason) if is_image => {
            group.refused = true;
            gathered.skip_image(name, reason);
        }
        Err(reason) => gathered.skip_caption(name, reason),
        Ok(_) if is_image && group.image.is_some() => {
            gathered.skip_image(name, "a second image of its key");
        }
        Ok(bytes) if is_image => {
            let within = Within::Bytes { offset, length: bytes.len() as u64 };
            group.image = Some((Locator { path: shard.name.clone(), within }, bytes));
        }
        Ok(_) if group.texts.contains_key(&ending) => {
            gathered.skip_caption(name, "a second file of that ending for one key");
        }
        Ok(bytes) => drop(group.texts.insert(ending, bytes)),
    }
}

/// The key and the ending of a member's name; none for what is no part of a sample.
fn key(name: &str) -> Option<(&str, String)> {
    let file_at = name.rfind('/').map_or(0, |at| at + 1);
    let file = &name[file_at..];
    if file.starts_with("__") && file.ends_with("__") {
        return None;
    }
    let dot = file.find('.').filter(|&dot| dot > 0)?;
    Some((&name[..file_at + dot], file[dot + 1..].to_lowercase()))
}

impl Group {
    /// The sample is whole: another key begins.
    fn close(self, gathered: &mut Gathered) {
        let captions = self.captions(gathered);
        let Group { key, image, texts, refused } = self;
        match image {
            Some((locator, bytes)) => {
                let (id, place) = (Some(key.clone()), key);
                gathered.add(Sample { id, place, locator, bytes, captions, split: None });
            }
            None if !texts.is_empty() && !refused => {
                let reason = "no image beside the captions: members of one key must lie side by side (tar --sort=name)";
                gathered.skip_caption(&key, reason);
            }
            None => {}
        }
    }

    fn captions(&self, gathered: &mut Gathered) -> Vec<String> {
        let described = match self.texts.get(JSON).map(|bytes| describe(bytes)) {
            Some(Ok(described)) => described,
            Some(Err(error)) => {
                gathered.skip_caption(&self.key, &format!("its JSON cannot be read ({})", category(&error)));
                Described::default()
            }
            None => Described::default(),
        };
        let Described { caption, captions } = described;
        if let Some(Captions(sentences)) = caption
            && (sentences.len() == 1 || !self.has_text())
        {
            return sentences;
        }
        let Some(text) = TEXTS.iter().find_map(|ending| self.texts.get(*ending)) else {
            return captions.map(|Captions(sentences)| sentences).unwrap_or_default();
        };
        match std::str::from_utf8(text) {
            Ok(text) => {
                let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
                let lines = text.lines().filter(|line| !line.trim().is_empty());
                let lines: Vec<String> = lines.map(str::to_owned).collect();
                // An empty file is an empty caption, which is counted.
                if lines.is_empty() { vec![String::new()] } else { lines }
            }
            Err(_) => {
                gathered.skip_caption(&self.key, "its text is not UTF-8");
                Vec::new()
            }
        }
    }

    fn has_text(&self) -> bool {
        TEXTS.iter().any(|ending| self.texts.contains_key(*ending))
    }
}

/// What a sample's JSON says. Python writes numbers into it (`NaN`) that JSON does not have, and JSON5 does.
fn describe(bytes: &[u8]) -> serde_json::Result<Described> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    serde_json::from_slice(bytes).or_else(|error| {
        let text = std::str::from_utf8(bytes).ok();
        text.and_then(|text| json5::from_str(text).ok()).ok_or(error)
    })
}

/// The kind of a fault: its place differs from sample to sample.
fn category(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Syntax => "no JSON",
        _ => "`caption` is no sentence",
    }
}

/// Counts by their status the rows that img2dataset could not fetch.
fn count_unfetched(source: &ImageSource, table: &str, gathered: &mut Gathered) -> Result<(), SourceError> {
    for (status, count) in super::parquet::statuses(source.folder().blob(table)?)? {
        if status != SUCCESS {
            gathered.unfetched(&status, count);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn keys_end_at_the_first_dot_of_the_last_part() {
        let of = |name| key(name).map(|(key, ending)| (key.to_owned(), ending));
        let some = |key: &str, ending: &str| Some((key.to_owned(), ending.to_owned()));
        assert_eq!(of("000420031.jpg"), some("000420031", "jpg"));
        assert_eq!(of("a.b/c.seg.PNG"), some("a.b/c", "seg.png"));
        assert_eq!(of("images17/image194.left.jpg"), some("images17/image194", "left.jpg"));
        for no in ["README", ".hidden", "__cls__", "a/__x__", "folder/"] {
            assert_eq!(of(no), None, "{no}");
        }
    }
}
