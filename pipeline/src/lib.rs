//! tagfleet's pipeline: split, queue, infer, reduce, report. Every stage, the ports and the local adapters.
//!
//! The same stages run on a laptop and on AWS. This crate never names an AWS crate, an engine or a decoder.

// The ports: what the stages need of a cloud, a laptop or an engine.
pub mod bucket;
pub mod progress;
pub mod queue;
pub mod tagger;

// A run: what it was asked, and what it stores.
pub mod checkpoint;
pub mod denied;
pub mod earlier;
pub mod filter;
pub mod inputs;
pub mod manifest;
pub mod record;
pub mod run;
pub mod shard;
pub mod tags;
pub mod thumbnails;

// The stages, in their order.
pub mod split;

pub mod infer;

pub mod reduce;

// All of them in one process.
pub mod local;

// Text for people.
pub mod number;
pub mod visible;

#[cfg(any(test, feature = "contract"))]
pub mod testing;
