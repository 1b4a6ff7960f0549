//! Captions for clients: the protocols that model servers share, our own API, and a web page.
//!
//! A request goes through four hands: `http` or `grpc` turns a protocol into bytes and settings, `engine` lets it
//! in or turns it away, decodes it and runs it in a batch, `models` says which version of the model that is, and
//! `error` says in every protocol why it did not work.
//!
//! Invariant: nothing here knows a network. What is written about a photo comes from [`caption::Captioner`].

mod app;
mod args;
mod body;
mod budget;
mod engine;
mod error;
mod grpc;
mod http;
mod inference;
mod listen;
mod machine;
mod metrics;
mod models;
mod packing;
pub mod proto;
mod run;
mod settings;
mod signature;
mod threads;

pub use run::main;
