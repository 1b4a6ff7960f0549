//! Whether the model looks at what it names: attention against the boxes of the demo scenes' objects.
//!
//! For every word of a caption that names an object of the scene, two numbers: the share of the attention that lies
//! inside the object's box, and the pointing game (Zhang et al. 2016): whether the middle of the most attended region
//! lies in the box, or within [`TOLERANCE`] pixels of it. Beside them what maps get that know nothing of the image.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use artifacts::images::Images;
use artifacts::objects::{self, ObjectRow};
use artifacts::{Manifest, table};
use imaging::Transform;
use imaging::attention::seen_share;
use scoring::{Beside, Found, Grounding};

use crate::captioned::Captioned;

/// Pixels of the network's input around a box that still count, as in the pointing game's paper.
const TOLERANCE: f64 = 15.0;
/// Width of the centre-bias map, in sides of the crop.
const CENTRE_SIGMA: f64 = 0.25;
/// Points per side of a region at which its overlap with boxes is taken.
const SAMPLES: usize = 16;

/// The objects of every scene with the size of its image.
pub(crate) struct Objects(HashMap<String, (Vec<ObjectRow>, [u32; 2])>);

impl Objects {
    /// The content hash of the boxes; `None` for datasets without them.
    pub(crate) fn hash(dataset: &Path) -> anyhow::Result<Option<String>> {
        Ok(Manifest::read(dataset)?.hash_of(dataset, objects::FILE).ok())
    }

    /// Reads `objects.parquet`.
    pub(crate) fn read(dataset: &Path) -> anyhow::Result<Objects> {
        let (rows, _) = table::read::<ObjectRow>(&dataset.join(objects::FILE))?;
        let images = Images::open(dataset)?.parts.all()?.into_iter();
        let mut scenes: HashMap<String, (Vec<ObjectRow>, [u32; 2])> =
            images.map(|image| (image.image_id, (vec![], [image.width, image.height]))).collect();
        for row in rows {
            if let Some((objects, _)) = scenes.get_mut(&row.image_id) {
                objects.push(row);
            }
        }
        Ok(Objects(scenes))
    }
}

/// Measures captions whose words carry attention; `None` when no word names an object.
pub(crate) fn measure(
    captions: &[Captioned],
    objects: &Objects,
    transform: &Transform,
    grid: [usize; 2],
) -> Option<Grounding> {
    let tolerance = TOLERANCE / f64::from(transform.crop);
    let uniform = vec![1.0; grid[0] * grid[1]];
    let centre = centre_map(grid);
    let mut grounding = Grounding {
        protocol: format!(
            "attention of the word that names the object, boxes cut to the crop; pointing: the middle of the most \
             attended region within {TOLERANCE} px of the box; centre: a Gaussian, sigma {CENTRE_SIGMA} of the side"
        ),
        all: Found::default(),
        nouns: BTreeMap::new(),
        out_of_sight: 0,
    };
    for captioned in captions {
        let Some((objects, [width, height])) = objects.0.get(&captioned.image_id) else { continue };
        let seen = seen_share(transform, *width, *height);
        for (word, look) in captioned.best.caption.split(' ').zip(&captioned.attention) {
            let named: Vec<&ObjectRow> = objects.iter().filter(|object| names(word, &object.noun)).collect();
            let Some(noun) = named.first().map(|object| object.noun.clone()) else { continue };
            let boxes: Vec<[f64; 4]> =
                named.iter().filter_map(|object| in_crop(object, seen, [*width, *height])).collect();
            if boxes.is_empty() {
                grounding.out_of_sight += 1;
                continue;
            }
            let look: Vec<f64> = look.iter().map(|&share| f64::from(share)).collect();
            let (covered, near) = (coverage(&boxes, grid), pointed_at(&boxes, grid, tolerance));
            let mass = Beside {
                model: mass(&look, &covered),
                uniform: mass(&uniform, &covered),
                centre: mass(&centre, &covered),
            };
            let pointing =
                Beside { model: hit(&look, &near), uniform: mean(&near), centre: hit(&centre, &near) };
            grounding.all.add(mass, pointing);
            grounding.nouns.entry(noun).or_default().add(mass, pointing);
        }
    }
    (grounding.all.words > 0).then_some(grounding)
}

