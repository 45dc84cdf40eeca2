//! The pipeline: split, queue, infer, reduce. It tags every image of a bucket or folder once.
//!
//! ```text
//! bucket ── split ──► shards + one message each ── queue ──► infer ──► one part per shard
//!           lists the source once                            tagger        │
//!                       results, counts, _SUCCESS ◄── reduce ◄─────────────┘
//!                                                     compares shards and parts
//! ```
//!
//! A stage is a function over three ports: a [`bucket::Bucket`], a [`queue::Queue`] and a [`tagger::Tagger`].
//! [`local::run`] calls all stages in one process. `tagfleet_fleet::steps` calls them one by one, on many
//! machines.
//!
//! Ranges of keys show how stages divide work. They are half-open, so neighbours share a bound and lose no
//! key:
//!
//! ```
//! use tagfleet_pipeline::bucket::KeyRange;
//!
//! let range = KeyRange { after: Some("a.jpg".into()), up_to: Some("b.jpg".into()), ..KeyRange::default() };
//! assert!(!range.contains("a.jpg") && range.contains("b.jpg"));
//! ```
//!
//! Why not a batch engine such as Spark or Ray? A run needs no shuffle and no cluster: a listing, a queue and
//! conditional writes are enough, and a run resumes from the bucket alone. Why not a database for the state?
//! Which shards are done is a comparison of two listings, which cannot disagree with the results.
//!
//! This crate never names an AWS crate, an engine, a decoder or a price.

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
pub mod format;

#[cfg(any(test, feature = "contract"))]
pub mod testing;
