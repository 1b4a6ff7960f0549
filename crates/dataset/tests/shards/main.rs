//! Datasets in shards, read by the program as people run it: archives and tables in, two tables out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what goes wrong here fails a test")]

mod archives; // tar files that are whole, and what their members may be
mod broken; // tar files that are not
mod resume; // runs that are killed, shared or repeated
mod run; // a run in a temporary folder
mod s3; // shards in an object store
mod tables; // Parquet files
mod tools; // what the programs write that people use
