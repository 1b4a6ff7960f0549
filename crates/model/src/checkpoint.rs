//! The checkpoint: one safetensors file with everything that captioning needs to know beside the CNN's weights.
//!
//! Tensors of the decoder, and in the header its architecture, the vocabulary, and what the features must be made
//! with (backbone, its weights' hash, the image transform), so that training and inference cannot see different images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artifacts::features::FeatureSpec;
use artifacts::tensor_file::CHECKPOINT_KEY;
use artifacts::vocabulary::Vocabulary;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::decoder::{BuildError, Decoder, DecoderConfig, Dimensions, Ensemble};
use crate::grids::Join;
use crate::header;
use crate::precision::Precision;
use crate::weights::{self, NamedTensors, WeightsError};

/// File name in the train folder.
pub const FILE: &str = "model.safetensors";
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
            regions: join.regions() as i64,
            vocabulary: self.vocabulary.len() as i64,
        }
    }
}

/// A checkpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file is damaged or does not hold the network that its header describes.
    #[error("checkpoint {0}")]
    File(#[from] WeightsError),
    /// libtorch refused.
    #[error("cannot set up the decoder: {0}")]
    Torch(#[from] tch::TchError),
    /// A safetensors file, but not one of ours, or of another version.
    #[error("{} is no checkpoint of this program: {reason}", path.display())]
    Header {
        /// Path of what cannot be used.
        path: PathBuf,
        /// The first fault found, in words.
        reason: String,
    },
    /// Checkpoints that write other words or read other features cannot be averaged.
    #[error(
        "{} and {} make no ensemble, their {what} differ: train them on the same text and features",
        first.display(),
        other.display()
    )]
    Ensemble {
        /// The first checkpoint.
        first: PathBuf,
        /// The one that does not fit.
        other: PathBuf,
        /// `vocabularies` or `features`, for the message.
        what: &'static str,
    },
    /// No checkpoint was named.
    #[error("an ensemble needs at least one checkpoint")]
    NoMembers,
}

impl From<BuildError> for CheckpointError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Given(error) => error.into(),
            BuildError::Torch(error) => error.into(),
        }
    }
}

/// One network of a model: its parameters, f32 on its device, are those of the header's shapes.
pub(crate) struct Member {
    config: DecoderConfig,
    parameters: NamedTensors,
}

impl Member {
    /// The network `config` with the weights in `file`.
    pub(crate) fn load(
        config: &DecoderConfig,
        dimensions: Dimensions,
        file: &NamedTensors,
        device: Device,
    ) -> Result<(Member, Box<dyn Decoder>), CheckpointError> {
        if let Some(problem) = config.problem() {
            let reason = format!("its decoder's {problem}");
            return Err(CheckpointError::Header { path: file.path().to_owned(), reason });
        }
        let member = Member { config: config.clone(), parameters: file.on(device)? };
        let decoder = member.decoder(dimensions)?;
        Ok((member, decoder))
    }

    /// A network with this member's parameters, in the memory of which they lie.
    fn decoder(&self, dimensions: Dimensions) -> Result<Box<dyn Decoder>, BuildError> {
        self.config.build(&self.parameters, dimensions, Precision::F32)
    }

    /// The same for another thread.
    fn share(&self) -> Member {
        Member { config: self.config.clone(), parameters: self.parameters.below("") }
    }
}

/// A decoder ready to write captions.
pub struct Model {
    /// What it knows beside its weights; of an ensemble, the first member's header: vocabulary and features are those
    /// of all members, architecture and provenance only its own.
    pub header: Header,
    /// The network, its weights on the device.
    pub decoder: Box<dyn Decoder>,
    device: Device,
    /// One, or those of an ensemble.
    members: Vec<Member>,
}

impl Model {
    /// The same decoder for another thread; the two share the memory of the weights.
    ///
    /// A tensor may move between threads but not be shared by them.
    ///
    /// # Errors
    ///
    /// libtorch refuses to build the decoder again.
    pub fn share(&self) -> Result<Model, CheckpointError> {
        let members = self.members.iter().map(Member::share).collect();
        Model::assemble(self.header.clone(), members, self.device)
    }

