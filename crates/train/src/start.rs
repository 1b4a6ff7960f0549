//! What a training starts from when its weights are not drawn anew: a decoder that another training has made.

use artifacts::vocabulary::SPECIAL;
use model::backbone::BackboneSpec;
use model::checkpoint::Header;
use stage::{ConfigError, Context, Sources};
use tch::nn::VarStore;
use torch::decoder::Decoder;
use torch::precision::Precision;
use torch::pretrained::{Pretrained, PretrainedError};

use crate::Train;
use crate::settings::Settings;

/// Name of the setting, and of its file among the inputs.
pub(crate) const INPUT: &str = "start_from";

/// The file that `start_from` names, if any: it has a decoder for each that is trained, which reads as many channels as the
/// chosen backbones make.
pub(crate) fn read(settings: &Settings, context: &Context) -> Result<Option<Pretrained>, ConfigError> {
    if settings.start_from.as_os_str().is_empty() {
        return Ok(None);
    }
    let sources = Sources::of(&context.config)?;
    let read = || {
        let file = Pretrained::read(&settings.start_from)?;
        for &kind in &settings.chosen.decoders {
            let decoder = file.decoder(&settings.sizes.get(kind))?;
            if let Some(channels) = channels(&sources) {
                decoder.check_channels(channels, &sources.sets())?;
            }
        }
        Ok(Some(file))
    };
    read().map_err(|error| refused(&error, context))
}

/// Builds the decoder of `header` in `store` from the one in `file`, and says how many words it knew; returns both.
pub(crate) fn from(
    file: &Pretrained,
    store: &VarStore,
    header: &Header,
    precision: Precision,
    context: &Context,
) -> Result<(Box<dyn Decoder>, usize), ConfigError> {
    let built = file.decoder(&header.decoder).and_then(|decoder| decoder.build(store, header, precision));
    let (decoder, words) = built.map_err(|error| refused(&error, context))?;
    let all = header.vocabulary.len() - SPECIAL.len();
    context.note(&format!("  {words} of the {all} words are known from train.{INPUT}"));
    Ok((decoder, words))
}

/// Channels of the features to come, where the registry knows their backbones.
fn channels(sources: &Sources) -> Option<i64> {
    let of = |name: &String| Some(BackboneSpec::named(name).ok()?.channels);
    sources.backbone.all().iter().map(of).sum::<Option<u32>>().map(i64::from)
}

fn refused(error: &PretrainedError, context: &Context) -> ConfigError {
    context.refuse::<Train>(INPUT, error)
}
