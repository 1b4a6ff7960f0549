//! What assistants and photo managers speak: the APIs of Ollama and OpenAI, in which photos are part of a conversation.
//!
//! A caption follows no text, so prompts are passed over; what bounds it (`num_predict`, `max_tokens`), what draws it
//! (`temperature` with a `seed`) and how many are wanted (`n`) is obeyed. All of it is known before the first byte of an
//! answer goes out: a stream tells it word by word, and what cannot be answered has the status of an error.

mod completions;
mod fill;
mod ollama;
mod openai;
mod responses;
mod wish;

use super::route::Route;

pub(super) use openai::{model, reshape};

/// Ollama's addresses.
pub(super) fn ollama() -> Vec<Route> {
    ollama::routes()
}

/// OpenAI's addresses, beside the list of models, which others share.
pub(super) fn openai() -> Vec<Route> {
    vec![completions::route(), responses::route()]
}

pub(super) use ollama::RUNNING;
