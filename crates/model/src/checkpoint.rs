//! The checkpoint: one safetensors file with everything that captioning needs to know beside the CNN's weights.
//!
//! Tensors of the decoder, and in the header its architecture, the vocabulary, and what the features must be made
//! with (backbone, its weights' hash, the image transform), so that training and inference cannot see different images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artifacts::features::{FeatureSpec, Join};
use artifacts::vocabulary::Vocabulary;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Tensor};

use crate::decoder::{Decoder, DecoderConfig, Dimensions};
use crate::weights::{self, NamedTensors, WeightsError};

/// File name in the train folder.
pub const FILE: &str = "model.safetensors";
const KEY: &str = "captioning.checkpoint";
const FORMAT: u32 = 2;

/// What a checkpoint knows beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The decoder's architecture.
    pub decoder: DecoderConfig,
    /// The words it writes.
    pub vocabulary: Vocabulary,
    /// The features it reads; of several sets, the channels side by side.
    pub features: Vec<FeatureSpec>,
    /// Stage, settings and inputs of its training.
    pub provenance: serde_json::Value,
}

impl Header {
    /// What the decoder learns from its data.
    pub fn dimensions(&self) -> Dimensions {
        let join = Join::new(&self.features);
        Dimensions {
            channels: join.channels() as i64,
            regions: join.grid().iter().product::<usize>() as i64,
            vocabulary: self.vocabulary.len() as i64,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Versioned {
    format: u32,
    #[serde(flatten)]
    header: Header,
}

/// A checkpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file is damaged or does not hold the network that its header describes.
    #[error("checkpoint {0}")]
    File(#[from] WeightsError),
    /// A safetensors file, but not one of ours, or of another version.
    #[error("{} is no checkpoint of this program: {reason}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A decoder ready to write captions.
pub struct Model {
    /// What it knows beside its weights.
    pub header: Header,
    /// The network.
    pub decoder: Box<dyn Decoder>,
    dimensions: Dimensions,
    store: VarStore,
}

impl Model {
    /// The same decoder for another thread; the two share the memory of the weights.
    ///
    /// A tensor may move between threads but not be shared by them.
    pub fn share(&self) -> Result<Model, tch::TchError> {
        let store = VarStore::new(self.device());
        let decoder = self.header.decoder.build(&store.root(), self.dimensions);
        let ours = self.store.variables();
        for (name, mut variable) in store.variables() {
            if let Some(source) = ours.get(&name) {
                tch::no_grad(|| variable.f_set_data(source))?;
            }
        }
        Ok(Model { header: self.header.clone(), dimensions: self.dimensions, decoder, store })
    }

    /// Where the network runs.
    pub fn device(&self) -> Device {
        self.store.device()
    }

    /// Number of trained numbers.
    pub fn parameters(&self) -> usize {
        self.store.variables().values().map(tch::Tensor::numel).sum()
    }
}

/// Writes the decoder of `store` with its header, atomically.
pub fn save(path: &Path, header: &Header, store: &VarStore) -> Result<(), CheckpointError> {
    let versioned = Versioned { format: FORMAT, header: header.clone() };
    let json = serde_json::to_string(&versioned)
        .map_err(|error| CheckpointError::Header { path: path.to_owned(), reason: error.to_string() })?;
    let tensors = store.variables().into_iter().collect();
    Ok(weights::write_safetensors(path, &tensors, &BTreeMap::from([(KEY.to_owned(), json)]))?)
}

/// Loads a checkpoint onto `device`.
pub fn load(path: &Path, device: Device) -> Result<Model, CheckpointError> {
    let file = weights::read(path)?;
    let refuse = |reason: String| CheckpointError::Header { path: path.to_owned(), reason };
    let json = file.metadata().get(KEY).ok_or_else(|| refuse(format!("it has no header entry {KEY}")))?;
    let value: serde_json::Value = serde_json::from_str(json).map_err(|error| refuse(error.to_string()))?;
    if value.get("format").and_then(serde_json::Value::as_u64) != Some(u64::from(FORMAT)) {
        return Err(refuse(format!("its format is {:?}, this program reads {FORMAT}", value.get("format"))));
    }
    let header =
        serde_json::from_value::<Versioned>(value).map_err(|error| refuse(error.to_string()))?.header;
    let store = VarStore::new(device);
    let decoder = header.decoder.build(&store.root(), header.dimensions());
    restore(&file, store.variables())?;
    Ok(Model { header, decoder, dimensions, store })
}

/// Puts the decoder of a checkpoint into `store`, which holds the same architecture.
pub fn restore_decoder(path: &Path, store: &VarStore) -> Result<(), CheckpointError> {
    Ok(restore(&weights::read(path)?, store.variables())?)
}

/// Fills `targets` with the tensors of the same names and shapes.
pub fn restore(
    file: &NamedTensors,
    targets: impl IntoIterator<Item = (String, Tensor)>,
) -> Result<(), WeightsError> {
    for (name, mut target) in targets {
        let source = file.get(&name, &target.size())?;
        tch::no_grad(|| target.copy_(&source));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::decoder::SoftAttentionConfig;

    fn header() -> Header {
        let features = FeatureSpec {
            backbone: "resnet18".to_owned(),
            view: Default::default(),
            weights_sha256: "0".repeat(64),
            transform: serde_json::json!({ "crop": 224 }),
            grid: [2, 2],
            channels: 6,
        };
        Header {
            decoder: DecoderConfig::SoftAttention(SoftAttentionConfig {
                hidden_size: 7,
                ..Default::default()
            }),
            vocabulary: Vocabulary::new(["dog".to_owned(), "runs".to_owned()]).unwrap(),
            features: vec![features],
            provenance: serde_json::json!({ "seed": 1 }),
        }
    }

    fn saved(path: &Path) -> (VarStore, Box<dyn Decoder>) {
        let store = VarStore::new(Device::Cpu);
        let decoder =
            header().decoder.build(&store.root(), Dimensions { channels: 6, regions: 4, vocabulary: 6 });
        save(path, &header(), &store).unwrap();
        (store, decoder)
    }

    #[test]
    fn a_loaded_decoder_scores_as_the_saved_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let (_store, decoder) = saved(&path);
        let loaded = load(&path, Device::Cpu).unwrap();
        assert_eq!(loaded.header, header());
        let grid = Tensor::rand([1, 4, 6], (Kind::Float, Device::Cpu));
        let words = Tensor::from_slice(&[1i64, 4, 5]).view([1, 1, 3]);
        let score =
            |decoder: &dyn Decoder| decoder.forward(&decoder.encode(&grid, false), &words, false).logits;
        assert_eq!(score(decoder.as_ref()), score(loaded.decoder.as_ref()));
    }

    #[test]
    fn a_shared_decoder_scores_as_the_first_on_a_thread_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        saved(&path);
        let first = load(&path, Device::Cpu).unwrap();
        let second = first.share().unwrap();
        let (of_first, of_second) = (first.store.variables(), second.store.variables());
        assert!(of_first.iter().all(|(name, tensor)| tensor.data_ptr() == of_second[name].data_ptr()));
        let score = |model: &Model| {
            let grid = Tensor::ones([1, 4, 6], (Kind::Float, Device::Cpu));
            let words = Tensor::from_slice(&[1i64, 4, 5]).view([1, 1, 3]);
            let logits = model.decoder.forward(&model.decoder.encode(&grid, false), &words, false).logits;
            Vec::<f32>::try_from(logits.flatten(0, -1)).unwrap()
        };
        let of_second = std::thread::spawn(move || score(&second)).join().unwrap();
        assert_eq!(score(&first), of_second);
    }

    #[test]
    fn half_a_checkpoint_and_foreign_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        saved(&path);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let error = load(&path, Device::Cpu).err().unwrap().to_string();
        assert!(error.contains("is not a usable weight file"), "{error}");
        let foreign = BTreeMap::from([("w".to_owned(), Tensor::ones([1], (Kind::Float, Device::Cpu)))]);
        weights::write_safetensors(&path, &foreign, &BTreeMap::new()).unwrap();
        let error = load(&path, Device::Cpu).err().unwrap().to_string();
        assert!(error.contains("is no checkpoint of this program"), "{error}");
    }
}