    /// One decoder, or the ensemble of several, with the weights of `members`, of which there is at least one.
    pub(crate) fn assemble(
        header: Header,
        members: Vec<Member>,
        device: Device,
    ) -> Result<Model, CheckpointError> {
        let dimensions = header.dimensions();
        let mut decoders: Vec<_> =
            members.iter().map(|member| member.decoder(dimensions)).collect::<Result<_, _>>()?;
        let decoder = if decoders.len() == 1 {
            decoders.remove(0)
        } else {
            let shape = [1, dimensions.regions, dimensions.channels];
            let example = Tensor::f_zeros(shape, (Kind::Float, device))?;
            Box::new(Ensemble::new(decoders, &example)?)
        };
        Ok(Model { header, decoder, device, members })
    }

    /// Where the network runs.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Number of trained numbers.
    pub fn parameters(&self) -> usize {
        self.members.iter().flat_map(|member| member.parameters.tensors().values()).map(Tensor::numel).sum()
    }
}

/// Writes the decoder of `store` with its header, atomically.
///
/// # Errors
///
/// The file cannot be written; an older one is untouched then.
pub fn save(path: &Path, header: &Header, store: &VarStore) -> Result<(), CheckpointError> {
    let json = header::text(FORMAT, header)
        .map_err(|error| CheckpointError::Header { path: path.to_owned(), reason: error.to_string() })?;
    let tensors = store.variables().into_iter().collect();
    Ok(weights::write_safetensors(path, &tensors, &BTreeMap::from([(CHECKPOINT_KEY.to_owned(), json)]))?)
}

/// Loads a checkpoint onto `device`.
///
/// # Errors
///
/// When the file is no checkpoint, or holds other tensors than its header says.
pub fn load(path: &Path, device: Device) -> Result<Model, CheckpointError> {
    from_tensors(&weights::read(path)?, device)
}

/// The same from a file that was read.
///
/// # Errors
///
/// Those of [`load`].
pub fn from_tensors(file: &NamedTensors, device: Device) -> Result<Model, CheckpointError> {
    let header = header_of(file)?;
    let (member, decoder) = Member::load(&header.decoder, header.dimensions(), file, device)?;
    Ok(Model { header, decoder, device, members: vec![member] })
}

/// The header of a checkpoint that was read.
///
/// # Errors
///
/// When it has none, or that of another version.
pub fn header_of(file: &NamedTensors) -> Result<Header, CheckpointError> {
    header::parse(file, CHECKPOINT_KEY, FORMAT)
        .map_err(|reason| CheckpointError::Header { path: file.path().to_owned(), reason })
}

/// Loads checkpoints as one model that writes by the mean of their probabilities. They must share vocabulary and
/// features.
///
/// # Errors
///
/// Those of [`load`], no path at all, or checkpoints that write other words or read other features.
pub fn load_ensemble(paths: &[PathBuf], device: Device) -> Result<Model, CheckpointError> {
    let models: Vec<Model> = paths.iter().map(|path| load(path, device)).collect::<Result<_, _>>()?;
    let headers = paths.iter().map(PathBuf::as_path).zip(models.iter().map(|model| &model.header));
    let header = in_common(headers)?.clone();
    let members: Vec<Member> = models.into_iter().flat_map(|model| model.members).collect();
    Model::assemble(header, members, device)
}

/// The first of the headers of some files, whose vocabulary and features must be those of all.
pub(crate) fn in_common<'a>(
    mut headers: impl Iterator<Item = (&'a Path, &'a Header)>,
) -> Result<&'a Header, CheckpointError> {
    let (first, common) = headers.next().ok_or(CheckpointError::NoMembers)?;
    for (other, header) in headers {
        let differences = [
            ("vocabularies", header.vocabulary != common.vocabulary),
            ("features", header.features != common.features),
        ];
        if let Some(&(what, _)) = differences.iter().find(|(_, differ)| *differ) {
            let (first, other) = (first.to_owned(), other.to_owned());
            return Err(CheckpointError::Ensemble { first, other, what });
        }
    }
    Ok(common)
}

