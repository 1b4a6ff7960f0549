//! A photo in a body: as it is, in a form, or in JSON.

use axum::body::Bytes;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Query, Request};
use axum::http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::images::Base64;
use crate::error::ServeError;
use crate::settings::value_of;

/// Names of a form's field with the photo, as clients are used to.
const FIELDS: [&str; 3] = ["file", "image", "data"];

/// A photo and the settings beside it: in the query, in other fields of the form, or as `parameters`.
pub(super) struct Upload {
    pub(super) photo: Bytes,
    pub(super) settings: Map<String, Value>,
}

/// What Hugging Face's clients send when they do not send the bytes alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inputs {
    inputs: Base64,
    #[serde(default)]
    parameters: Map<String, Value>,
}

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = ServeError;

    async fn from_request(request: Request, state: &S) -> Result<Upload, ServeError> {
        let malformed = |error: String| ServeError::Malformed(error);
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let Query(query) = query.map_err(|error| malformed(error.body_text()))?;
        let mut settings: Map<String, Value> =
            query.into_iter().map(|(name, value)| (name, value_of(&value))).collect();
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind =
            kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
        let photo = match kind.as_str() {
            "multipart/form-data" => {
                let form = Multipart::from_request(request, state).await;
                read_form(form.map_err(|error| malformed(error.body_text()))?, &mut settings).await?
            }
            "application/json" => {
                let body = bytes(request, state).await?;
                let json: Inputs =
                    serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
                settings.extend(json.parameters);
                json.inputs.0
            }
            // curl says the last of bytes when nothing else is said.
            "" | "application/octet-stream" | "application/x-www-form-urlencoded" => {
                bytes(request, state).await?
            }
            image if image.starts_with("image/") => bytes(request, state).await?,
            other => {
                let forms = "image/*, application/octet-stream, multipart/form-data or application/json";
                return Err(ServeError::MediaType(format!("a body of {other} holds no photo: send {forms}")));
            }
        };
        Ok(Upload { photo, settings })
    }
}

impl Upload {
    /// Takes out of the settings one that is not of the search.
    pub(super) fn take<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, ServeError> {
        let value = self.settings.remove(name).map(serde_json::from_value).transpose();
        value.map_err(|error| ServeError::Malformed(format!("{name}: {error}")))
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ServeError> {
    let bytes = Bytes::from_request(request, state).await;
    bytes.map_err(|error| ServeError::Malformed(error.body_text()))
}

async fn read_form(mut form: Multipart, settings: &mut Map<String, Value>) -> Result<Bytes, ServeError> {
    let mut photo = None;
    while let Some(field) = form.next_field().await.map_err(refuse)? {
        let name = field.name().unwrap_or_default().to_owned();
        if FIELDS.contains(&name.as_str()) {
            if photo.replace(field.bytes().await.map_err(refuse)?).is_some() {
                return Err(ServeError::Malformed("the form holds several photos: send one".to_owned()));
            }
        } else {
            settings.insert(name, value_of(&field.text().await.map_err(refuse)?));
        }
    }
    let fields = FIELDS.join(", ");
    photo.ok_or_else(|| {
        ServeError::Malformed(format!("the form has no photo: name its field one of {fields}"))
    })
}

fn refuse(error: MultipartError) -> ServeError {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ServeError::TooLarge(error.body_text()),
        _ => ServeError::Malformed(error.body_text()),
    }
}
