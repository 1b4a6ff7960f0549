//! What tuning begins with: the weights of a network, and the head of an earlier tuning if there is one.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use artifacts::recipe::digest_file;
use artifacts::tensor_file::CHECKPOINT_KEY;
use model::backbone::BackboneSpec;
use model::captioner_file::CaptionerFile;
use model::tuned::TunedHeader;
use model::weights::{self, NamedArrays};
use stage::Context;

/// Where the weights of a backbone come from.
pub(crate) struct Start {
    path: PathBuf,
    /// Name and hash, for the recipe.
    pub(crate) input: (String, String),
}

/// Weights to begin with.
pub(crate) struct Weights {
    /// The network's, and [`model::tuned`]'s where it was tuned before.
    pub(crate) tensors: NamedArrays,
    /// What an earlier tuning learnt.
    pub(crate) header: Option<TunedHeader>,
}

impl Start {
    /// Finds the file that `tune.start_from` means: where it is empty, the published weights.
    pub(crate) fn find(
        start_from: &Path,
        backbone: &'static BackboneSpec,
        context: &Context,
    ) -> anyhow::Result<Start> {
        if !start_from.as_os_str().is_empty() {
            let path = start_from.to_owned();
            let hash = digest_file(&path).with_context(|| format!("tune.start_from: {}", path.display()))?;
            return Ok(Start { path, input: ("start_from".to_owned(), hash) });
        }
        let path = weights::find(backbone, &context.run.weights)?;
        let sha256 = weights::sha256_file(&path)?;
        Ok(Start { path, input: (format!("weights/{}", backbone.name), format!("sha256:{sha256}")) })
    }

    /// Reads the weights of the backbone out of it.
    pub(crate) fn read(&self, backbone: &'static BackboneSpec) -> anyhow::Result<Weights> {
        let file = weights::read(&self.path)?;
        let path = self.path.display();
        if CaptionerFile::is_in(&file) {
            let captioner = CaptionerFile::from_arrays(file)?;
            let header = captioner.tuned(backbone.name)?;
            return Ok(Weights { tensors: captioner.weights_of(backbone.name), header });
        }
        anyhow::ensure!(
            !file.metadata().contains_key(CHECKPOINT_KEY),
            "tune.start_from: {path} is a checkpoint, which holds a decoder and no backbone: name the export of its run \
             (`just export`)"
        );
        let header = TunedHeader::of(&file).map_err(|reason| anyhow::anyhow!("{path}: {reason}"))?;
        if let Some(header) = &header {
            anyhow::ensure!(
                header.backbone == backbone.name,
                "tune.start_from: {path} holds weights of {}, not of {}",
                header.backbone,
                backbone.name
            );
        }
        Ok(Weights { tensors: file, header })
    }
}
