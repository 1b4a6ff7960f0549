//! Features that another program made, taken over into the run: checked against the dataset, and written as this stage writes
//! its own.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use artifacts::features::{self, FeatureKey, FeatureRow, FeatureSpec, ForeignRow, ForeignRows, part_file};
use artifacts::images::{ImageRow, Images};
use artifacts::manifest::Warning;
use artifacts::{Manifest, Recipe};
use half::f16;
use imaging::{Interpolation, Transform};
use serde_json::json;
use stage::cli::StageArgs;
use stage::guard::{Making, Work};
use stage::{Context, Outcome, Stage};

use crate::{Preprocess, SCHEMA_VERSION, Settings, check_skipped};

/// What is taken over.
#[derive(clap::Args)]
pub struct Request {
    /// Parquet files with the columns `image_id`, as in dataset/images/part-*.parquet, and `grid`, a list of regions that are lists of
    /// numbers.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Name of the features, for preprocess.backbone.
    #[arg(long)]
    pub name: String,
    /// Rows and columns of the grid, which lies row by row; a square if it is not named.
    #[arg(long, value_name = "ROWSxCOLUMNS", value_parser = sides)]
    pub grid: Option<[usize; 2]>,
    #[command(flatten)]
    /// The config of the run, and how to speak.
    pub stage: StageArgs,
}

fn sides(text: &str) -> Result<[usize; 2], String> {
    let sides =
        text.split_once('x').and_then(|(rows, columns)| Some([rows.parse().ok()?, columns.parse().ok()?]));
    sides.ok_or_else(|| "write rows and columns, as in 7x7".to_owned())
}

/// Writes the set `features/NAME` of the run, unless it is there already.
///
/// # Errors
///
/// A name that is no folder's or a backbone's, a file that is no such table, images that the dataset does not have, or too many of
/// the dataset's that no file has.
pub fn adopt(request: &Request, context: &Context) -> anyhow::Result<Outcome> {
    let settings: Settings = context.config.section(Preprocess::NAME)?;
    let name = &request.name;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    ensure!(
        !name.is_empty() && name.chars().all(plain),
        "--name {name}: it becomes the name of a folder: write letters, digits and _"
    );
    ensure!(
        model::backbone::BackboneSpec::named(name).is_err(),
        "--name {name} is that of a backbone of this program: choose another"
    );
    let images = Images::open(&context.folder.dataset())?.parts;
    let decisive = json!({ "adopted": name, "grid": request.grid, "dtype": settings.dtype, "part_images": settings.part_images });
    let mut recipe = Recipe::new(Preprocess::NAME, SCHEMA_VERSION, &decisive)?
        .input(format!("dataset/{}", artifacts::images::FOLDER), images.hash());
    for (number, file) in request.files.iter().enumerate() {
        let hash = artifacts::recipe::digest_file(file).with_context(|| file.display().to_string())?;
        recipe = recipe.input(format!("adopted/{number}"), hash);
    }
    let folder = context.folder.features(name);
    context.guard(Preprocess::NAME, folder, recipe, Making::Anew, |work| {
        let images = images.all()?;
        Adoption { request, settings: &settings, images: &images }.write(work)
    })
}

/// The view that a grid over the whole image has, for pictures of attention; no network of ours sees through it.
const WHOLE: Transform = Transform {
    resize: 224,
    crop: 224,
    squash: true,
    mirror: false,
    interpolation: Interpolation::Bilinear,
    mean: [0.0; 3],
    std: [1.0; 3],
};

struct Adoption<'a> {
    request: &'a Request,
    settings: &'a Settings,
    images: &'a [ImageRow],
}

