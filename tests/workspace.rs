//! What tests of several crates share: a run in a temporary folder, to drive whole stages as a user would, and a browser.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what goes wrong here fails a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use artifacts::features::FeatureSpec;
use artifacts::images::{ImageRow, Images};
use artifacts::layout::TUNED_WEIGHTS;
use artifacts::vocabulary::Vocabulary;
use artifacts::{Manifest, Recipe, RunFolder, manifest};
use model::backbone::BackboneSpec;
use model::checkpoint::Header;
use model::decoder::{DecoderConfig, SoftAttentionConfig};
use model::tuned::{Calibration, TunedHeader, WordScores};
use model::weights;
use stage::cli::StageArgs;
use stage::{Context, Outcome, Stage};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use torch::precision::Precision;
use torch::weights::write_safetensors;
use torch::{checkpoint, decoder};

pub mod browser;

/// libtorch's random generator belongs to the process: whoever seeds it, or runs a stage, is alone in it.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A config, its weights and its artifacts.
pub struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    /// A run with this config below its `[run]` section; everything it makes lies in a temporary folder.
    pub fn new(config: &str) -> Workspace {
        // Tests run side by side already.
        tch::set_num_threads(1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let run = format!("[run]\nname = \"test\"\nfolder = \"{path}/runs\"\nweights = \"{path}/weights\"\n");
        std::fs::write(folder.path().join("config.toml"), run + config).unwrap();
        std::fs::create_dir(folder.path().join("weights")).unwrap();
        Workspace { folder }
    }

    /// Random weights of a backbone, in the shapes that its published file has.
    pub fn with_weights(self, backbone: &str) -> Workspace {
        let path = self.path(&format!("weights/{backbone}.safetensors"));
        write_safetensors(&path, &random_weights(backbone, 1), &BTreeMap::new()).unwrap();
        self
    }

    /// What the stage `tune` leaves of a backbone, with random weights and a head for two words; the seed of
    /// [`with_weights`](Self::with_weights) is 1.
    pub fn tune(&self, backbone: &str, seed: i64) {
        let folder = self.run_folder().tune(backbone);
        std::fs::create_dir_all(&folder).unwrap();
        let mut tensors = random_weights(backbone, seed);
        let channels = i64::from(BackboneSpec::named(backbone).unwrap().channels);
        tensors.insert("words.weight".to_owned(), Tensor::ones([2, channels], (Kind::Float, Device::Cpu)));
        tensors.insert("words.bias".to_owned(), Tensor::zeros([2], (Kind::Float, Device::Cpu)));
        let header = TunedHeader {
            backbone: backbone.to_owned(),
            words: ["dog", "tree"].map(str::to_owned).to_vec(),
            content: vec![0, 1],
            calibration: Calibration::NONE,
            scores: WordScores::default(),
            provenance: serde_json::json!({ "seed": seed }),
        };
        let said = BTreeMap::from([header.entry().unwrap()]);
        write_safetensors(&folder.join(TUNED_WEIGHTS), &tensors, &said).unwrap();
        let recipe = Recipe::new("tune", 1, &seed).unwrap();
        let manifest = Manifest {
            fingerprint: recipe.fingerprint(),
            recipe,
            model: None,
            outputs: vec![manifest::Output::of(&folder, TUNED_WEIGHTS).unwrap()],
            warnings: vec![],
            summary: Default::default(),
            seconds: 0.0,
        };
        manifest.write(&folder).unwrap();
    }

    /// A trained model's file with a decoder of random weights, large enough to make a difference between photos; it
    /// reads the features of [`with_weights`](Self::with_weights)`("resnet18")`.
    pub fn random_model(&self, path: &str, seed: i64) -> PathBuf {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let backbone = BackboneSpec::named("resnet18").unwrap();
        let features = FeatureSpec {
            backbone: backbone.name.to_owned(),
            view: Default::default(),
            weights: Default::default(),
            weights_sha256: weights::sha256_file(&self.path("weights/resnet18.safetensors")).unwrap(),
            onnx: None,
            transform: serde_json::to_value(&backbone.transform).unwrap(),
            grid: [7, 7],
            channels: backbone.channels as usize,
        };
        let words = ["a", "bird", "cat", "dog", "fish", "house", "red", "runs", "sees", "the", "tree", "two"];
        let header = Header {
            decoder: DecoderConfig::SoftAttention(SoftAttentionConfig {
                embedding_size: 16,
                feature_size: 16,
                hidden_size: 16,
                attention_size: 8,
                ..Default::default()
            }),
            vocabulary: Vocabulary::new(words.map(str::to_owned)).unwrap(),
            features: vec![features],
            provenance: serde_json::json!({ "seed": seed }),
        };
        let _alone = alone();
        tch::manual_seed(seed);
        let store = VarStore::new(Device::Cpu);
        let _decoder =
            decoder::build(&header.decoder, &store.root(), header.dimensions(), Precision::F32).unwrap();
        // In the order of their names: a hash map would give every run other weights.
        for (_, mut variable) in BTreeMap::from_iter(store.variables()) {
            let random = Tensor::randn(variable.size(), (Kind::Float, Device::Cpu)) * 2.0;
            tch::no_grad(|| variable.copy_(&random));
        }
        checkpoint::save(&path, &header, &store).unwrap();
        path
    }

    /// The images of the dataset, and where their paths start.
    pub fn images(&self) -> (PathBuf, Vec<ImageRow>) {
        let images = Images::open(&self.run_folder().dataset()).unwrap();
        (PathBuf::from(&images.root), images.parts.all().unwrap())
    }

    /// The only part of a table in an artifact folder.
    pub fn part(&self, folder: &Path, table: &str) -> PathBuf {
        let parts: Vec<_> =
            std::fs::read_dir(folder.join(table)).unwrap().map(|part| part.unwrap().path()).collect();
        assert_eq!(parts.len(), 1, "{parts:?}");
        parts[0].clone()
    }

    /// A path below the temporary folder.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Where the artifacts are.
    pub fn run_folder(&self) -> RunFolder {
        RunFolder::new(self.path("runs/test"))
    }

    /// Runs a stage with overrides like those of `--set`.
    ///
    /// # Errors
    ///
    /// What the stage says.
    pub fn run<S: Stage>(&self, overrides: &[&str]) -> anyhow::Result<Vec<Outcome>> {
        self.run_with::<S>(overrides, false)
    }

    /// Runs a stage, with `--force` or without.
    ///
    /// # Errors
    ///
    /// What the stage says.
    pub fn run_with<S: Stage>(&self, overrides: &[&str], force: bool) -> anyhow::Result<Vec<Outcome>> {
        let context = Context { force, ..self.context(overrides)? };
        let settings = context.checked::<S>()?;
        let _alone = alone();
        S::run(&settings, &context)
    }

    /// What a stage is given by the command line.
    ///
    /// # Errors
    /// A config that cannot be read, or a wrong `[run]` section.
    pub fn context(&self, overrides: &[&str]) -> anyhow::Result<Context> {
        Ok(Context::load(&self.args(overrides))?)
    }

    /// The command line of a stage.
    pub fn args(&self, overrides: &[&str]) -> StageArgs {
        StageArgs {
            config: self.path("config.toml"),
            set: overrides.iter().map(|&text| text.to_owned()).collect(),
            force: false,
            check: false,
            preview: None,
            device: "cpu".to_owned(),
            quiet: true,
            verbose: false,
            json: false,
        }
    }
}

