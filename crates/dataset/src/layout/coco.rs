//! COCO captions (Chen et al. 2015), as the project distributes them, and other sets in its format (VizWiz, nocaps, one's own).
//!
//! ```text
//! root/
//!   annotations/captions_train2017.json   annotations/captions_val2017.json
//!   train2017/                            val2017/
//! ```
//!
//! or the same with 2014, or JSON files whose names or folders are those of splits (`train.json`, `train/labels.json`), or one
//! JSON file, which may be named as the root. The files may also lie in the root, and the images in folders in `images/` or anywhere below the root. With several
//! files each is a split; of a single one no image has a split.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use annotations::coco::{Coco, SHAPE};
use annotations::{Location, ReadError, json};
use artifacts::Split;

use super::collect::{Collector, ImageIndex};
use super::unique::Once;
use super::{LayoutError, RawDataset, files, folder_of, split_name};

const YEARS: [&str; 2] = ["2017", "2014"];
const ANNOTATIONS: &str = "annotations";
const ANNOTATION_FOLDERS: [&str; 2] = [ANNOTATIONS, ""];
/// What COCO's other files begin with.
const OTHER_FILES: [&str; 5] = ["instances_", "person_keypoints_", "stuff_", "panoptic_", "image_info_"];

/// A captions file and what is known of it by its name.
struct Source {
    file: PathBuf,
    split: Option<Split>,
    /// Its images' folder below the root.
    folder: PathBuf,
}

/// Reads the dataset below `root`, of the years that are there the later, or the captions file `root`.
///
/// # Errors
/// No captions file, an entry of another shape, and an id or a file that two entries name.
pub fn read(root: &Path) -> Result<RawDataset, LayoutError> {
    let (root, sources) = if root.is_file() {
        lone_source(root)
    } else {
        let root = files::innermost(root);
        let sources = find_sources(&root)?;
        (root, sources)
    };
    let mut collector = Collector::new(&root)?;
    let several = sources.len() > 1;
    if several {
        collector.expect_splits();
    }
    let mut named = Once::new();
    for source in &sources {
        read_file(source, several, &mut named, &mut collector)?;
        collector.source(&source.file);
    }
    collector.finish()
}

/// A file that is named itself, and the folder that its images lie below.
fn lone_source(file: &Path) -> (PathBuf, Vec<Source>) {
    let folder = folder_of(file);
    let root = if folder.ends_with(ANNOTATIONS) { folder_of(folder) } else { folder };
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let folder = find_images(root, &stem);
    (root.to_owned(), vec![Source { file: file.to_owned(), split: None, folder }])
}

/// The captions files of a year, or those that the names of splits tell apart, or the only one.
fn find_sources(root: &Path) -> Result<Vec<Source>, LayoutError> {
    for year in YEARS {
        let mut sources = Vec::new();
        for split in [Split::Train, Split::Val] {
            let name = format!("captions_{split}{year}");
            let mut places =
                ANNOTATION_FOLDERS.iter().map(|folder| root.join(folder).join(format!("{name}.json")));
            if let Some(file) = places.find(|file| file.is_file()) {
                sources.push(Source { file, split: Some(split), folder: find_images(root, &name) });
            }
        }
        if !sources.is_empty() {
            return Ok(sources);
        }
    }
    for folder in ANNOTATION_FOLDERS {
        let sources = sources_in(root, folder)?;
        if !sources.is_empty() {
            return Ok(sources);
        }
    }
    let sources = sources_of_splits(root)?;
    if !sources.is_empty() {
        return Ok(sources);
    }
    let names = YEARS
        .map(|year| format!("annotations/captions_train{year}.json, annotations/captions_val{year}.json"));
    Err(LayoutError::NotFound { root: root.to_owned(), what: "captions file", names: names.join(", ") })
}