/// Whether a word is a noun, in singular or plural.
fn names(word: &str, noun: &str) -> bool {
    word.strip_prefix(noun).is_some_and(|ending| ["", "s", "es"].contains(&ending))
}

/// A box as shares of the crop's sides; `None` when the crop left it out.
fn in_crop(object: &ObjectRow, seen: [f64; 4], size: [u32; 2]) -> Option<[f64; 4]> {
    let place = |pixel: f32, side: u32, from: f64, to: f64| {
        ((f64::from(pixel) / f64::from(side.max(1)) - from) / (to - from)).clamp(0.0, 1.0)
    };
    let [width, height] = size;
    let cut = [
        place(object.x0, width, seen[0], seen[2]),
        place(object.y0, height, seen[1], seen[3]),
        place(object.x1, width, seen[0], seen[2]),
        place(object.y1, height, seen[1], seen[3]),
    ];
    (cut[0] < cut[2] && cut[1] < cut[3]).then_some(cut)
}

fn inside(x: f64, y: f64, boxes: &[[f64; 4]], margin: f64) -> bool {
    boxes.iter().any(|[x0, y0, x1, y1]| {
        (x0 - margin..=x1 + margin).contains(&x) && (y0 - margin..=y1 + margin).contains(&y)
    })
}

/// The share of every region that lies in one of the boxes, `[rows × columns]`.
fn coverage(boxes: &[[f64; 4]], grid: [usize; 2]) -> Vec<f64> {
    let [rows, columns] = grid;
    let at = |cell: usize, sample: usize, cells: usize| {
        (cell as f64 + (sample as f64 + 0.5) / SAMPLES as f64) / cells as f64
    };
    let cell = |row: usize, column: usize| {
        let points = (0..SAMPLES * SAMPLES).filter(|point| {
            inside(at(column, point % SAMPLES, columns), at(row, point / SAMPLES, rows), boxes, 0.0)
        });
        points.count() as f64 / (SAMPLES * SAMPLES) as f64
    };
    (0..rows * columns).map(|region| cell(region / columns, region % columns)).collect()
}

/// For every region 1 when its middle is in a box or within `tolerance` of it, or else 0.
fn pointed_at(boxes: &[[f64; 4]], grid: [usize; 2], tolerance: f64) -> Vec<f64> {
    let [rows, columns] = grid;
    let middle = |cell: usize, cells: usize| (cell as f64 + 0.5) / cells as f64;
    let hit = |region: usize| {
        inside(middle(region % columns, columns), middle(region / columns, rows), boxes, tolerance)
    };
    (0..rows * columns).map(|region| f64::from(u8::from(hit(region)))).collect()
}

/// The share of a map inside the boxes.
fn mass(map: &[f64], covered: &[f64]) -> f64 {
    let total: f64 = map.iter().sum();
    let inside: f64 = map.iter().zip(covered).map(|(share, covered)| share * covered).sum();
    if total > 0.0 { inside / total } else { 0.0 }
}

