//! A finished set of features as people want to know it: what is in it, how large it is, and which images it finds alike.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use artifacts::features::{FeatureKey, FeaturePart, FeatureSet, FeatureSpec};
use artifacts::images::Images;
use artifacts::table::{self, TableError};
use artifacts::{Locator, Manifest, RunFolder, Split};
use half::f16;
use half::slice::HalfFloatSliceExt;
use image::codecs::png::PngEncoder;
use images::ImageSource;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;
use stage::progress::Progress;

use crate::contact_sheet;

/// What `preprocess inspect` is asked for.
#[derive(clap::Args)]
pub struct Request {
    /// A folder of features: data/runs/NAME/features/SET.
    pub folder: PathBuf,
    /// Looks for the images most like this one.
    #[arg(long, value_name = "IMAGE_ID")]
    pub like: Option<String>,
    /// How many of them.
    #[arg(long, value_name = "N", default_value_t = 11, requires = "like")]
    pub neighbours: usize,
    /// Draws the image and its neighbours into a PNG.
    #[arg(long, value_name = "PNG", requires = "like")]
    pub sheet: Option<PathBuf>,
    /// Prints one JSON object, for programs.
    #[arg(long)]
    pub json: bool,
}

/// What a set of features holds.
#[derive(Serialize)]
pub struct Report {
    /// The set that was read: `features/<set>`.
    pub folder: PathBuf,
    /// Backbone, view, weights, transform, shape.
    pub features: FeatureSpec,
    /// Stage, settings and inputs.
    pub provenance: serde_json::Value,
    /// Columns with their Arrow types.
    pub columns: Vec<(String, String)>,
    /// Images of each split.
    pub splits: BTreeMap<Split, usize>,
    /// Images with features.
    pub rows: usize,
    /// Images without, which the manifest names.
    pub skipped: usize,
    /// Parquet files.
    pub parts: usize,
    /// Size of all parts together, in bytes.
    pub bytes: u64,
    /// `bytes` by `rows`.
    pub bytes_per_image: f64,
    /// Share of zeros among the grids' numbers.
    pub zeros: f64,
    /// Smallest and largest Euclidean norm of the pooled vectors.
    pub pooled_norms: [f64; 2],
    /// The image asked for and those most like it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub like: Option<Like>,
}

/// An image and its neighbours.
#[derive(Serialize)]
pub struct Like {
    /// As in `images/part-*.parquet`.
    pub image_id: String,
    /// Others, the most alike first.
    pub neighbours: Vec<Neighbour>,
}

/// An image beside another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Neighbour {
    /// As in `images/part-*.parquet`.
    pub image_id: String,
    /// Where the dataset put it; neighbours come from all splits.
    pub split: Split,
    /// Cosine between the pooled vectors; 0 where one is all zeros.
    pub cosine: f64,
}

/// Reads all features of the folder, and draws the sheet if one is wanted.
///
/// # Errors
///
/// An unfinished or damaged set, an image id that is not in it, or a sheet whose images or file fail.
pub fn inspect(request: &Request) -> anyhow::Result<Report> {
    let folder = &request.folder;
    let manifest = Manifest::read(folder)?;
    let set = FeatureSet::open(folder)?;
    let parts: Vec<FeaturePart> = set.parts().collect::<Result<_, _>>()?;
    let rows: Vec<Row> = parts.iter().flat_map(Row::all).collect();
    let query = request.like.as_deref().map(|id| Query::find(id, &rows, folder)).transpose()?;

    let progress = Progress::new("inspect", "images", rows.len(), request.json);
    let measure = |row: &Row| -> Result<Measured, TableError> {
        let measured = row.measure(query.as_ref())?;
        progress.add(1);
        Ok(measured)
    };
    let measured: Vec<Measured> = rows.par_iter().map(measure).collect::<Result<_, _>>()?;
    drop(progress);

    let mut splits = BTreeMap::new();
    for row in &rows {
        *splits.entry(row.key.split).or_default() += 1;
    }
    let bytes = manifest.outputs.iter().map(|output| output.bytes).sum();
    let zeros: usize = measured.iter().map(|row| row.zeros).sum();
    let numbers = rows.len() * set.spec().regions() * set.spec().channels;
    let norms = measured.iter().map(|row| row.norm);
    let like = query.map(|query| Like {
        image_id: query.image_id.clone(),
        neighbours: query.nearest(&rows, &measured, request.neighbours),
    });
    if let (Some(like), Some(path)) = (&like, &request.sheet) {
        draw(folder, like, path)?;
    }
    Ok(Report {
        folder: folder.clone(),
        features: set.spec().clone(),
        provenance: manifest.recipe.provenance(),
        columns: table::columns(&parts[0].path)?,
        splits,
        rows: rows.len(),
        skipped: manifest.warnings.len(),
        parts: parts.len(),
        bytes,
        bytes_per_image: bytes as f64 / rows.len().max(1) as f64,
        zeros: zeros as f64 / numbers.max(1) as f64,
        pooled_norms: [norms.clone().fold(f64::INFINITY, f64::min), norms.fold(0.0, f64::max)],
        like,
    })
}

/// A row of a part.
struct Row<'a> {
    part: &'a FeaturePart,
    number: usize,
    key: &'a FeatureKey,
}

/// What is worth knowing of a row.
struct Measured {
    norm: f64,
    zeros: usize,
    /// Product of its pooled vector with that of the query.
    dot: f64,
}

