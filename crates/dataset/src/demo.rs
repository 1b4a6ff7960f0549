//! The demo scenes as a dataset on disk: pictures drawn in parallel, captions and boxes beside them.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::Context;
use artifacts::objects::ObjectRow;
use rayon::prelude::*;
use stage::progress::Progress;

use crate::layout::{RawCaption, RawDataset, RawImage};
use crate::scenes::{CAPTIONS, Scene, describe_one, generate_one};

/// How many scenes can be drawn at once.
pub(crate) const COUNTS: RangeInclusive<usize> = 1..=1_000_000;

/// Drawn scenes.
pub struct Demo {
    /// The pictures (on disk) and captions.
    pub dataset: RawDataset,
    /// The box of every object.
    pub objects: Vec<ObjectRow>,
}

/// Where pictures are drawn: `images/` holds a table.
pub const FOLDER: &str = "scenes";

/// Draws the first `count` scenes of `seed` into `folder/scenes/`.
///
/// # Errors
///
/// A picture cannot be written.
pub fn draw(folder: &Path, count: usize, seed: u64, progress: &Progress) -> anyhow::Result<Demo> {
    anyhow::ensure!(COUNTS.contains(&count), "{count} scenes were asked for: from 1 to 1000000 can be drawn");
    let images = folder.join(FOLDER);
    std::fs::create_dir_all(&images).with_context(|| images.display().to_string())?;
    let drawn = (0..count as u64).into_par_iter().map(|index| {
        let scene = generate_one(index, seed);
        let path = folder.join(image_path(scene.index));
        std::fs::write(&path, scene.png()?).with_context(|| path.display().to_string())?;
        progress.add(1);
        Ok(Scene { image: Default::default(), ..scene })
    });
    let scenes = drawn.collect::<anyhow::Result<Vec<Scene>>>()?;
    let objects = scenes.iter().flat_map(objects).collect();
    let captions = scenes.into_iter().map(|scene| scene.captions).collect();
    Ok(Demo { objects, dataset: dataset(folder, captions) })
}

/// The same dataset without its pictures: nothing is drawn, nothing written.
pub fn describe(count: usize, seed: u64) -> RawDataset {
    dataset(Path::new(""), (0..count as u64).into_par_iter().map(|index| describe_one(index, seed)).collect())
}

/// Scenes of these captions, in their order.
fn dataset(root: &Path, captions: Vec<[String; CAPTIONS]>) -> RawDataset {
    let image = |index| RawImage { image_id: image_id(index), path: image_path(index), split: None };
    let images: Vec<RawImage> = (0..captions.len() as u64).map(image).collect();
    let of_image = |(image, captions): (&RawImage, [String; CAPTIONS])| {
        let image_id = image.image_id.clone();
        captions.into_iter().map(move |caption| RawCaption { image_id: image_id.clone(), caption })
    };
    RawDataset {
        root: root.to_owned(),
        captions: images.iter().zip(captions).flat_map(of_image).collect(),
        images,
        skipped: Vec::new(),
        notes: Vec::new(),
        sources: Vec::new(),
    }
}

fn image_id(index: u64) -> String {
    format!("scene-{index:05}")
}

fn image_path(index: u64) -> PathBuf {
    PathBuf::from(format!("{FOLDER}/{}.png", image_id(index)))
}

fn objects(scene: &Scene) -> Vec<ObjectRow> {
    let row = |object: &crate::scenes::Object| {
        let [x0, y0, x1, y1] = object.bbox;
        ObjectRow {
            image_id: image_id(scene.index),
            noun: object.noun.to_owned(),
            color: object.color.to_owned(),
            x0,
            y0,
            x1,
            y1,
        }
    };
    scene.objects.iter().map(row).collect()
}
