//! One part of the tables: what a shard gave, complete or absent.

use std::path::PathBuf;

use artifacts::captions::{self, CaptionRow, caption_id};
use artifacts::images::{self, ImageRow, Images};
use artifacts::recipe::digest;
use artifacts::table::{self, TableError};
use artifacts::{Recipe, layout};

use super::gather::{Gathered, Seen};
use super::shards::Shard;

const SHARD_KEY: &str = "captioning.shard";
const SEEN_KEY: &str = "captioning.seen";

/// The part of a shard.
pub(crate) struct Part<'a> {
    pub(crate) shard: &'a Shard,
    /// The dataset folder.
    folder: PathBuf,
    images: String,
    captions: String,
    /// What tells the shard from its earlier forms.
    content: String,
}

impl<'a> Part<'a> {
    pub(crate) fn new(shard: &'a Shard, recipe: &Recipe, folder: PathBuf) -> Part<'a> {
        let content = digest(format!("{}\n{}", shard.name, shard.stamp).as_bytes());
        let name = layout::part_of(shard.number, recipe, &content);
        let within = |table: &str| format!("{table}/{name}");
        Part { images: within(images::FOLDER), captions: within(captions::FOLDER), shard, folder, content }
    }

    /// Its files below the dataset folder.
    pub(crate) fn files(&self) -> [&str; 2] {
        [&self.captions, &self.images]
    }

    /// What the shard gave, if the part is there.
    pub(crate) fn complete(&self, recipe: &Recipe) -> Option<Seen> {
        let extra = [(SHARD_KEY, self.content.clone())];
        let captions = table::is_made_by::<CaptionRow>(&self.folder.join(&self.captions), recipe, &extra);
        let images = table::is_made_by::<ImageRow>(&self.folder.join(&self.images), recipe, &extra);
        captions.and(images).and_then(|footer| serde_json::from_str(footer.get(SEEN_KEY)?).ok())
    }

    pub(crate) fn write(&self, gathered: &Gathered, root: &str, recipe: &Recipe) -> anyhow::Result<()> {
        let number = self.shard.number;
        let sentences = gathered.images.iter().zip(&gathered.captions);
        let sentences =
            sentences.flat_map(|(image, captions)| captions.iter().map(move |caption| (image, caption)));
        let row = |(at, (image, caption)): (usize, (&ImageRow, &String))| CaptionRow {
            image_id: image.image_id.clone(),
            caption_id: caption_id(number, at),
            caption: caption.clone(),
        };
        let rows: Vec<CaptionRow> = sentences.enumerate().map(row).collect();
        let seen = serde_json::to_string(&gathered.seen)?;
        let extra = [(SHARD_KEY, self.content.clone()), (SEEN_KEY, seen)];
        // The images come last: where they are, the captions are.
        table::write(&self.folder.join(&self.captions), &rows, recipe, &extra[..1])?;
        Ok(Images::write_part(&self.folder, &self.images, root, &gathered.images, recipe, &extra)?)
    }
}

/// The images of all parts, one after the other.
pub(crate) fn rows<'a>(parts: &'a [Part]) -> impl Iterator<Item = Result<ImageRow, TableError>> + 'a {
    parts.iter().flat_map(|part| {
        let (rows, error) = match table::read::<ImageRow>(&part.folder.join(&part.images)) {
            Ok((rows, _)) => (rows, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        rows.into_iter().map(Ok).chain(error)
    })
}
