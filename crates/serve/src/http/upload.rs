//! Photos in a body: as they are, in a form, or in JSON.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Query, Request};
use axum::http::{StatusCode, header};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};

use super::hints;
use super::json::{self, OneOrMany, SmallObject};
use super::photo::{Photo, bytes_of, is_text};
use crate::error::ServeError;
use crate::models::{Models, Served};
use crate::settings::value_of;
use crate::signature;

/// Names of a form's field with the photo, as clients are used to; a field with a file needs none of them.
const FIELDS: [&str; 3] = ["file", "image", "data"];
/// Fields of a form that are meant for us, beside the settings of the search.
const ANSWER: [&str; 4] = ["model", "top_k", "attention", "keywords"];
/// The kind of a form's body that holds text alone.
const FIELDS_ALONE: &str = "application/x-www-form-urlencoded";
/// Bytes of a body that tell such a form from a photo.
const HEAD: usize = 256;
/// What JSON looks like, for who sends another.
const SEND: &str = r#"{"inputs": "…"}, with the base64 of the photo's file"#;

/// The photos of a request and the settings beside them: in the query, in other fields of the form, or as `parameters`.
pub(super) struct Upload {
    pub(super) photos: Vec<Bytes>,
    pub(super) shape: Shape,
    pub(super) settings: Map<String, Value>,
}

/// How the photos came, and so how their captions go.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Shape {
    One,
    List,
    /// `{"instances": […]}` of TorchServe and KServe.
    Instances,
}

/// What Hugging Face's and TorchServe's clients send when they do not send the bytes alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a request as an object")]
struct Inputs {
    #[serde(alias = "data", alias = "body", alias = "image", alias = "file")]
    inputs: Option<OneOrMany<Photo>>,
    instances: Option<OneOrMany<Photo>>,
    #[serde(default)]
    parameters: SmallObject,
    /// How Hugging Face is to go about it.
    #[serde(default, rename = "options")]
    _options: IgnoredAny,
}

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = ServeError;

    async fn from_request(request: Request, state: &S) -> Result<Upload, ServeError> {
        let malformed = |error: String| ServeError::Malformed(error);
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let Query(query) = query.map_err(|error| malformed(error.body_text()))?;
        let settings: Map<String, Value> =
            query.into_iter().map(|(name, value)| (name, value_of(&value))).collect();
        let mut upload = Upload { photos: vec![], shape: Shape::One, settings };
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind =
            kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "multipart/form-data" => {
                let form = Multipart::from_request(request, state).await;
                upload.read_form(form.map_err(|error| malformed(error.body_text()))?).await?;
            }
            "application/json" => upload.read_json(&bytes(request, state).await?)?,
            // curl and JavaScript say the last ones when nothing else is said, whatever it is.
            "" | "application/octet-stream" | FIELDS_ALONE | "text/plain" => {
                let body = bytes(request, state).await?;
                match body.trim_ascii_start().first() {
                    Some(b'{') => upload.read_json(&body)?,
                    _ if kind == FIELDS_ALONE && has_fields(&body) => upload.read_fields(&body)?,
                    _ => upload.photos.push(photo(body)?),
                }
            }
            image if image.starts_with("image/") => upload.photos.push(photo(bytes(request, state).await?)?),
            other => {
                let forms = "image/*, application/octet-stream, multipart/form-data or application/json";
                return Err(ServeError::MediaType(format!("a body of {other} holds no photo: send {forms}")));
            }
        }
        Ok(upload)
    }
}

impl Upload {
    /// Takes out of the settings one that is not of the search, and is of this `kind`.
    pub(super) fn take<T: DeserializeOwned>(
        &mut self,
        name: &str,
        kind: &str,
    ) -> Result<Option<T>, ServeError> {
        let value = self.settings.remove(name).map(serde_json::from_value).transpose();
        value.map_err(|_| ServeError::Malformed(format!("{name} must be {kind}")))
    }