impl Adoption<'_> {
    fn write(&self, mut work: Work) -> anyhow::Result<Manifest> {
        let by_id: HashMap<&str, &ImageRow> =
            self.images.iter().map(|image| (image.image_id.as_str(), image)).collect();
        let mut places: BTreeMap<String, PathBuf> = BTreeMap::new();
        let (mut spec, mut rows, mut parts) = (None, vec![], vec![]);
        for file in &self.request.files {
            for row in ForeignRows::open(file)? {
                let row = row?;
                let image = by_id.get(row.image_id.as_str()).with_context(|| {
                    format!("{}: image {} is not in the dataset's images", file.display(), row.image_id)
                })?;
                if let Some(first) = places.insert(row.image_id.clone(), file.clone()) {
                    bail!("{}: image {} is also in {}", file.display(), row.image_id, first.display());
                }
                let found = self.spec_of(&row, file)?;
                let spec = spec.get_or_insert(found.clone());
                ensure!(
                    *spec == found,
                    "{}: the grid of image {} is {} regions of {} numbers, that of the first {} of {}",
                    file.display(),
                    row.image_id,
                    found.regions(),
                    found.channels,
                    spec.regions(),
                    spec.channels
                );
                rows.push(feature_row(image, &row, found.channels)?);
                if rows.len() == self.settings.part_images {
                    parts.push(self.write_part(&work, spec, parts.len(), std::mem::take(&mut rows))?);
                }
            }
        }
        let spec = spec.context("the files hold no row")?;
        if !rows.is_empty() {
            parts.push(self.write_part(&work, &spec, parts.len(), rows)?);
        }
        let missing = self.images.iter().filter(|image| !places.contains_key(&image.image_id));
        let missing: Vec<Warning> = missing
            .map(|image| Warning {
                subject: image.image_id.clone(),
                reason: "no file has its features".to_owned(),
            })
            .collect();
        check_skipped(&missing, self.images.len(), self.settings.max_bad_fraction)?;
        missing.into_iter().for_each(|Warning { subject, reason }| work.warn(subject, reason));
        let summary = [("images".to_owned(), json!(places.len()))].into_iter().collect();
        Ok(work.finish(&parts, summary)?)
    }

    fn spec_of(&self, row: &ForeignRow, file: &Path) -> anyhow::Result<FeatureSpec> {
        let side = row.regions.isqrt();
        let grid = self.request.grid.unwrap_or([side, side]);
        ensure!(
            grid[0] * grid[1] == row.regions,
            "{}: {} regions are not {}×{}: say with --grid how many rows and columns they are",
            file.display(),
            row.regions,
            grid[0],
            grid[1]
        );
        Ok(FeatureSpec {
            backbone: self.request.name.clone(),
            view: Default::default(),
            weights: Default::default(),
            // Nobody knows them: features of the same name are those of the same network.
            weights_sha256: String::new(),
            onnx: None,
            transform: serde_json::to_value(WHOLE)?,
            grid,
            channels: row.grid.len() / row.regions,
        })
    }

    fn write_part(
        &self,
        work: &Work,
        spec: &FeatureSpec,
        number: usize,
        rows: Vec<FeatureRow>,
    ) -> anyhow::Result<String> {
        let keys: Vec<FeatureKey> = rows.iter().map(|row| row.key.clone()).collect();
        let file = part_file(number, work.recipe(), &keys);
        features::write_part(&work.path(&file), spec, self.settings.dtype, &rows, &[], work.recipe(), &keys)?;
        Ok(file)
    }
}

fn feature_row(image: &ImageRow, row: &ForeignRow, channels: usize) -> anyhow::Result<FeatureRow> {
    let key = FeatureKey {
        image_id: image.image_id.clone(),
        split: image.split,
        content_hash: image.content_hash.clone(),
    };
    let mean = |channel: usize| {
        let numbers = row.grid.iter().skip(channel).step_by(channels);
        f16::from_f32((numbers.map(|&number| f64::from(number)).sum::<f64>() / row.regions as f64) as f32)
    };
    let grid: Vec<f16> = row.grid.iter().map(|&number| f16::from_f32(number)).collect();
    ensure!(
        grid.iter().all(|number| number.is_finite()),
        "image {}: its grid holds numbers beyond ±65504, the range of half precision: scale the features down",
        row.image_id
    );
    Ok(FeatureRow { key, pooled: (0..channels).map(mean).collect(), grid })
}
