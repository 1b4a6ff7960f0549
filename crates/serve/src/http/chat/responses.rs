//! OpenAI's responses (<https://platform.openai.com/docs/api-reference/responses>).

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Number, Value, json};

use super::super::json::{self, Small};
use super::super::route::{Route, post};
use super::openai::{Conversation, events, id, seconds};
use super::wish::{Form, Options, Reply, Said, Wish};
use crate::app::App;
use crate::error::ServeError;

/// What a body looks like, for who sends another.
const SEND: &str = concat!(
    r#"{"model": "…", "input": [{"role": "user", "content": [{"type": "input_image", "#,
    r#""image_url": "data:image/jpeg;base64,…"}]}]}"#
);

pub(super) fn route() -> Route {
    post("/v1/responses", respond)
}

#[derive(Deserialize)]
#[serde(expecting = "a request as an object")]
struct Request {
    model: Option<String>,
    input: Conversation,
    max_output_tokens: Option<Number>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    text: Option<Text>,
    stream: Option<bool>,
}

#[derive(Deserialize)]
#[serde(expecting = "text as an object")]
struct Text {
    format: Option<Small>,
}

async fn respond(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ServeError> {
    let request: Request = json::read(&body, SEND)?;
    let served = match &request.model {
        Some(model) => app.models.tagged(model)?,
        None => app.models.default(),
    };
    let form = Form::of_openai(request.text.and_then(|text| text.format))?;
    let options = Options {
        most_words: request.max_output_tokens,
        temperature: request.temperature,
        top_p: request.top_p,
        seed: None,
    };
    let reply = Wish { photos: request.input.0, options, form, count: 1 }.grant(&app, &served).await?;
    let answer = Answer {
        id: id("resp", &headers),
        message: id("msg", &headers),
        created: seconds(SystemTime::now()),
        model: &served.name,
        reply: &reply,
    };
    Ok(match request.stream {
        Some(true) => {
            let numbered = answer.events().into_iter().enumerate().map(|(number, (name, mut event))| {
                event["type"] = name.into();
                event["sequence_number"] = number.into();
                (Some(name.to_owned()), event.to_string())
            });
            events(numbered)
        }
        _ => Json(answer.whole()).into_response(),
    })
}

struct Answer<'a> {
    id: String,
    message: String,
    created: u64,
    model: &'a str,
    reply: &'a Reply,
}

impl Answer<'_> {
    fn said(&self) -> &Said {
        &self.reply.said[0]
    }

    fn status(&self) -> &'static str {
        if self.said().cut { "incomplete" } else { "completed" }
    }

    fn part(text: &str) -> Value {
        json!({ "type": "output_text", "text": text, "annotations": [] })
    }

    fn item(&self, status: &str, content: Vec<Value>) -> Value {
        json!({
            "type": "message",
            "id": self.message,
            "status": status,
            "role": "assistant",
            "content": content,
        })
    }

    fn object(&self, status: &str, output: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": null,
            "incomplete_details": null,
            "instructions": null,
            "metadata": {},
            "model": self.model,
            "output": output,
            "parallel_tool_calls": false,
            "temperature": null,
            "tool_choice": "none",
            "tools": [],
            "top_p": null,
        })
    }

    fn whole(&self) -> Value {
        let item = self.item(self.status(), vec![Answer::part(&self.said().text)]);
        let mut answer = self.object(self.status(), vec![item]);
        if self.said().cut {
            answer["incomplete_details"] = json!({ "reason": "max_output_tokens" });
        }
        let (regions, words) = (self.reply.regions, self.reply.words);
        answer["usage"] = json!({
            "input_tokens": regions,
            "input_tokens_details": { "cached_tokens": 0 },
            "output_tokens": words,
            "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": regions + words,
        });
        answer
    }

    /// A stream of the same: the answer begins, its message, its text, piece by piece, and all of them end.
    fn events(&self) -> Vec<(&'static str, Value)> {
        let text = &self.said().text;
        let begun = || json!({ "response": self.object("in_progress", vec![]) });
        let place = |name: &str, value: Value| {
            let mut event = json!({ "item_id": self.message, "output_index": 0, "content_index": 0 });
            event[name] = value;
            event
        };
        let item = |status: &str, content| json!({ "output_index": 0, "item": self.item(status, content) });
        let mut text_done = place("text", text.as_str().into());
        text_done["logprobs"] = json!([]);
        let mut events = vec![
            ("response.created", begun()),
            ("response.in_progress", begun()),
            ("response.output_item.added", item("in_progress", vec![])),
            ("response.content_part.added", place("part", Answer::part(""))),
        ];
        events.extend(self.said().pieces().map(|piece| {
            let mut delta = place("delta", piece.into());
            delta["logprobs"] = json!([]);
            ("response.output_text.delta", delta)
        }));
        events.extend([
            ("response.output_text.done", text_done),
            ("response.content_part.done", place("part", Answer::part(text))),
            ("response.output_item.done", item(self.status(), vec![Answer::part(text)])),
        ]);
        let end = if self.said().cut { "response.incomplete" } else { "response.completed" };
        events.push((end, json!({ "response": self.whole() })));
        events
    }
}
