//! A run of the program in a temporary folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use artifacts::images::{ImageRow, Images};
use artifacts::{Manifest, captions};
use image::{Rgb, RgbImage};
use images::ImageSource;
use serde_json::Value;

/// A config, raw data below `raw/`, and the artifacts of the run.
pub(crate) struct Run {
    folder: tempfile::TempDir,
}

/// An image as the tables have it.
#[derive(Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) row: ImageRow,
    pub(crate) captions: Vec<String>,
}

impl Run {
    pub(crate) fn new(layout: &str) -> Run {
        let run = Run { folder: tempfile::tempdir().unwrap() };
        run.configure(layout, &run.path("raw").display().to_string());
        fs::create_dir(run.path("raw")).unwrap();
        run
    }

    /// Names another place, or layout.
    pub(crate) fn configure(&self, layout: &str, root: &str) {
        let folder = self.path("runs");
        let run = format!("[run]\nname = \"test\"\nfolder = \"{}\"\n", folder.display());
        // All are train but for those that a test names: small sets would leave splits empty.
        let section = format!(
            "[dataset]\nlayout = \"{layout}\"\nroot = \"{root}\"\nval_fraction = 0.0\ntest_fraction = 0.0\n"
        );
        fs::write(self.path("config.toml"), run + &section).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn raw(&self, name: &str, bytes: &[u8]) {
        let path = self.path("raw").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn dataset(&self) -> PathBuf {
        self.path("runs/test/dataset")
    }

    /// The program with these arguments, nothing of a launcher around it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataset"));
        for variable in ["RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"]
        {
            command.env_remove(variable);
        }
        command.arg("--config").arg(self.path("config.toml")).args(arguments);
        command
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs it to a finished dataset.
    #[track_caller]
    pub(crate) fn make(&self, arguments: &[&str]) -> Manifest {
        let output = self.output(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Manifest::read(&self.dataset()).unwrap()
    }

    /// Runs it, and gives what it says on failing.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    /// All images by their ids, with their captions; the bytes at every locator are those of its hash.
    #[track_caller]
    pub(crate) fn found(&self) -> BTreeMap<String, Found> {
        let images = Images::open(&self.dataset()).unwrap();
        let source = ImageSource::open(&images.root).unwrap();
        let mut found = BTreeMap::new();
        for row in images.parts.all().unwrap() {
            source.image(&row).unwrap_or_else(|error| panic!("{}: {error}", row.locator()));
            found.insert(row.image_id.clone(), Found { row, captions: Vec::new() });
        }
        for row in captions::open(&self.dataset()).unwrap().all().unwrap() {
            found.get_mut(&row.image_id).unwrap().captions.push(row.caption);
        }
        found
    }

    /// The captions of every image by its id.
    #[track_caller]
    pub(crate) fn captions(&self) -> BTreeMap<String, Vec<String>> {
        self.found().into_iter().map(|(id, found)| (id, found.captions)).collect()
    }

    /// The files of the tables with their bytes.
    pub(crate) fn tables(&self) -> BTreeMap<String, Vec<u8>> {
        let outputs = Manifest::read(&self.dataset()).unwrap().outputs.into_iter();
        outputs
            .map(|output| (output.file.clone(), fs::read(self.dataset().join(output.file)).unwrap()))
            .collect()
    }
}

/// A picture, another one for each number.
pub(crate) fn picture(number: u32) -> Vec<u8> {
    let image =
        RgbImage::from_fn(20, 16, |x, y| Rgb([(x * 12) as u8, (y * 15) as u8, (number * 37 % 251) as u8]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Warnings as (subject, reason).
pub(crate) fn warnings(manifest: &Manifest) -> Vec<(String, String)> {
    manifest.warnings.iter().map(|warning| (warning.subject.clone(), warning.reason.clone())).collect()
}

pub(crate) fn summary(manifest: &Manifest, key: &str) -> Value {
    manifest.summary.get(key).cloned().unwrap_or_default()
}

/// What must be said, piece by piece.
#[track_caller]
pub(crate) fn says(said: &str, pieces: &[&str]) {
    for piece in pieces {
        assert!(said.contains(piece), "{piece:?} is missing in: {said}");
    }
}

pub(crate) fn map(entries: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let owned = |texts: &&[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    entries.iter().map(|(id, texts)| (id.to_string(), owned(texts))).collect()
}

pub(crate) fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
