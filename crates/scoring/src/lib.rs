//! What is measured about the captions of any system, whoever wrote them: scores with intervals and the protocol that they
//! were made by, tables of them, and systems side by side.
//!
//! A [`Measure`] makes a [`Sheet`] of captions and references. A [`ScoreFile`] is the sheet of a run's captions as
//! `scores.json` holds it; [`comparison`] and [`ablation`] set evaluations of runs against each other, read from their
//! files alone, [`figures`] are a run's table for documents. [`command`] is what the programs `score` and `evaluate` say to captions of any system ([`captions`]).
//!
//! Invariant: nothing here knows a network, so whoever has captions can score them without libtorch.

pub mod ablation;
pub mod captions;
pub mod command;
pub mod comparison;
pub mod figures;
mod grounding;
mod protocol;
mod rescored;
mod score_file;
mod sheet;
pub mod text;

pub use grounding::{Beside, Found, Grounding};
pub use protocol::Protocol;
pub use score_file::{BLIND, FILE, HUMAN, ScoreFile};
pub use sheet::{Measure, Sheet};
