//! Image bytes to tags: decode, resize, normalise, run the engine, rank the scores.
//!
//! The only crate that links an engine or a decoder. It never lists, fetches or writes objects.

pub mod decode;
pub mod engine;
pub mod error;
mod files;
pub mod folder;
pub mod graph;
pub mod grid;
pub mod isolation;
mod nearest;
pub mod pixels;
pub mod preprocessing;
pub mod resize;
mod rewrite;
pub mod sample;
pub mod scores;
pub mod tagger;
pub mod tensor;
#[cfg(test)]
mod testing;
pub mod thumbnail;