    /// The model that is named beside the photo, if it is not the first.
    pub(super) fn model(&mut self, models: &Models) -> Result<Arc<Served>, ServeError> {
        match self.settings.remove("model") {
            None => Ok(models.default()),
            // A plus sign that was not escaped in an address is a space there; no name holds one.
            Some(Value::String(word)) => models.tagged(&word.replace(' ', "+")),
            // A name of digits.
            Some(word) => models.tagged(&word.to_string()),
        }
    }

    fn read_json(&mut self, body: &[u8]) -> Result<(), ServeError> {
        let json: Inputs = json::read(body, SEND)?;
        let (photos, shape) = match (json.inputs, json.instances) {
            (Some(inputs), None) if inputs.list => (inputs, Shape::List),
            (Some(inputs), None) => (inputs, Shape::One),
            (None, Some(instances)) => (instances, Shape::Instances),
            _ => return Err(ServeError::Malformed(format!("there is no photo: send {SEND}"))),
        };
        (self.photos, self.shape) = (photos.all.into_iter().map(|photo| photo.0).collect(), shape);
        hints::add(json.parameters.0, &mut self.settings)
    }

    /// Forms bring fields that are meant for others, such as `csrf_token`, and fields that nobody filled in.
    async fn read_form(&mut self, mut form: Multipart) -> Result<(), ServeError> {
        while let Some(field) = form.next_field().await.map_err(refuse)? {
            let name = field.name().unwrap_or_default().to_owned();
            if FIELDS.contains(&name.as_str()) || field.file_name().is_some() {
                let bytes = field.bytes().await.map_err(refuse)?;
                if !bytes.is_empty() {
                    self.photos.push(photo(bytes)?);
                }
            } else if is_ours(&name) {
                self.set(name, &field.text().await.map_err(refuse)?);
            }
        }
        self.is_one()
    }

    /// A form without files, as scripts post one: its photo is base64.
    fn read_fields(&mut self, body: &[u8]) -> Result<(), ServeError> {
        for (name, value) in form_urlencoded::parse(body) {
            if FIELDS.contains(&&*name) && !value.is_empty() {
                // Whoever did not escape its plus signs sent spaces.
                let photo = bytes_of(&value.replace(' ', "+"));
                self.photos.push(photo.map_err(ServeError::Malformed)?);
            } else if is_ours(&name) {
                self.set(name.into_owned(), &value);
            }
        }
        self.is_one()
    }

    fn is_one(&self) -> Result<(), ServeError> {
        match self.photos.len() {
            0 => {
                let fields = FIELDS.join(", ");
                Err(ServeError::Malformed(format!("the form has no photo: name its field one of {fields}")))
            }
            1 => Ok(()),
            _ => Err(ServeError::Malformed("the form holds several photos: send one".to_owned())),
        }
    }

    fn set(&mut self, name: String, text: &str) {
        if !text.trim().is_empty() {
            self.settings.insert(name, value_of(text.trim()));
        }
    }
}

/// Whether a field of a form is meant for us.
fn is_ours(name: &str) -> bool {
    signature::is_setting(name) || ANSWER.contains(&name)
}

/// Whether a body that is said to have fields has some: curl says it of photos, too.
fn has_fields(body: &[u8]) -> bool {
    let start = &body[..body.len().min(HEAD)];
    start.is_ascii() && start.contains(&b'=') && !is_text(body)
}

/// A script may send text where a file is meant: what a canvas gives, or base64 alone.
fn photo(bytes: Bytes) -> Result<Bytes, ServeError> {
    match is_text(&bytes) {
        true => bytes_of(&String::from_utf8_lossy(&bytes)).map_err(ServeError::Malformed),
        false => Ok(bytes),
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ServeError> {
    let bytes = Bytes::from_request(request, state).await;
    bytes.map_err(|error| ServeError::Malformed(error.body_text()))
}

fn refuse(error: MultipartError) -> ServeError {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ServeError::TooLarge(error.body_text()),
        _ => ServeError::Malformed(error.body_text()),
    }
}