/// Random weights of a backbone, in the shapes that its published file has.
fn random_weights(backbone: &str, seed: i64) -> BTreeMap<String, Tensor> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/model/tests/fixtures");
    let fixture = weights::read(&fixtures.join(format!("{backbone}.safetensors"))).unwrap();
    let shapes: BTreeMap<String, Vec<i64>> = serde_json::from_str(&fixture.metadata()["shapes"]).unwrap();
    let _alone = alone();
    tch::manual_seed(seed);
    let tensor = |name: &str, shape: &[i64]| {
        let options = (Kind::Float, Device::Cpu);
        let inputs = shape.iter().skip(1).product::<i64>() as f64;
        match shape.len() {
            4 => Tensor::randn(shape, options) * (2.0 / inputs).sqrt(),
            // Both ways through a ResNet block: features stay near 1, as those of published weights do.
            _ if name.ends_with(".bn2.weight") || name.ends_with(".downsample.1.weight") => {
                Tensor::full(shape, 0.5, options)
            }
            _ if name.ends_with("weight") || name.ends_with("running_var") => Tensor::ones(shape, options),
            _ => Tensor::zeros(shape, options),
        }
    };
    shapes.iter().map(|(name, shape)| (name.clone(), tensor(name, shape))).collect()
}

/// A program of the workspace, built as the tests are.
pub fn program(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if !built.contains(name) {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let args = ["build", "--workspace", "--bin", name, "--locked", "--offline", "--quiet"];
        let status = Command::new(cargo).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
        assert!(status.success(), "{name} does not build");
        built.insert(name.to_owned());
    }
    // This test is target/<profile>/deps/<test>.
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join(name)
}

/// The message of a failed stage with all its causes, as the command line prints it.
pub fn message<T>(result: anyhow::Result<T>) -> String {
    format!("{:#}", result.err().expect("the stage should fail"))
}
