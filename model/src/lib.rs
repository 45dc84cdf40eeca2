//! Image bytes to tags: decode, resize, normalise, run the engine, rank the scores.
//!
//! ```text
//! bytes ── decode ──► pixels ── grid, resize ──► tensor ── engine ──► scores ──► tags
//!                                   ▲                        ▲
//!                     folder: preprocessing, labels ─ graph ─┘
//! ```
//!
//! [`folder::Model::open`] reads a model folder, [`tagger::TaggerFactory`] loads it into an engine, and each
//! thread has a tagger of its own. [`isolation`] does the same in a sandboxed child process, because image
//! bytes and model files are hostile:
//!
//! ```text
//! let model = Model::open(path, &options)?;
//! let factory = TaggerFactory::new(model, &engine, &tags, Limits::default())?;
//! let mut tagger = factory.tagger()?;
//! ```
//!
//! Why not Python's own libraries? Rows must not depend on installed versions, and one process must use all
//! cores with bounded memory. Resize computes Pillow's samples to the bit, and normalisation those of
//! torchvision, timm and transformers.
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
