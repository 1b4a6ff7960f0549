//! OpenAI's chat completions (<https://platform.openai.com/docs/api-reference/chat>).

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
use crate::models::Served;

/// What a body looks like, for who sends another.
const SEND: &str = concat!(
    r#"{"model": "…", "messages": [{"role": "user", "content": [{"type": "image_url", "#,
    r#""image_url": {"url": "data:image/jpeg;base64,…"}}]}]}"#
);

pub(super) fn route() -> Route {
    post("/v1/chat/completions", complete)
}

#[derive(Deserialize)]
#[serde(expecting = "a request as an object")]
struct Completion {
    model: Option<String>,
    messages: Conversation,
    n: Option<usize>,
    max_tokens: Option<Number>,
    max_completion_tokens: Option<Number>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    seed: Option<Number>,
    logprobs: Option<bool>,
    response_format: Option<Small>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
#[serde(expecting = "options of a stream as an object")]
struct StreamOptions {
    include_usage: Option<bool>,
}

async fn complete(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ServeError> {
    let request: Completion = json::read(&body, SEND)?;
    let served = match &request.model {
        Some(model) => app.models.tagged(model)?,
        None => app.models.default(),
    };
    let wish = Wish {
        photos: request.messages.0,
        options: Options {
            most_words: request.max_completion_tokens.or(request.max_tokens),
            temperature: request.temperature,
            top_p: request.top_p,
            seed: request.seed,
        },
        form: Form::of_openai(request.response_format)?,
        count: request.n.unwrap_or(1),
    };
    let reply = wish.grant(&app, &served).await?;
    let answer = Answer {
        id: id("chatcmpl", &headers),
        created: seconds(SystemTime::now()),
        served: &served,
        reply: &reply,
        logprobs: request.logprobs.unwrap_or(false),
    };
    let with_usage = request.stream_options.and_then(|options| options.include_usage).unwrap_or(false);
    Ok(match request.stream {
        Some(true) => events(answer.chunks(with_usage).map(|data| (None, data))),
        _ => Json(answer.whole()).into_response(),
    })
}

struct Answer<'a> {
    id: String,
    created: u64,
    served: &'a Served,
    reply: &'a Reply,
    logprobs: bool,
}

impl Answer<'_> {
    fn object(&self, kind: &str, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": &*self.served.name,
            "choices": choices,
        })
    }

    fn usage(&self) -> Value {
        let (regions, words) = (self.reply.regions, self.reply.words);
        json!({ "prompt_tokens": regions, "completion_tokens": words, "total_tokens": regions + words })
    }

    /// Of the words with these numbers; a word is what stands for a token.
    fn logprobs(&self, said: &Said, words: std::ops::Range<usize>) -> Value {
        let Some(words) = said.words.get(words).filter(|_| self.logprobs) else { return Value::Null };
        let token = |word: &caption::Word| {
            json!({
                "token": word.text,
                "logprob": word.log_probability,
                "bytes": word.text.as_bytes(),
                "top_logprobs": [],
            })
        };
        json!({ "content": words.iter().map(token).collect::<Vec<_>>(), "refusal": null })
    }

    fn whole(&self) -> Value {
        let choice = |(index, said): (usize, &Said)| {
            json!({
                "index": index,
                "message": { "role": "assistant", "content": said.text, "refusal": null },
                "logprobs": self.logprobs(said, 0..said.words.len()),
                "finish_reason": reason(said),
            })
        };
        let choices = self.reply.said.iter().enumerate().map(choice).collect();
        let mut answer = self.object("chat.completion", choices);
        answer["usage"] = self.usage();
        answer
    }

    /// The data of each event: who speaks, the words, the end, and what it took where that is asked for.
    fn chunks(&self, with_usage: bool) -> impl Iterator<Item = String> {
        let mut chunks = Vec::new();
        for (index, said) in self.reply.said.iter().enumerate() {
            let chunk = |delta: Value, logprobs: Value, end: Value| {
                let choice =
                    json!({ "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": end });
                self.object("chat.completion.chunk", vec![choice])
            };
            chunks.push(chunk(json!({ "role": "assistant", "content": "" }), Value::Null, Value::Null));
            for (number, piece) in said.pieces().enumerate() {
                let logprobs = self.logprobs(said, number..number + 1);
                chunks.push(chunk(json!({ "content": piece }), logprobs, Value::Null));
            }
            chunks.push(chunk(json!({}), Value::Null, reason(said).into()));
        }
        if with_usage {
            let mut last = self.object("chat.completion.chunk", vec![]);
            last["usage"] = self.usage();
            chunks.push(last);
        }
        chunks.into_iter().map(|chunk| chunk.to_string()).chain(["[DONE]".to_owned()])
    }
}

fn reason(said: &Said) -> &'static str {
    if said.cut { "length" } else { "stop" }
}
