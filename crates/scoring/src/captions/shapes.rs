//! The shapes of JSON in which references and captions come.
//!
//! References: COCO's `{"annotations": [{"image_id": 1, "caption": "…"}, …]}` or that list alone, Karpathy's
//! `{"images": [{"cocoid": 1, "sentences": [{"raw": "…"}, …]}, …]}`, or pycocoevalcap's `{"1": ["…", "…"], …}`. Captions: COCO's
//! list `[{"image_id": 1, "caption": "…"}, …]` or `{"1": ["…"], …}`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use annotations::coco::{Annotation, Coco};
use annotations::karpathy::{self, Karpathy};
use annotations::{Captions, Id, ReadError, json};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

const REFERENCES: &str = r#"JSON of the shape {"annotations": [{"image_id": …, "caption": "…"}, …]} or {"IMAGE_ID": ["…", "…"], …}"#;
const CAPTIONS: &str = r#"JSON of the shape [{"image_id": …, "caption": "…"}, …] or {"IMAGE_ID": ["…"], …}"#;

/// What an image may be called: by its id, its number in Karpathy's file, the stem of its file, its file.
pub(super) const NAMINGS: usize = 4;
/// An image's names.
pub(super) type Names = [Option<Id>; NAMINGS];

/// The captions of every image in the text of `file`, under all names of the image, an image perhaps more than once.
pub(super) fn references(file: &Path, text: &str) -> Result<Vec<(Names, Vec<String>)>, ReadError> {
    let keys = keys(file, text, REFERENCES)?;
    let has = |key: &str| keys.as_ref().is_some_and(|keys| keys.contains_key(key));
    if keys.is_none() {
        return Ok(json::parse::<Vec<Annotation>>(file, text, REFERENCES)?.into_iter().map(by_id).collect());
    }
    if has("annotations") {
        return Ok(coco(json::parse(file, text, REFERENCES)?));
    }
    if has("images") {
        let Karpathy { images } = json::parse(file, text, REFERENCES)?;
        return Ok(images.into_iter().map(karpathy).collect());
    }
    let Pairs(pairs) = json::parse(file, text, REFERENCES)?;
    Ok(pairs.into_iter().map(|(id, Captions(captions))| ([Some(id), None, None, None], captions)).collect())
}

/// The captions that the text of `file` gives to images.
pub(super) fn captions(file: &Path, text: &str) -> Result<Vec<(Id, Vec<String>)>, ReadError> {
    match keys(file, text, CAPTIONS)? {
        Some(keys) if keys.contains_key("annotations") || keys.contains_key("images") => {
            Err(ReadError::Json {
                file: file.to_owned(),
                field: String::new(),
                problem: "these are references, not captions of a system".to_owned(),
                shape: CAPTIONS,
            })
        }
        Some(_) => {
            let Pairs(pairs) = json::parse(file, text, CAPTIONS)?;
            Ok(pairs.into_iter().map(|(id, Captions(captions))| (id, captions)).collect())
        }
        None => {
            let list: Vec<Annotation> = json::parse(file, text, CAPTIONS)?;
            Ok(list
                .into_iter()
                .map(|Annotation { image_id, caption: Captions(list), .. }| (image_id, list))
                .collect())
        }
    }
}

/// The keys of an object; `None` for anything else.
fn keys(
    file: &Path,
    text: &str,
    shape: &'static str,
) -> Result<Option<BTreeMap<String, IgnoredAny>>, ReadError> {
    match text.trim_start().starts_with('{') {
        true => json::parse(file, text, shape).map(Some),
        false => Ok(None),
    }
}

fn by_id(annotation: Annotation) -> (Names, Vec<String>) {
    ([Some(annotation.image_id), None, None, None], annotation.caption.0)
}

fn coco(coco: Coco) -> Vec<(Names, Vec<String>)> {
    let images = coco.images.unwrap_or_default().into_iter();
    let files: BTreeMap<Id, String> = images.map(|image| (image.id, image.file_name)).collect();
    let annotations = coco.annotations.unwrap_or_default().into_iter().map(by_id);
    let named = annotations.map(|(names, captions)| {
        let [id, ..] = names;
        let file = id.as_ref().and_then(|id| files.get(id)).filter(|file| !file.is_empty());
        let (stem, file) = file.map(|file| of_file(file)).unzip();
        ([id, None, stem, file], captions)
    });
    named.collect()
}

fn karpathy(image: karpathy::Image) -> (Names, Vec<String>) {
    let (stem, file) = of_file(&image.filename);
    ([image.cocoid, image.imgid, Some(stem), Some(file)], image.sentences.0)
}

/// A file's stem and name, as ids.
fn of_file(file: &str) -> (Id, Id) {
    let path = Path::new(file);
    let [stem, name] = [path.file_stem(), path.file_name()].map(|part| part.and_then(|part| part.to_str()));
    (Id::from(stem.unwrap_or(file)), Id::from(name.unwrap_or(file)))
}

/// The entries of an object in their order: none is lost where a key stands twice.
struct Pairs(Vec<(Id, Captions)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsPairs;
        impl<'de> Visitor<'de> for AsPairs {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("captions by the id of their image")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(AsPairs)
    }
}
