//! Checkpoints and captioners as networks of libtorch, and checkpoints written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::captioner_file::CaptionerFile;
use model::checkpoint::{self, Assembled, CheckpointError, Header};
use model::decoder::description::Description;
use model::weights::{self, NamedArrays, WeightsError};
use tch::nn::VarStore;
use tch::{Device, TchError, Tensor};

use crate::decoder::{BuildError, Network};
use crate::precision::Precision;
use crate::weights::{NamedTensors, read, write_safetensors};

/// A decoder that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// libtorch refused.
    #[error("cannot set up the decoder: {0}")]
    Torch(#[from] TchError),
}

impl From<WeightsError> for LoadError {
    fn from(error: WeightsError) -> Self {
        LoadError::Checkpoint(error.into())
    }
}

impl From<BuildError> for LoadError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Given(error) => error.into(),
            BuildError::Torch(error) => error.into(),
        }
    }
}

/// A decoder ready to write captions, or an ensemble of several.
pub struct Model {
    /// What it knows beside its weights; of an ensemble, the first member's header: vocabulary and features are those
    /// of all members, architecture and provenance only its own.
    pub header: Header,
    /// The network, its weights on the device.
    pub network: Network,
    device: Device,
    /// f32 on the device, and of the shapes in the description.
    parameters: NamedTensors,
}

impl Model {
    /// The same decoder for another thread; the two share the memory of the weights.
    ///
    /// A tensor may move between threads but not be shared by them.
    ///
    /// # Errors
    ///
    /// libtorch refuses to build the decoder again.
    pub fn share(&self) -> Result<Model, LoadError> {
        Model::new(
            self.header.clone(),
            self.network.description().clone(),
            self.parameters.share(),
            self.device,
        )
    }

    fn assemble(decoders: &[(Header, NamedArrays)], device: Device) -> Result<Model, LoadError> {
        let Assembled { header, description, parameters } = Assembled::new(decoders)?;
        Model::new(header, description, NamedTensors::of(&parameters)?.on(device)?, device)
    }

    fn new(
        header: Header,
        description: Description,
        parameters: NamedTensors,
        device: Device,
    ) -> Result<Model, LoadError> {
        let network = Network::new(description, &(&parameters).into(), Precision::F32)?;
        Ok(Model { header, network, device, parameters })
    }

    /// Where the network runs.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Number of trained numbers.
    pub fn parameters(&self) -> usize {
        self.parameters.tensors().values().map(Tensor::numel).sum()
    }
}

/// Writes the decoder of `store` with its header, atomically.
///
/// # Errors
///
/// The file cannot be written; an older one is untouched then.
pub fn save(path: &Path, header: &Header, store: &VarStore) -> Result<(), CheckpointError> {
    let entry = checkpoint::entry(header)
        .map_err(|error| CheckpointError::Header { path: path.to_owned(), reason: error.to_string() })?;
    let tensors = store.variables().into_iter().collect();
    Ok(write_safetensors(path, &tensors, &BTreeMap::from([entry]))?)
}

/// Loads a checkpoint onto `device`.
///
/// # Errors
///
/// When the file is no checkpoint, or holds other tensors than its header says.
pub fn load(path: &Path, device: Device) -> Result<Model, LoadError> {
    load_ensemble(&[path.to_owned()], device)
}

/// Loads checkpoints as one model that writes by the mean of their probabilities. They must share vocabulary and
/// features.
///
/// # Errors
///
/// Those of [`load`], no path at all, or checkpoints that write other words or read other features.
pub fn load_ensemble(paths: &[PathBuf], device: Device) -> Result<Model, LoadError> {
    let read = |path: &PathBuf| {
        let file = weights::read(path)?;
        Ok((checkpoint::header_of(&file)?, file))
    };
    let decoders = paths.iter().map(read).collect::<Result<Vec<_>, CheckpointError>>()?;
    Model::assemble(&decoders, device)
}

/// The decoder or the ensemble of a captioner.
///
/// # Errors
///
/// When a tensor is absent or has another shape, or there is no decoder.
pub fn of_captioner(captioner: &CaptionerFile, device: Device) -> Result<Model, LoadError> {
    Model::assemble(&captioner.decoders().collect::<Vec<_>>(), device)
}

/// Puts the decoder of a checkpoint into `store`, which holds the same architecture.
///
/// # Errors
///
/// The file cannot be read, or lacks a tensor of the store.
pub fn restore_decoder(path: &Path, store: &VarStore) -> Result<(), CheckpointError> {
    Ok(restore(&read(path)?, store.variables())?)
}

