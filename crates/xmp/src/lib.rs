//! Captions in XMP sidecars: the files beside photos in which photo libraries keep what people say of them.
//!
//! A sidecar is edited as text, at the places that change, and never written anew: whatever other programs keep in it stays
//! byte for byte. What is written is the packet's description (`dc:description`), its alternative text
//! (`Iptc4xmpCore:AltTextAccessibility`), its keywords (`dc:subject`), and, in a namespace of our own, what they were made from
//! and which texts were ours, so that a later run knows what is still right and what a person has edited since.
//!
//! ```
//! use xmp::{Contents, Said, Source, merged};
//!
//! let source = Source { photo: "blake3:1".into(), model: "blake3:2".into(), settings: "{}".into() };
//! let said = Said { caption: "a dog runs".into(), keywords: vec![], source };
//! let sidecar = merged(None, &said, false)?;
//! assert_eq!(Contents::read(&sidecar)?.description.as_deref(), Some("a dog runs"));
//! assert_eq!(merged(Some(&sidecar), &said, false)?, sidecar);
//! # Ok::<(), xmp::XmpError>(())
//! ```
//!
//! Invariant: what a person wrote is never changed, unless the caller asks for it.

mod contents;
mod edit;
mod error;
mod layout;
mod merge;
mod names;
mod property;
mod text;

pub use contents::{Contents, Source};
pub use error::XmpError;
pub use merge::{Said, merged};
pub use text::MAX_BYTES;