impl<'a> Row<'a> {
    fn all(part: &'a FeaturePart) -> impl Iterator<Item = Row<'a>> {
        part.keys.iter().enumerate().map(move |(number, key)| Row { part, number, key })
    }

    fn pooled(&self) -> Result<Vec<f32>, TableError> {
        Ok(self.part.pooled(self.number)?.to_f32_vec())
    }

    fn measure(&self, query: Option<&Query>) -> Result<Measured, TableError> {
        let pooled = self.pooled()?;
        let mut grid = Vec::new();
        self.part.grid(self.number, &mut grid)?;
        Ok(Measured {
            norm: dot(&pooled, &pooled).sqrt(),
            zeros: grid.iter().filter(|&&value| value == f16::ZERO).count(),
            dot: query.map_or(0.0, |query| dot(&pooled, &query.pooled)),
        })
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// The image whose neighbours are wanted.
struct Query {
    image_id: String,
    /// Its place among the rows.
    place: usize,
    pooled: Vec<f32>,
}

impl Query {
    fn find(image_id: &str, rows: &[Row], folder: &Path) -> anyhow::Result<Query> {
        let Some(place) = rows.iter().position(|row| row.key.image_id == image_id) else {
            let example = rows.first().map_or("", |row| row.key.image_id.as_str());
            bail!("{} has no image {image_id:?}; its first is {example:?}", folder.display());
        };
        Ok(Query { image_id: image_id.to_owned(), place, pooled: rows[place].pooled()? })
    }

    fn nearest(&self, rows: &[Row], measured: &[Measured], count: usize) -> Vec<Neighbour> {
        let own = measured[self.place].norm;
        let others = rows.iter().zip(measured).enumerate().filter(|(place, _)| *place != self.place);
        let neighbour = |(_, (row, measured)): (usize, (&Row, &Measured))| {
            let norms = own * measured.norm;
            Neighbour {
                image_id: row.key.image_id.clone(),
                split: row.key.split,
                cosine: if norms > 0.0 { measured.dot / norms } else { 0.0 },
            }
        };
        let mut neighbours: Vec<Neighbour> = others.map(neighbour).collect();
        // Stable: equal ones stay in the order of the set.
        neighbours.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
        neighbours.truncate(count);
        neighbours
    }
}

/// Draws the query and its neighbours; the run that the folder lies in knows where the images are.
fn draw(folder: &Path, like: &Like, path: &Path) -> anyhow::Result<()> {
    let absolute = folder.canonicalize().with_context(|| folder.display().to_string())?;
    let run = absolute.ancestors().nth(2).context("the folder is not below a run's features folder")?;
    let images = Images::open(&RunFolder::new(run).dataset())?;
    let source = ImageSource::open(&images.root)?;
    let label = |neighbour: &Neighbour| (neighbour.image_id.clone(), format!("{:.3}", neighbour.cosine));
    let labels =
        std::iter::once((like.image_id.clone(), "like".to_owned())).chain(like.neighbours.iter().map(label));
    let labels: Vec<(String, String)> = labels.collect();
    let wanted: HashSet<&str> = labels.iter().map(|(image_id, _)| image_id.as_str()).collect();
    let mut found: HashMap<String, Locator> = HashMap::new();
    for row in images.parts.rows() {
        let row = row?;
        if wanted.contains(row.image_id.as_str()) {
            found.insert(row.image_id.clone(), row.locator());
        }
    }
    let mut tiles = Vec::new();
    for (image_id, title) in &labels {
        let locator =
            found.get(image_id).with_context(|| format!("{image_id}: not in the dataset any more"))?;
        let name = || source.folder().place_of(&locator.to_string());
        let photo = imaging::decode(&source.bytes(locator).with_context(name)?).with_context(name)?;
        tiles.push(contact_sheet::Tile::new(&photo, title.clone(), image_id.clone()));
    }
    let sheet = contact_sheet::draw(&tiles);
    artifacts::atomic::write(path, |out| {
        sheet.write_with_encoder(PngEncoder::new(out)).map_err(std::io::Error::other)
    })
    .with_context(|| path.display().to_string())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FeatureSpec { backbone, view, weights, weights_sha256, onnx, grid, channels, .. } =
            &self.features;
        let weights = match onnx {
            Some(onnx) => format!("output `{}` of the ONNX file", onnx.output),
            None if weights.is_published() => "weights".to_owned(),
            None => "tuned weights".to_owned(),
        };
        writeln!(f, "{}", self.folder.display())?;
        writeln!(f, "made by    {backbone}, view {view}, {weights} sha256:{weights_sha256}")?;
        writeln!(f, "settings   {}", self.provenance["settings"])?;
        writeln!(f, "inputs     {}", self.provenance["inputs"])?;
        for (name, data_type) in &self.columns {
            writeln!(f, "column     {name}: {data_type}")?;
        }
        let splits: Vec<String> =
            self.splits.iter().map(|(split, count)| format!("{split} {count}")).collect();
        writeln!(f, "images     {} ({}), {} skipped", self.rows, splits.join(", "), self.skipped)?;
        let (megabytes, kilobytes) = (self.bytes as f64 / 1e6, self.bytes_per_image / 1e3);
        writeln!(f, "size       {megabytes:.1} MB in {} parts, {kilobytes:.1} kB per image", self.parts)?;
        let [rows, columns] = grid;
        writeln!(f, "grid       {rows}×{columns}×{channels}, {:.1} % zeros", 100.0 * self.zeros)?;
        let [least, most] = self.pooled_norms;
        write!(f, "pooled     norms from {least:.3} to {most:.3}")?;
        if let Some(like) = &self.like {
            write!(f, "\nlike       {}", like.image_id)?;
            for Neighbour { image_id, split, cosine } in &like.neighbours {
                write!(f, "\n  {cosine:>8.4} {image_id} ({split})")?;
            }
        }
        Ok(())
    }
}
