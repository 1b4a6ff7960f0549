//! Where each artifact lives below a run folder.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::recipe::{Recipe, digest};
use crate::split::Split;

/// How the name of a folder ends in which an artifact is being made, beside its place.
const UNFINISHED: &str = ".unfinished";
/// Name of the folder that holds trained decoders.
const TRAIN: &str = "train";

/// File name of a backbone's weights in its folder of [`RunFolder::tune`].
pub const TUNED_WEIGHTS: &str = "weights.safetensors";

/// `content` tells a part from what other recipes and images make.
fn part(number: usize, content: &str) -> String {
    format!("part-{number:05}-{content}.parquet")
}

/// File name of part `number` of a table: another recipe, or other content that it is made of, gives another name.
pub fn part_of(number: usize, recipe: &Recipe, content: &str) -> String {
    let content = digest(format!("{} {content}", recipe.fingerprint()).as_bytes());
    part(number, &content["blake3:".len()..][..8])
}

/// Whether a file of that name is a part of a table.
pub fn is_part(file: &str) -> bool {
    file.starts_with("part-") && Path::new(file).extension().is_some_and(|extension| extension == "parquet")
}

/// The folder in which the artifact of `folder` is made, until it takes that place as a whole.
pub fn unfinished(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(UNFINISHED);
    folder.with_file_name(name)
}

/// Whether `folder` is one of those: nothing in it is finished, whatever it holds.
pub fn is_unfinished(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().ends_with(UNFINISHED))
}

/// `data/runs/<run>/`: all artifacts of one configuration.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The run folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        RunFolder(path.into())
    }

    /// The run in which a file of a trained decoder lies, `<run>/train/<model>/<file>`.
    pub fn of_trained(file: &Path) -> Option<Self> {
        let file = file.canonicalize().ok()?;
        let trainings = file.parent()?.parent()?;
        (trainings.file_name()? == TRAIN).then_some(RunFolder::new(trainings.parent()?))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `images/part-*.parquet`, `captions/part-*.parquet`, and for the demo `objects.parquet`.
    pub fn dataset(&self) -> PathBuf {
        self.0.join("dataset")
    }

    /// Weights of a backbone that were tuned for the run's captions ([`TUNED_WEIGHTS`]).
    pub fn tune(&self, backbone: &str) -> PathBuf {
        self.0.join("tune").join(backbone)
    }

    /// `part-*.parquet` of one set of features ([`set_name`](crate::features::set_name)).
    pub fn features(&self, set: &str) -> PathBuf {
        self.0.join("features").join(set)
    }

    /// `vocabulary.json` and `tokens/part-*.parquet`.
    pub fn text(&self) -> PathBuf {
        self.0.join("text")
    }

    /// A folder for each trained decoder.
    pub fn trainings(&self) -> PathBuf {
        self.0.join(TRAIN)
    }

    /// Checkpoint, resume state and logs of one trained decoder, a [`ModelId`](crate::ModelId).
    pub fn train(&self, model: impl Display) -> PathBuf {
        self.trainings().join(model.to_string())
    }

    /// Captioners that `export` packed, `<model>.safetensors`.
    pub fn exports(&self) -> PathBuf {
        self.0.join("export")
    }

    /// Captions and scores of one system on one split; that of a trained decoder is named by its
    /// [`ModelId`](crate::ModelId).
    pub fn evaluate(&self, system: impl Display, split: Split) -> PathBuf {
        self.0.join("evaluate").join(system.to_string()).join(split.as_str())
    }
}
