//! tagfleet's pipeline: split, queue, infer, reduce, report. Every stage, the ports and the local adapters.
//!
//! The same stages run on a laptop and on AWS. This crate never names an AWS crate, an engine or a decoder.

pub mod bucket;
pub mod checkpoint;
pub mod denied;
pub mod earlier;
pub mod filter;
pub mod infer;
pub mod local;
pub mod manifest;
pub mod number;
pub mod progress;
pub mod queue;
pub mod record;
pub mod reduce;
pub mod run;
pub mod shard;
pub mod split;
pub mod tagger;
pub mod tags;
#[cfg(any(test, feature = "contract"))]
pub mod testing;
pub mod thumbnails;
pub mod visible;