/// Puts the decoder of a checkpoint into `store`, which holds the same architecture.
///
/// # Errors
///
/// The file cannot be read, or lacks a tensor of the store.
pub fn restore_decoder(path: &Path, store: &VarStore) -> Result<(), CheckpointError> {
    Ok(restore(&weights::read(path)?, store.variables())?)
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
        tch::no_grad(|| target.f_copy_(&source)).map_err(|error| file.torch_error(&name, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::SoftAttentionConfig;

    fn header() -> Header {
        let features = FeatureSpec {
            backbone: "resnet18".to_owned(),
            view: Default::default(),
            weights: Default::default(),
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
        let decoder = header().decoder.build(&store.root(), header().dimensions(), Precision::F32).unwrap();
        save(path, &header(), &store).unwrap();
        (store, decoder)
    }

    /// Scores of the words of a caption, `[words × vocabulary]`.
    fn scores(decoder: &dyn Decoder, grid: &Tensor) -> Vec<f32> {
        let words = Tensor::from_slice(&[1i64, 4, 5]).view([1, 1, 3]);
        let logits = decoder.forward(&decoder.encode(grid, false).unwrap(), &words, false).unwrap().logits;
        Vec::try_from(logits.flatten(0, -1)).unwrap()
    }

    /// The same but for rounding, which the busy threads of other tests can change.
    fn close(a: &[f32], b: &[f32]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn a_loaded_decoder_scores_as_the_saved_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let (store, decoder) = saved(&path);
        let loaded = load(&path, Device::Cpu).unwrap();
        assert_eq!(loaded.header, header());
        let parameters = loaded.members[0].parameters.tensors();
        assert_eq!(parameters.len(), store.variables().len());
        assert!(store.variables().iter().all(|(name, saved)| parameters[name] == *saved));
        let grid = Tensor::rand([1, 4, 6], (Kind::Float, Device::Cpu));
        assert!(close(&scores(decoder.as_ref(), &grid), &scores(loaded.decoder.as_ref(), &grid)));
    }

    #[test]
    fn an_ensemble_averages_and_counts_its_members() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        let members = paths.each_ref().map(|path| saved(path));
        let loaded = load_ensemble(&paths, Device::Cpu).unwrap();
        assert_eq!(loaded.parameters(), 2 * load(&paths[0], Device::Cpu).unwrap().parameters());
        let grid = Tensor::rand([1, 4, 6], (Kind::Float, Device::Cpu));
        let words = Tensor::from_slice(&[1i64, 4, 5]).view([1, 1, 3]);
        let probabilities = |decoder: &dyn Decoder| {
            decoder
                .forward(&decoder.encode(&grid, false).unwrap(), &words, false)
                .unwrap()
                .logits
                .softmax(-1, Kind::Float)
        };
        let [a, b] = members.each_ref().map(|(_, decoder)| probabilities(decoder.as_ref()));
        let difference = (probabilities(loaded.decoder.as_ref()) - (a + b) / 2.0).abs().max();
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
    fn a_shared_decoder_scores_as_the_first_on_a_thread_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        saved(&path);
        let first = load(&path, Device::Cpu).unwrap();
        let second = first.share().unwrap();
        let [of_first, of_second] = [&first, &second].map(|model| model.members[0].parameters.tensors());
        assert!(of_first.iter().all(|(name, tensor)| tensor.data_ptr() == of_second[name].data_ptr()));
        let score = |model: &Model| {
            scores(model.decoder.as_ref(), &Tensor::ones([1, 4, 6], (Kind::Float, Device::Cpu)))
        };
        let of_second = std::thread::spawn(move || score(&second)).join().unwrap();
        assert!(close(&score(&first), &of_second));
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
