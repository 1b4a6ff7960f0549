//! The program, started as a user starts it, and spoken to as clients speak.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails a test"
)]

mod binary; // Triton's tensors behind the JSON
mod chat; // what assistants and photo managers send
mod clients; // clients of other servers, as they are installed
mod deploy; // files that run the server elsewhere
mod grpc; // TensorFlow Serving's gRPC, health and reflection
mod hostile; // what strangers send
mod inference; // Open Inference over gRPC
mod limits; // what the server holds at a time
mod manual; // the commands of docs/serve.md and docs/clients.md, and the Flask example
mod packed; // bodies that come packed
mod page; // the page in a real browser
mod protocols; // every way to a caption, and what each says when there is none
mod reasons; // what is said of a request that is wrong
mod reload; // a newer model, and the end
mod requests; // the other ways in which programs write what they send
mod server; // a running server with a small model
mod several; // several models, by name, version and label
