//! What an address says, and who asks there.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::error::ServeError;
pub(super) use crate::inference::version as number;
use crate::models::Served;

/// The parts of an address by name; one that cannot be read is refused as everything else is.
pub(super) struct Address<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Address<T> {
    type Rejection = ServeError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Address<T>, ServeError> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(path)| Address(path)).map_err(|error| ServeError::NotFound(error.body_text()))
    }
}

/// A model in an address, and a version or a label or none.
#[derive(Deserialize)]
pub(super) struct Which {
    pub(super) model: String,
    version: Option<String>,
    label: Option<String>,
}

impl Which {
    pub(super) fn find(&self, app: &App) -> Result<Arc<Served>, ServeError> {
        match (&self.version, &self.label) {
            (Some(version), _) => app.models.find(&self.model, Some(number(version)?)),
            (None, Some(label)) => app.models.labelled(&self.model, label),
            (None, None) => app.models.find(&self.model, None),
        }
    }

    /// What is before `ending`, TensorFlow's verb, behind the last name of the address.
    pub(super) fn before(mut self, ending: &str) -> Result<Which, ServeError> {
        let last = self.version.as_mut().or(self.label.as_mut()).unwrap_or(&mut self.model);
        let Some(name) = last.strip_suffix(ending) else {
            let (name, verb) = last.split_once(':').unwrap_or((last, ""));
            return Err(ServeError::NotFound(match verb {
                "" => format!("a photo is posted to {name}{ending}"),
                verb => format!("this model captions and has no {verb:?}: post the photo to {name}{ending}"),
            }));
        };
        *last = name.to_owned();
        Ok(self)
    }
}

/// The first version of Hugging Face's JavaScript client that wants the answer alone, without a list around it.
const ALONE_SINCE: [u32; 3] = [4, 13, 15];

/// Programs that take one shape of an answer alone, where protocols share an address.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Client {
    /// Hugging Face's client for JavaScript, from [`ALONE_SINCE`] on.
    HuggingFaceObject,
    /// KServe's for Python, which speaks through httpx.
    Kserve,
    /// OpenAI's, for Python and JavaScript.
    OpenAi,
    Other,
}

impl Client {
    /// By its `User-Agent`.
    pub(super) fn of(headers: &HeaderMap) -> Client {
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let version = |version: &str| -> Vec<u32> {
            let version = version.split([' ', '-']).next().unwrap_or_default();
            version.split('.').map_while(|part| part.parse().ok()).collect()
        };
        match agent.split_once('/') {
            Some(("python-httpx", _)) => Client::Kserve,
            Some(("OpenAI" | "AsyncOpenAI", _)) => Client::OpenAi,
            Some(("@huggingface", rest)) => match rest.strip_prefix("inference/") {
                Some(rest) if version(rest).as_slice() >= ALONE_SINCE.as_slice() => Client::HuggingFaceObject,
                _ => Client::Other,
            },
            _ => Client::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_known_by_what_they_say_of_themselves() {
        for (agent, client) in [
            ("@huggingface/inference/4.13.30 Node.js/22", Client::HuggingFaceObject),
            ("@huggingface/inference/4.13.15", Client::HuggingFaceObject),
            ("@huggingface/inference/5.0.0-beta.1", Client::HuggingFaceObject),
            ("@huggingface/inference/4.13.14 Node.js/22", Client::Other),
            ("@huggingface/inference/2.8.1", Client::Other),
            ("python-httpx/0.28.1", Client::Kserve),
            ("OpenAI/Python 3.57.0", Client::OpenAi),
            ("AsyncOpenAI/Python 1.57.4", Client::OpenAi),
            ("OpenAI/JS 6.1.0", Client::OpenAi),
            ("python-requests/2.34.2", Client::Other),
            ("", Client::Other),
        ] {
            let headers = HeaderMap::from_iter([(header::USER_AGENT, agent.parse().unwrap())]);
            assert_eq!(Client::of(&headers), client, "{agent}");
        }
        assert_eq!(Client::of(&HeaderMap::new()), Client::Other);
    }
}
