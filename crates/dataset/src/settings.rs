//! What people can say of a dataset.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use store::is_address;

use crate::demo;
use crate::layout::{self, LayoutError, RawDataset};

/// Settings of the `dataset` stage.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// How the raw data lie on disk.
    pub layout: Layout,
    /// The dataset's folder. `table`: the CSV or JSONL file, with image paths relative to it, or the folder that holds it;
    /// `karpathy`, `coco`: also the JSON file itself. `webdataset`, `parquet`: a folder, one file, or numbered files
    /// (`shards/{00000..00331}.tar`), on this machine or at an address (`s3://`, `gs://`, `az://`, `https://`, `hf://datasets/ORG/NAME`).
    pub root: PathBuf,
    /// `scenes`: how many to draw.
    pub scenes: usize,
    /// Share of the images for val, where the dataset names no splits.
    pub val_fraction: f64,
    /// Share of the images for test, where the dataset names no splits; of the val images in `coco`.
    pub test_fraction: f64,
    /// The stage fails when a larger share of the images is missing or unreadable.
    pub max_bad_fraction: f64,
    /// `webdataset`, `parquet`: how images are called.
    pub ids: Ids,
    /// `parquet`: the column of captions, where it is not found by its name.
    pub caption_column: String,
    /// `webdataset`, `parquet`: reads only every n-th shard, from the i-th on: "i/n". Left empty, the environment counts, as in
    /// `preprocess.shard`.
    pub shard: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            layout: Layout::Flickr8k,
            root: PathBuf::from("data/raw/flickr8k"),
            scenes: 2400,
            val_fraction: 0.1,
            test_fraction: 0.1,
            max_bad_fraction: 0.02,
            ids: Ids::Own,
            caption_column: String::new(),
            shard: String::new(),
        }
    }
}

/// How images of a dataset in shards are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ids {
    /// As the dataset calls them: by their key, or the name of their file.
    Own,
    /// By their shard and their place in it, which no two images share.
    Place,
}

/// How the raw data lie on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Nothing on disk yet: the demo scenes are drawn.
    Scenes,
    /// A folder of images, a captions file and split files, as Flickr8k and Flickr30k are distributed.
    Flickr8k,
    /// COCO's captions_train and captions_val files, or others in its format, with a folder of images each.
    Coco,
    /// Karpathy's splits of COCO, Flickr8k or Flickr30k: one JSON file.
    Karpathy,
    /// A table, CSV or JSONL: image, caption and, if wanted, split.
    Table,
    /// Images, each with a text file of captions beside it.
    Folder,
    /// Tar archives of images with their captions, as img2dataset and WebDataset write them.
    #[serde(rename = "webdataset")]
    WebDataset,
    /// Parquet files with the images inside, as on the Hugging Face hub.
    Parquet,
}

/// How the shards of a layout are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    WebDataset,
    Parquet,
}

impl Kind {
    /// How the names of its files end.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Kind::WebDataset => "tar",
            Kind::Parquet => "parquet",
        }
    }
}

impl Layout {
    /// Reads the text files of a dataset at `root`; nothing for the scenes, which are not on disk.
    pub(crate) fn read(self, root: &Path) -> Result<Option<RawDataset>, LayoutError> {
        Ok(Some(match self {
            Layout::Scenes | Layout::WebDataset | Layout::Parquet => return Ok(None),
            Layout::Flickr8k => layout::flickr8k::read(root)?,
            Layout::Coco => layout::coco::read(root)?,
            Layout::Karpathy => layout::karpathy::read(root)?,
            Layout::Table => layout::table::read(root, None)?,
            Layout::Folder => layout::folder::read(root)?,
        }))
    }

    /// How its shards are read, where it has some.
    pub(crate) fn shards(self) -> Option<Kind> {
        match self {
            Layout::WebDataset => Some(Kind::WebDataset),
            Layout::Parquet => Some(Kind::Parquet),
            _ => None,
        }
    }
}

impl Settings {
    /// The first key whose value makes no sense, with what would.
    pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
        let share = |share: f64| (0.0..1.0).contains(&share);
        let fractions = self.val_fraction + self.test_fraction;
        let problems = [
            (
                self.layout == Layout::Scenes && !demo::COUNTS.contains(&self.scenes),
                "scenes",
                "must be at least 1 and at most 1000000",
            ),
            (!share(self.val_fraction), "val_fraction", "must be at least 0 and below 1"),
            (!share(self.test_fraction), "test_fraction", "must be at least 0 and below 1"),
            (
                fractions >= 1.0,
                "test_fraction",
                "must leave images to train on: below 1 together with val_fraction",
            ),
            (!(0.0..=1.0).contains(&self.max_bad_fraction), "max_bad_fraction", "must lie between 0 and 1"),
        ];
        let problem = problems.into_iter().find(|problem| problem.0);
        problem.map(|(_, key, reason)| (key, reason.to_owned())).or_else(|| self.root_problem())
    }

    fn root_problem(&self) -> Option<(&'static str, String)> {
        if self.layout == Layout::Scenes {
            return None;
        }
        let root = self.root.to_string_lossy();
        if self.layout.shards().is_some() {
            // What patterns and addresses name, their readers say.
            if is_address(&root) || root.contains('{') {
                return None;
            }
        } else if is_address(&root) {
            let reason = format!("{root} is an address, which only the layouts webdataset and parquet read");
            return Some(("root", reason));
        }
        // A relative root starts from the working directory, which the whole path shows.
        let whole = std::path::absolute(&self.root).unwrap_or_else(|_| self.root.clone());
        let reason = || format!("{} does not exist: name the dataset's place", whole.display());
        (!self.root.exists()).then(|| ("root", reason()))
    }
}
