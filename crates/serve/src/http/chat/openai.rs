//! What OpenAI's two ways to an answer share: how messages hold photos, what a model is called, how an error looks.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::super::photo::bytes_of;
use super::wish::Photos;
use crate::error::Reason;
use crate::models::Served;

/// Seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// A model as `/v1/models` lists it.
pub(in super::super) fn model(served: &Served) -> Value {
    let created = seconds(served.modified);
    json!({ "id": &*served.name, "object": "model", "created": created, "owned_by": "caption-serve" })
}

/// An id of an answer, after that of its request.
pub(super) fn id(kind: &str, headers: &HeaderMap) -> String {
    let request = headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    format!("{kind}-{request}")
}

/// Events as browsers read them, each with a name or without.
pub(super) fn events(events: impl Iterator<Item = (Option<String>, String)>) -> Response {
    let text: String = events
        .map(|(name, data)| {
            let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
            format!("{name}data: {data}\n\n")
        })
        .collect();
    ([(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

/// An error in the shape that OpenAI's clients read.
pub(in super::super) async fn reshape(response: Response) -> Response {
    let Some(Reason(message)) = response.extensions().get::<Reason>().cloned() else { return response };
    let status = response.status();
    let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
    let code = match status {
        StatusCode::UNAUTHORIZED => json!("invalid_api_key"),
        StatusCode::NOT_FOUND => json!("model_not_found"),
        _ => Value::Null,
    };
    let error = json!({ "error": { "message": message, "type": kind, "param": null, "code": code } });
    let (parts, _) = response.into_parts();
    let mut response = (status, Json(error)).into_response();
    for (name, value) in parts.headers {
        if let Some(name) = name.filter(|name| *name != header::CONTENT_LENGTH) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The photos of a list of messages; a text alone holds none.
pub(super) struct Conversation(pub(super) Vec<Bytes>);

impl<'de> Deserialize<'de> for Conversation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Conversation, D::Error> {
        struct Messages;
        impl<'de> Visitor<'de> for Messages {
            type Value = Conversation;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a list of messages")
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Conversation, E> {
                Ok(Conversation(vec![]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Conversation, A::Error> {
                let mut photos = Photos::default();
                while let Some(Message { role, content, image_url }) = list.next_element()? {
                    photos.add(role.as_deref(), content.0.into_iter().chain(image_url.map(|url| url.0)));
                }
                Ok(Conversation(photos.all()))
            }
        }
        deserializer.deserialize_any(Messages)
    }
}

/// A message, or a photo in its place. An item of another kind has neither.
#[derive(Deserialize)]
#[serde(expecting = "a message as an object")]
struct Message {
    role: Option<String>,
    #[serde(default)]
    content: Content,
    image_url: Option<Address>,
}

/// The photos of a message's `content`: a text, or a list of parts of which some have an `image_url`. Texts and all else are
/// passed over.
#[derive(Default)]
struct Content(Vec<Bytes>);

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Content, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Content;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a text, or a list of parts")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Content, E> {
                Ok(Content::default())
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Content, E> {
                Ok(Content::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
                let mut photos = Content::default();
                while let Some(part) = list.next_element::<Part>()? {
                    photos.0.extend(part.image_url.map(|url| url.0));
                }
                Ok(photos)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Content, A::Error> {
                let part = Part::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Content(part.image_url.into_iter().map(|url| url.0).collect()))
            }
        }
        deserializer.deserialize_any(Parts)
    }
}

#[derive(Deserialize)]
#[serde(expecting = "a part as an object")]
struct Part {
    image_url: Option<Address>,
}

/// A photo as a `data:` address, bare or as the `url` of an object.
struct Address(Bytes);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        struct Url;
        impl<'de> Visitor<'de> for Url {
            type Value = Address;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an image_url with the photo as a data: address")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
                bytes_of(text).map(Address).map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Address, A::Error> {
                let mut address = None;
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "url" => address = Some(map.next_value::<Address>()?),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                address.ok_or_else(|| de::Error::custom("the image_url has no url"))
            }
        }
        deserializer.deserialize_any(Url)
    }
}
