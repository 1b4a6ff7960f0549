//! The `dataset` stage: whatever people have, checked and hashed, as tables of images and captions.

use std::collections::HashMap;

use artifacts::Split;
use artifacts::preview::{Preview, PreviewRow};
use stage::{Context, Outcome, Shard, Stage};

use crate::layout::RawCaption;
use crate::settings::Settings;
use crate::sharded::Sharded;
use crate::whole::Whole;
use crate::{demo, examined, whole};

pub(crate) const SCHEMA_VERSION: u32 = 4;

/// The stage `dataset`: raw images and captions to `images/part-*.parquet` and `captions/part-*.parquet`.
pub struct Dataset;

impl Stage for Dataset {
    const NAME: &'static str = "dataset";
    const ABOUT: &'static str = "Turns raw images and captions into two tables";
    type Settings = Settings;

    fn check(settings: &Settings, context: &Context) -> anyhow::Result<()> {
        context.refuse_any::<Self, _>(settings.problem())?;
        share(settings, context).map(|_| ())
    }

    fn run(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Outcome>> {
        let made = match settings.layout.shards() {
            None => Some(Whole::read(settings, context)?.make()?),
            Some(kind) => Sharded::new(kind, settings, context)?.make(share(settings, context)?)?,
        };
        if made.is_some() {
            shared::publish_dataset(context)?;
        }
        Ok(made.into_iter().collect())
    }
}

/// Which shards of a dataset this process reads; one that has none is read by a single process.
fn share(settings: &Settings, context: &Context) -> anyhow::Result<Shard> {
    match settings.layout.shards() {
        Some(_) => {
            Shard::choose(&settings.shard).map_err(|reason| context.refuse::<Dataset>("shard", reason).into())
        }
        None if settings.shard.is_empty() => Ok(Shard::WHOLE),
        None => {
            let reason = "only the layouts webdataset and parquet have shards: leave it out";
            Err(context.refuse::<Dataset>("shard", reason).into())
        }
    }
}

/// What the dataset will hold, as far as it can be known without reading an image.
///
/// # Errors
/// Values that the stage refuses, or text files of the dataset that cannot be read.
pub fn preview(context: &Context) -> anyhow::Result<Preview> {
    let settings = context.checked::<Dataset>()?;
    if settings.layout.shards().is_some() {
        return Ok(Preview::Unknown);
    }
    let raw = match settings.layout.read(&settings.root)? {
        Some(raw) => raw,
        None => demo::describe(settings.scenes, context.run.seed),
    };
    let names: Vec<&str> = raw.images.iter().map(|image| image.image_id.as_str()).collect();
    let splits = examined::splits(&raw, &names, &whole::shares(&settings, context))?;
    let of_image: HashMap<&str, Split> =
        raw.images.iter().map(|image| image.image_id.as_str()).zip(splits).collect();
    let row = |caption: &RawCaption| {
        let split = *of_image.get(caption.image_id.as_str())?;
        Some(PreviewRow { image_id: caption.image_id.clone(), split, caption: caption.caption.clone() })
    };
    Ok(Preview::Known(raw.captions.iter().filter_map(row).collect()))
}