fn sources_in(root: &Path, folder: &str) -> Result<Vec<Source>, LayoutError> {
    let folder = root.join(folder);
    if !folder.is_dir() {
        return Ok(vec![]);
    }
    let mut names = files::of_ending(&folder, &["json"])?;
    names.retain(|name| {
        let name = name.to_string_lossy();
        !OTHER_FILES.iter().any(|start| name.starts_with(start))
    });
    let source = |name: &PathBuf| {
        let stem = name.file_stem().unwrap_or_default().to_string_lossy();
        Source { file: folder.join(name), split: split_name::within(&stem), folder: find_images(root, &stem) }
    };
    let mut sources: Vec<Source> = names.iter().map(source).collect();
    sources.sort_by_key(|source| source.split);
    let told_apart = sources.windows(2).all(|pair| pair[0].split.is_some() && pair[0].split != pair[1].split);
    if told_apart { Ok(sources) } else { Err(LayoutError::several(&folder, &names)) }
}

/// The only JSON file in each folder of a split, beside its images.
fn sources_of_splits(root: &Path) -> Result<Vec<Source>, LayoutError> {
    let mut sources = Vec::new();
    for (folder, split) in split_name::folders(root)? {
        match files::of_ending(&root.join(&folder), &["json"])?.as_slice() {
            [] => {}
            [name] => {
                sources.push(Source { file: root.join(&folder).join(name), split: Some(split), folder })
            }
            several => return Err(LayoutError::several(&root.join(&folder), several)),
        }
    }
    Ok(sources)
}

/// The folder of the images of a captions file: named after the file, or after its split, else the root.
fn find_images(root: &Path, stem: &str) -> PathBuf {
    let own = stem.strip_prefix("captions_").unwrap_or(stem);
    let split = split_name::within(stem).map_or(own, |split| split.as_str());
    let names = [own, split].map(|name| [name.to_owned(), format!("images/{name}")]).concat();
    let of_split = || {
        let folders = split_name::folders(root).unwrap_or_default();
        folders.into_iter().find(|(_, of)| of.as_str() == split).map(|(folder, _)| folder)
    };
    let found = names.into_iter().map(PathBuf::from).find(|name| root.join(name).is_dir());
    found.or_else(of_split).or_else(|| files::folder_named(root, &["images"])).unwrap_or_default()
}

fn read_file(
    source: &Source,
    several: bool,
    named: &mut Once<ImageIndex>,
    collector: &mut Collector,
) -> Result<(), LayoutError> {
    let Source { file, split, folder } = source;
    let Coco { images, annotations } = json::read(file, SHAPE)?;
    let missing = |key: &str| {
        let problem = format!("missing field `{key}`");
        ReadError::Json { file: file.to_owned(), field: String::new(), problem, shape: SHAPE }
    };
    let images = images.ok_or_else(|| missing("images"))?;
    if annotations.is_none() && several {
        let reason = "has no annotations, so none of its images is used".to_owned();
        collector.note(file.display().to_string(), reason);
        return Ok(());
    }
    // Ids count within a file: tools number each anew.
    let (mut image_ids, mut caption_ids, mut image_of_id) = (Once::new(), Once::new(), HashMap::new());
    for (index, image) in images.into_iter().enumerate() {
        let at = Location::entry(file, "images", index);
        image_ids.name(image.id.clone(), &at, || format!("the id {}", image.id))?;
        let found = collector.image(&at, folder, &image.file_name)?;
        named.name(found, &at, || format!("the file {}", image.file_name))?;
        image_of_id.insert(image.id, found);
        if let Some(split) = split.filter(|_| several) {
            collector.split(&at, found, split)?;
        }
    }
    for (index, annotation) in annotations.ok_or_else(|| missing("annotations"))?.into_iter().enumerate() {
        let at = Location::entry(file, "annotations", index);
        if let Some(id) = annotation.id {
            caption_ids.name(id.clone(), &at, || format!("the id {id}"))?;
        }
        let Some(&image) = image_of_id.get(&annotation.image_id) else {
            let reason = format!("no entry of `images` has the id {}", annotation.image_id);
            collector.skip_row(at.to_string(), &reason);
            continue;
        };
        for caption in &annotation.caption.0 {
            collector.caption(&at, image, caption);
        }
    }
    Ok(())
}
