//! The shapes in which references and captions come.
//!
//! References: COCO's `{"annotations": [{"image_id": 1, "caption": "…"}, …]}` or that list alone, and Karpathy's
//! `{"images": [{"cocoid": 1, "sentences": [{"raw": "…"}, …]}, …]}`. Captions: COCO's list of results,
//! `[{"image_id": 1, "caption": "…"}, …]`. Both: any table that [`annotations::table`] reads, such as pycocoevalcap's
//! `{"1": ["…", "…"], …}` or a CSV file.

use std::collections::BTreeMap;
use std::path::Path;

use annotations::coco::{Annotation, Coco};
use annotations::karpathy::{self, Karpathy};
use annotations::table::{self, Row, Table};
use annotations::{Captions, Id, Location, ReadError, json};
use serde::de::IgnoredAny;

const REFERENCES: &str = r#"JSON of the shape {"annotations": [{"image_id": …, "caption": "…"}, …]} or {"IMAGE_ID": ["…", "…"], …}, or a table with the columns image,caption"#;
const CAPTIONS: &str = r#"JSON of the shape [{"image_id": …, "caption": "…"}, …] or {"IMAGE_ID": ["…"], …}, or a table with the columns image,caption"#;

/// What an image may be called: by its id, its number in Karpathy's file, the stem of its file, its file.
pub(super) const NAMINGS: usize = 4;
/// An image's names.
pub(super) type Names = [Option<Id>; NAMINGS];

/// Images with their captions, an image perhaps more than once, and rows of a table that are none.
pub(super) struct Read<T> {
    pub(super) images: Vec<(T, Vec<String>)>,
    pub(super) odd: Vec<(Location, String)>,
}

impl<T> Read<T> {
    fn of(images: impl IntoIterator<Item = (T, Vec<String>)>) -> Read<T> {
        Read { images: images.into_iter().collect(), odd: Vec::new() }
    }
}

/// The captions of every image in the text of `file`, under all names of the image.
pub(super) fn references(file: &Path, text: &str) -> Result<Read<Names>, ReadError> {
    match shape(text) {
        Shape::Coco => Ok(Read::of(coco(json::parse(file, text, REFERENCES)?))),
        Shape::Karpathy => {
            let Karpathy { images } = json::parse(file, text, REFERENCES)?;
            Ok(Read::of(images.into_iter().map(karpathy)))
        }
        Shape::Results => {
            let list: Vec<Annotation> = json::parse(file, text, REFERENCES)?;
            Ok(Read::of(list.into_iter().map(by_id)))
        }
        Shape::Table => rows(file, text, REFERENCES, by_name),
    }
}

/// The captions that the text of `file` gives to images.
pub(super) fn captions(file: &Path, text: &str) -> Result<Read<Id>, ReadError> {
    match shape(text) {
        Shape::Coco | Shape::Karpathy => Err(ReadError::Json {
            file: file.to_owned(),
            field: String::new(),
            problem: "these are references, not captions of a system".to_owned(),
            shape: CAPTIONS,
        }),
        Shape::Results => {
            let list: Vec<Annotation> = json::parse(file, text, CAPTIONS)?;
            let captions = |Annotation { image_id, caption: Captions(list), .. }| (image_id, list);
            Ok(Read::of(list.into_iter().map(captions)))
        }
        Shape::Table => rows(file, text, CAPTIONS, |row| (Id::from(row.image.trim()), row.captions)),
    }
}

enum Shape {
    Coco,
    Karpathy,
    Results,
    Table,
}

type Keys = BTreeMap<String, IgnoredAny>;

/// The shape of a text by the keys of its first object.
fn shape(text: &str) -> Shape {
    let has = |keys: &Keys, key: &str| keys.contains_key(key);
    match text.trim_start().as_bytes().first() {
        Some(b'{') => match serde_json::from_str::<Keys>(text) {
            Ok(keys) if has(&keys, "annotations") => Shape::Coco,
            Ok(keys) if has(&keys, "images") => Shape::Karpathy,
            _ => Shape::Table,
        },
        Some(b'[') => match serde_json::from_str::<Vec<Keys>>(text) {
            Ok(rows) if rows.first().is_some_and(|keys| !has(keys, "image_id")) => Shape::Table,
            _ => Shape::Results,
        },
        _ => Shape::Table,
    }
}

/// The rows of a table; of what is none, it is said what `shape` would do.
fn rows<T>(
    file: &Path,
    text: &str,
    shape: &'static str,
    image: fn(Row) -> (T, Vec<String>),
) -> Result<Read<T>, ReadError> {
    let Table { rows, odd, .. } = table::parse(file, text).map_err(|error| match error {
        ReadError::Columns { file, problem } => {
            ReadError::Json { file, field: String::new(), problem, shape }
        }
        ReadError::Json { file, field, problem, .. } => ReadError::Json { file, field, problem, shape },
        other => other,
    })?;
    Ok(Read { images: rows.into_iter().map(image).collect(), odd })
}

fn by_id(annotation: Annotation) -> (Names, Vec<String>) {
    ([Some(annotation.image_id), None, None, None], annotation.caption.0)
}

fn coco(coco: Coco) -> impl Iterator<Item = (Names, Vec<String>)> {
    let images = coco.images.unwrap_or_default().into_iter();
    let files: BTreeMap<Id, String> = images.map(|image| (image.id, image.file_name)).collect();
    let annotations = coco.annotations.unwrap_or_default().into_iter().map(by_id);
    annotations.map(move |(names, captions)| {
        let [id, ..] = names;
        let file = id.as_ref().and_then(|id| files.get(id)).filter(|file| !file.is_empty());
        let (stem, file) = file.map(|file| of_file(file)).unzip();
        ([id, None, stem, file], captions)
    })
}

fn karpathy(image: karpathy::Image) -> (Names, Vec<String>) {
    let (stem, file) = of_file(&image.filename);
    ([image.cocoid, image.imgid, Some(stem), Some(file)], image.sentences.0)
}

/// Of a table, whose images are ids or files.
fn by_name(row: Row) -> (Names, Vec<String>) {
    let (stem, file) = of_file(row.image.trim());
    ([Some(Id::from(row.image.trim())), None, Some(stem), Some(file)], row.captions)
}

/// A file's stem and name, as ids.
pub(super) fn of_file(file: &str) -> (Id, Id) {
    let path = Path::new(file);
    let [stem, name] = [path.file_stem(), path.file_name()].map(|part| part.and_then(|part| part.to_str()));
    (Id::from(stem.unwrap_or(file)), Id::from(name.unwrap_or(file)))
}