/// Fills `targets` with the tensors of the same names and shapes.
///
/// # Errors
///
/// A target that the file lacks or has in another shape.
pub fn restore(
    file: &NamedTensors,
    targets: impl IntoIterator<Item = (String, Tensor)>,
) -> Result<(), WeightsError> {
    for (name, mut target) in targets {
        let source = file.get(&name, &target.size())?;
        tch::no_grad(|| target.f_copy_(&source)).map_err(|error| file.refuse(&name, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use artifacts::features::FeatureSpec;
    use artifacts::vocabulary::Vocabulary;
    use model::checkpoint::FILE;
    use model::decoder::{DecoderConfig, SoftAttentionConfig};
    use tch::Kind;

    use super::*;
    use crate::decoder::{self, Decoder};

    fn header() -> Header {
        let features = FeatureSpec {
            backbone: "resnet18".to_owned(),
            view: Default::default(),
            weights: Default::default(),
            weights_sha256: "0".repeat(64),
            onnx: None,
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
            decoder::build(&header().decoder, &store.root(), header().dimensions(), Precision::F32).unwrap();
        save(path, &header(), &store).unwrap();
        (store, decoder)
    }

    /// Scores of the word after the first one.
    fn logits(network: &Network, grid: &Tensor) -> Tensor {
        let memory = network.encode(grid, None).unwrap();
        let state = network.start(&memory).unwrap();
        network.step(&memory, &state, &Tensor::from_slice(&[1i64])).unwrap().logits
    }

    /// Description and parameters decide what a network scores. Scores themselves are not compared: while other threads
    /// compute beside this one, libtorch has been seen to answer the same question twice with other last digits.
    #[test]
    fn a_loaded_decoder_is_the_saved_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let (store, decoder) = saved(&path);
        let loaded = load(&path, Device::Cpu).unwrap();
        assert_eq!(loaded.header, header());
        let parameters = loaded.parameters.tensors();
        assert_eq!(parameters.len(), store.variables().len());
        assert!(store.variables().iter().all(|(name, saved)| parameters[name] == *saved));
        assert_eq!(loaded.network.description(), decoder.network().description());
    }

    #[test]
    fn an_ensemble_averages_and_counts_its_members() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        let members = paths.each_ref().map(|path| saved(path));
        let loaded = load_ensemble(&paths, Device::Cpu).unwrap();
        assert_eq!(loaded.parameters(), 2 * load(&paths[0], Device::Cpu).unwrap().parameters());
        let grid = Tensor::rand([1, 4, 6], (Kind::Float, Device::Cpu));
        let probabilities = |network: &Network| logits(network, &grid).softmax(-1, Kind::Float);
        let [a, b] = members.each_ref().map(|(_, decoder)| probabilities(decoder.network()));
        let difference = (probabilities(&loaded.network) - (a + b) / 2.0).abs().max();
        assert!(difference.double_value(&[]) < 1e-6);
    }

    #[test]
    fn checkpoints_that_do_not_fit_make_no_ensemble() {
        let folder = tempfile::tempdir().unwrap();
        let [first, other] = ["first", "other"].map(|name| folder.path().join(name));
        let (store, _) = saved(&first);
        let refused = |header: &Header| {
            save(&other, header, &store).unwrap();
            load_ensemble(&[first.clone(), other.clone()], Device::Cpu).err().unwrap().to_string()
        };
        let vocabulary = Vocabulary::new(["dog".to_owned(), "walks".to_owned()]).unwrap();
        let error = refused(&Header { vocabulary, ..header() });
        assert!(error.contains("their vocabularies differ"), "{error}");
        let mut features = header().features;
        features[0].weights_sha256 = "1".repeat(64);
        let error = refused(&Header { features, ..header() });
        assert!(error.contains("other make no ensemble, their features differ"), "{error}");
        let error = load_ensemble(&[], Device::Cpu).err().unwrap().to_string();
        assert!(error.contains("at least one checkpoint"), "{error}");
    }

    #[test]
    fn a_shared_decoder_computes_on_a_thread_of_its_own_from_the_same_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        saved(&path);
        let first = load(&path, Device::Cpu).unwrap();
        let second = first.share().unwrap();
        let [of_first, of_second] = [&first, &second].map(|model| model.parameters.tensors());
        assert!(of_first.iter().all(|(name, tensor)| tensor.data_ptr() == of_second[name].data_ptr()));
        assert_eq!(second.network.description(), first.network.description());
        let compute = move || {
            let scores = logits(&second.network, &Tensor::ones([1, 4, 6], (Kind::Float, Device::Cpu)));
            (scores.size(), scores.isfinite().all().int64_value(&[]))
        };
        let words = header().vocabulary.len() as i64;
        assert_eq!(std::thread::spawn(compute).join().unwrap(), (vec![1, words], 1));
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
        write_safetensors(&path, &foreign, &BTreeMap::new()).unwrap();
        let error = load(&path, Device::Cpu).err().unwrap().to_string();
        assert!(error.contains("is no checkpoint of this program"), "{error}");
    }

    #[test]
    fn sizes_that_make_no_network_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let (store, _) = saved(&path);
        let config = SoftAttentionConfig { hidden_size: -7, ..Default::default() };
        save(&path, &Header { decoder: DecoderConfig::SoftAttention(config), ..header() }, &store).unwrap();
        let error = load(&path, Device::Cpu).err().unwrap().to_string();
        assert!(error.contains("its decoder's hidden_size must be at least 1"), "{error}");
    }
}
