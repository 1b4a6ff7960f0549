//! What photos get: an element of each output per photo.

use std::sync::Arc;

use axum::body::Bytes;
use serde_json::{Map, Value};

use super::framing::framed;
use super::{BYTES, FP64};
use crate::app::App;
use crate::engine::Request;
use crate::error::ServeError;
use crate::models::Served;
use crate::settings;
use crate::signature::OUTPUTS;

/// Parameters of a request that change no caption.
const HINTS: [&str; 7] = [
    "priority",
    "timeout",
    "sequence_id",
    "sequence_start",
    "sequence_end",
    // MLServer's.
    "content_type",
    "headers",
];

/// An output of shape `[photos]`.
pub(crate) struct Output {
    pub(crate) name: &'static str,
    pub(crate) values: Values,
}

/// Its elements.
pub(crate) enum Values {
    Texts(Vec<String>),
    Numbers(Vec<f64>),
}

impl Values {
    pub(crate) fn datatype(&self) -> &'static str {
        match self {
            Values::Texts(_) => BYTES,
            Values::Numbers(_) => FP64,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Values::Texts(texts) => texts.len(),
            Values::Numbers(numbers) => numbers.len(),
        }
    }

    /// Elements as bytes, one behind the other, little-endian.
    pub(crate) fn raw(&self) -> Vec<u8> {
        match self {
            Values::Texts(texts) => framed(texts.iter().map(String::as_str)),
            Values::Numbers(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        }
    }
}

/// Captions photos, with the settings that are among the parameters of their request.
pub(crate) async fn caption(
    app: &App,
    served: &Arc<Served>,
    photos: Vec<Bytes>,
    mut parameters: Map<String, Value>,
) -> Result<[Output; 2], ServeError> {
    parameters.retain(|name, _| !HINTS.contains(&name.as_str()));
    let settings = settings::search(served.captioner.search_settings(), parameters)?;
    let requests = photos.into_iter().map(|bytes| Request::new(bytes, settings.clone())).collect();
    let answers = app.caption(served, requests).await?;
    let best = answers.iter().map(|answer| answer.captioned.best());
    let (captions, scores) = best.map(|best| (best.caption.clone(), best.log_probability)).unzip();
    let [caption, score] = OUTPUTS.map(|output| output.name);
    Ok([
        Output { name: caption, values: Values::Texts(captions) },
        Output { name: score, values: Values::Numbers(scores) },
    ])
}
