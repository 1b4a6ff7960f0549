//! The objective `captions`: what a decoder that was trained on the features makes of people's captions.

use anyhow::Context as _;
use artifacts::View;
use artifacts::features::FeatureSpec;
use artifacts::vocabulary::Vocabulary;
use model::backbone::BackboneSpec;
use model::checkpoint::Header;
use tch::nn::VarStore;
use tch::{Device, Kind, TchError, Tensor};
use torch::decoder::Decoder;
use torch::draws::Draws;
use torch::precision::Precision;
use torch::pretrained::Pretrained;
use torch::teaching;

use crate::examples::Examples;
use crate::objective::Objective;
use crate::words::Words;

/// Cross-entropy of the captions, through a decoder that learns on beside the network, and that of their words.
///
/// Both are nats per image: minus the logarithm of the probability of one caption, and of its words as a set.
pub(crate) struct Captions<'a> {
    words: Words<'a>,
    examples: &'a Examples,
    decoder: Box<dyn Decoder>,
    /// Holds what the decoder learns.
    store: VarStore,
}

/// Refuses a file whose first decoder, the one that is taught, reads anything but the grids of this backbone in this view.
pub(crate) fn check(file: &Pretrained, backbone: &BackboneSpec, view: View) -> anyhow::Result<()> {
    let (path, features) = (file.path().display(), file.first()?.features());
    let read = || features.iter().map(FeatureSpec::name).collect::<Vec<_>>().join("+");
    anyhow::ensure!(
        matches!(features, [spec] if spec.backbone == backbone.name && spec.view == view),
        "{path}: its decoders read {}, and captions tune {} in the view {view} through a decoder of its grids alone: train one, \
         or let tune.objective be \"words\"",
        read(),
        backbone.name,
    );
    Ok(())
}

impl<'a> Captions<'a> {
    /// The first decoder of `file`, for the words of `vocabulary`: what it knows of a word goes to that of the same spelling.
    pub(crate) fn new(
        words: Words<'a>,
        examples: &'a Examples,
        file: &Pretrained,
        vocabulary: Vocabulary,
        seed: u64,
        device: Device,
    ) -> anyhow::Result<Captions<'a>> {
        let pretrained = file.first()?;
        let header = Header {
            decoder: pretrained.config().clone(),
            vocabulary,
            features: pretrained.features().to_vec(),
            provenance: serde_json::Value::Null,
        };
        tch::manual_seed(seed as i64);
        let store = VarStore::new(device);
        let built = pretrained.build(&store, &header, Precision::F32);
        let (decoder, _) = built.context("tune.start_from: its decoder cannot be taught")?;
        Ok(Captions { words, examples, decoder, store })
    }
}

impl Objective for Captions<'_> {
    fn loss(&self, grid: &Tensor, images: &[usize], draws: &Draws) -> Result<Tensor, TchError> {
        let captions = self.examples.captions(images);
        let count = captions.iter().flatten().count().max(1) as f64;
        let captions = teaching::Captions::new(&captions, grid.device());
        let memory = self.decoder.encode(grid, Some(draws))?;
        let forced = self.decoder.forward(&memory, &captions.input, Some(draws))?;
        let taught = captions.taught(self.decoder.as_ref(), forced, 0.0)?;
        // Of a word in the mean; a caption has so many.
        let words = captions.mask.f_sum(Kind::Float)?.f_div_scalar(count)?;
        let of_captions = taught.loss.f_mul(&words)?.f_mul_scalar(images.len() as f64)?;
        of_captions.f_add(&self.words.loss(grid, images, draws)?)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let learning = self.store.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad());
        let of_decoder = learning.map(|(name, tensor)| (format!("decoder.{name}"), tensor));
        self.words.parameters().into_iter().chain(of_decoder).collect()
    }
}