/// Whether the largest value of a map points at a box; of equals, the mean over them.
fn hit(map: &[f64], near: &[f64]) -> f64 {
    let most = map.iter().copied().fold(f64::MIN, f64::max);
    let largest: Vec<f64> =
        map.iter().zip(near).filter(|(value, _)| **value == most).map(|(_, &near)| near).collect();
    mean(&largest)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn centre_map(grid: [usize; 2]) -> Vec<f64> {
    let [rows, columns] = grid;
    let offset = |cell: usize, cells: usize| (cell as f64 + 0.5) / cells as f64 - 0.5;
    let value = |region: usize| {
        let (x, y) = (offset(region % columns, columns), offset(region / columns, rows));
        (-(x * x + y * y) / (2.0 * CENTRE_SIGMA * CENTRE_SIGMA)).exp()
    };
    (0..rows * columns).map(value).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn object(noun: &str, bounds: [f32; 4]) -> ObjectRow {
        let [x0, y0, x1, y1] = bounds;
        ObjectRow { image_id: "1".into(), noun: noun.into(), color: "red".into(), x0, y0, x1, y1 }
    }

    /// A scene of 200 × 100 pixels, of which a crop of 100 keeps the middle, seen as 4 × 4 regions of 25 pixels.
    fn measured(caption: &str, maps: &[[f32; 16]], objects: Vec<ObjectRow>) -> Option<Grounding> {
        let transform: Transform = serde_json::from_value(serde_json::json!({
            "resize": 100, "crop": 100, "interpolation": "bilinear", "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0],
        }))
        .unwrap();
        let mut captioned = Captioned::given("1", caption);
        captioned.attention = maps.iter().map(|map| Arc::from(*map)).collect();
        let scenes = HashMap::from([("1".to_owned(), (objects, [200, 100]))]);
        measure(&[captioned], &Objects(scenes), &transform, [4, 4])
    }

    fn on(region: usize) -> [f32; 16] {
        std::array::from_fn(|index| f32::from(u8::from(index == region)))
    }

    #[test]
    fn attention_inside_the_box_counts_in_the_crops_geometry() {
        // Pixels 50–75 of the photo are the first quarter of the crop: region 0.
        let ball = object("ball", [50.0, 0.0, 75.0, 25.0]);
        let found = measured("two balls", &[on(5), on(0)], vec![ball.clone()]).unwrap().all;
        assert_eq!(found.words, 1);
        assert_eq!((found.mass.model, found.pointing.model), (1.0, 1.0));
        assert!((found.mass.uniform - 1.0 / 16.0).abs() < 1e-12);
        // 15 pixels around the box reach no middle of another region (12.5 pixels beyond its edge): 3 do, at a corner too.
        assert_eq!(found.pointing.uniform, 4.0 / 16.0);
        assert!(found.mass.centre < found.mass.uniform && found.pointing.centre == 0.25);
        let missed = measured("a ball", &[on(0), on(15)], vec![ball]).unwrap().all;
        assert_eq!((missed.mass.model, missed.pointing.model), (0.0, 0.0));
    }

    #[test]
    fn objects_of_one_noun_are_one_target_and_nouns_are_told_apart() {
        let half = object("dog", [50.0, 0.0, 62.5, 25.0]);
        let other = object("dog", [125.0, 75.0, 150.0, 100.0]);
        let tree = object("tree", [75.0, 0.0, 100.0, 25.0]);
        let maps = [on(0), on(0), on(1), on(1)];
        let found =
            measured("dogs near a tree", &[maps[0], maps[1], maps[2], maps[3]], vec![half, other, tree]);
        let found = found.unwrap();
        assert_eq!(found.nouns.keys().collect::<Vec<_>>(), ["dog", "tree"]);
        assert!((found.nouns["dog"].mass.model - 0.5).abs() < 1e-12);
        assert!((found.nouns["dog"].mass.uniform - 1.5 / 16.0).abs() < 1e-12);
        assert_eq!(found.nouns["tree"].mass.model, 1.0);
        assert_eq!(found.all.words, 2);
        assert!((found.all.mass.model - 0.75).abs() < 1e-12);
    }

    #[test]
    fn an_object_outside_the_crop_is_counted_apart_and_nothing_named_is_nothing_measured() {
        let ball = object("ball", [0.0, 0.0, 40.0, 40.0]);
        let boat = object("boat", [100.0, 0.0, 125.0, 25.0]);
        let found = measured("ball boat", &[on(0), on(2)], vec![ball.clone(), boat]).unwrap();
        assert_eq!((found.out_of_sight, found.all.words, found.all.mass.model), (1, 1, 1.0));
        assert_eq!(measured("a cat", &[on(0), on(0)], vec![ball]), None);
    }
}
