//! The demo scenes as a dataset on disk: pictures drawn in parallel, captions and boxes beside them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use artifacts::objects::ObjectRow;
use artifacts::progress::Progress;
use rayon::prelude::*;

use crate::layout::{RawCaption, RawDataset, RawImage};
use crate::scenes::{Scene, generate_one};

/// Drawn scenes.
pub struct Demo {
    /// The pictures (on disk) and captions.
    pub dataset: RawDataset,
    /// The box of every object.
    pub objects: Vec<ObjectRow>,
}

/// Draws the first `count` scenes of `seed` into `folder/images/`.
pub fn draw(folder: &Path, count: usize, seed: u64, progress: &Progress) -> anyhow::Result<Demo> {
    anyhow::ensure!(count > 0, "dataset.scenes must be at least 1");
    let images = folder.join("images");
    std::fs::create_dir_all(&images).with_context(|| images.display().to_string())?;
    let drawn = (0..count as u64).into_par_iter().map(|index| {
        let scene = generate_one(index, seed);
        let path = folder.join(image_path(&scene));
        std::fs::write(&path, scene.png()?).with_context(|| path.display().to_string())?;
        progress.add(1);
        Ok(Scene { image: Default::default(), ..scene })
    });
    let scenes = drawn.collect::<anyhow::Result<Vec<Scene>>>()?;
    let image = |scene: &Scene| RawImage { image_id: image_id(scene), path: image_path(scene), split: None };
    let captions = |scene: Scene| {
        let image_id = image_id(&scene);
        scene.captions.into_iter().map(move |caption| RawCaption { image_id: image_id.clone(), caption })
    };
    Ok(Demo {
        objects: scenes.iter().flat_map(objects).collect(),
        dataset: RawDataset {
            root: folder.to_owned(),
            images: scenes.iter().map(image).collect(),
            captions: scenes.into_iter().flat_map(captions).collect(),
            skipped: Vec::new(),
            sources: Vec::new(),
        },
    })
}

fn image_id(scene: &Scene) -> String {
    format!("scene-{:05}", scene.index)
}

fn image_path(scene: &Scene) -> PathBuf {
    PathBuf::from(format!("images/{}.png", image_id(scene)))
}

fn objects(scene: &Scene) -> Vec<ObjectRow> {
    let row = |object: &crate::scenes::Object| {
        let [x0, y0, x1, y1] = object.bbox;
        ObjectRow {
            image_id: image_id(scene),
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
