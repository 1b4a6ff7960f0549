//! Which column is which: the names that programs give them.

use crate::clip;

/// Names of a column, the plain one first; among the others of a tier only one may be there.
type Names = &'static [&'static [&'static str]];

const IMAGE: Names = &[
    &["image"],
    &[
        "filename",
        "file",
        "path",
        "filepath",
        "imagename",
        "imagepath",
        "imagefile",
        "imagefilename",
        "img",
        "imgpath",
        "imgname",
        "imgfile",
        "photo",
        "picture",
    ],
    &["imageid", "imgid"],
    &["id"],
];
const CAPTION: Names = &[
    &["caption"],
    &["captions"],
    &["text", "sentence", "sentences", "comment", "description", "captiontext", "raw", "title", "alttext"],
    &["sentencesraw", "txt", "answer"],
];
const SPLIT: Names = &[&["split"]];

/// The places of what is read, from 0.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) image: usize,
    /// Several where captions stand side by side: `caption_1`, `caption_2`, ….
    pub(super) captions: Vec<usize>,
    pub(super) split: Option<usize>,
}

impl Columns {
    /// The columns that `header` names, or what is wrong with it.
    pub(super) fn of(header: &[&str]) -> Result<Columns, String> {
        let folded: Vec<String> = header.iter().map(|name| fold(name)).collect();
        let image = one(header, &folded, IMAGE, "image")?;
        let captions = captions(header, &folded)?;
        match image {
            Some(image) if !captions.is_empty() => {
                Ok(Columns { image, captions, split: one(header, &folded, SPLIT, "split")? })
            }
            _ => Err(format!("it has {}", clip(&header.join(",")))),
        }
    }

    /// The names in `header` that are not read; a column without a name is pandas' index.
    pub(super) fn unread(&self, header: &[&str]) -> Vec<String> {
        let read = |column: usize| {
            column == self.image || self.captions.contains(&column) || self.split == Some(column)
        };
        let unread = (0..header.len()).filter(|&column| !read(column)).map(|column| header[column].trim());
        let named = unread.filter(|name| !name.is_empty() && !name.starts_with("Unnamed:"));
        named.map(clip).collect()
    }
}

/// The columns of captions that `header` names, from 0: one, or several side by side.
///
/// # Errors
/// There is none, or two that could be meant, in words.
pub fn caption_columns(header: &[&str]) -> Result<Vec<usize>, String> {
    let folded: Vec<String> = header.iter().map(|name| fold(name)).collect();
    let found = captions(header, &folded)?;
    if found.is_empty() {
        Err(format!("it has {}, and none is `caption`", clip(&header.join(", "))))
    } else {
        Ok(found)
    }
}

fn captions(header: &[&str], folded: &[String]) -> Result<Vec<usize>, String> {
    let side_by_side = || (0..header.len()).filter(|&column| is_numbered(&folded[column])).collect();
    Ok(one(header, folded, CAPTION, "caption")?.map_or_else(side_by_side, |column| vec![column]))
}

/// Whether programs call an image or its caption so.
pub(super) fn is_known(name: &str) -> bool {
    let folded = fold(name);
    [IMAGE, CAPTION].into_iter().flatten().any(|tier| tier.contains(&folded.as_str()))
}

/// The column of the first tier that has any.
fn one(header: &[&str], folded: &[String], names: Names, what: &str) -> Result<Option<usize>, String> {
    for tier in names {
        let of_tier = |&column: &usize| tier.contains(&folded[column].as_str());
        let found: Vec<usize> = (0..header.len()).filter(of_tier).collect();
        match found.as_slice() {
            [] => {}
            [column] => return Ok(Some(*column)),
            several => {
                let all: Vec<&str> = several.iter().map(|&column| header[column].trim()).collect();
                return Err(format!(
                    "it has {}, and only one can be `{what}`: rename it so",
                    clip(&all.join(" and "))
                ));
            }
        }
    }
    Ok(None)
}

/// `Image Name`, `image_name` and `"image-name"` are one name.
fn fold(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn is_numbered(folded: &str) -> bool {
    let number = folded.strip_prefix("captions").or_else(|| folded.strip_prefix("caption"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
