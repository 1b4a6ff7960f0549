//! Systems against a baseline on the same images: what a decoder gains over the one without attention.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use artifacts::manifest::read_promised;
use metrics::bootstrap::{Bootstrap, Comparison};
use serde::{Deserialize, Serialize};

use crate::rescored::Rescored;

/// File name in the folder of the comparison.
pub const FILE: &str = "comparison.json";

/// What a comparison is based on, in words.
pub const TEST: &str = "paired bootstrap over images, two-sided";

/// `comparison.json`: what each decoder gains over the baseline.
#[derive(Debug, Serialize, Deserialize)]
pub struct ComparisonFile {
    /// The system that the others are compared with.
    pub baseline: String,
    /// What the comparison is based on, in words.
    pub test: String,
    /// The draws behind intervals and p-values.
    pub bootstrap: Bootstrap,
    /// By the name of a system, what it gains by every metric that both have.
    pub models: BTreeMap<String, Comparison>,
}

impl ComparisonFile {
    /// Compares evaluation folders with the baseline's, each given with its name.
    ///
    /// # Errors
    /// When an evaluation cannot be read, or is not of the baseline's images and references.
    pub fn new(
        baseline: (&str, &Path),
        others: &[(String, PathBuf)],
        bootstrap: Bootstrap,
    ) -> anyhow::Result<ComparisonFile> {
        let (name, folder) = baseline;
        let without = Rescored::read(folder)?;
        let mut models = BTreeMap::new();
        for (other, folder) in others {
            let with = Rescored::read(folder)?;
            anyhow::ensure!(
                with.images == without.images,
                "{other} and {name} were evaluated on different images or references: run `evaluate` again"
            );
            let gain = bootstrap.compare(&[with.evaluation], std::slice::from_ref(&without.evaluation))?;
            models.insert(other.clone(), gain);
        }
        Ok(ComparisonFile { baseline: name.to_owned(), test: TEST.to_owned(), bootstrap, models })
    }

    /// Reads the comparison in its folder.
    ///
    /// # Errors
    /// When the file is not there, or was written by another version.
    pub fn read(folder: &Path) -> anyhow::Result<ComparisonFile> {
        let path = folder.join(FILE);
        let text = read_promised(&path)?;
        serde_json::from_slice(&text).with_context(|| format!("{}: run `evaluate` again", path.display()))
    }
}
