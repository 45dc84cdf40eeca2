//! Analysis: how good a run's tags are, and how two runs differ.
//!
//! ```text
//! rows of a run ──┐
//!                 ├── evaluate ──► precision, recall, confusions, calibration, thresholds
//! truth ──────────┘
//! rows of a run ──┐
//!                 ├── diff ──► kept, flipped, new, deleted, failed, healed
//! rows of another ┘
//! ```
//!
//! The result of [`diff`] as text:
//!
//! ```text
//! 50.0 % of the labels changed since monday (limit 25.0 %)
//! ```
//!
//! Rows are in key order, so both are merges of two streams. Why not a join in a database, or pandas? Those
//! hold one side in memory or on disk, and a run may have billions of rows. The memory of a merge does not
//! grow with the number of rows, and all that it keeps is bounded: labels, pairs of labels, examples.
//!
//! The crate returns values and text. It makes no page, reads no image and changes no row.

pub mod diff;
pub mod evaluate;
mod labels;
mod pairs;
mod subject;
mod text;
pub mod truth;

use std::io;

use tagfleet_pipeline::bucket::BucketError;
use thiserror::Error;

pub use pairs::Example;
pub use subject::{Subject, SubjectError};

/// Why an analysis stopped. It has changed nothing.
#[derive(Debug, Error)]
pub enum AnalysisError {
    /// The rows of a run cannot be read.
    #[error(transparent)]
    Rows(#[from] BucketError),
    /// What is found on the way cannot be written.
    #[error("cannot write a flip: {0}")]
    Write(#[from] io::Error),
    /// The truth and the run have no key in common.
    #[error(
        "no key of the truth is in the run: the first key of the truth is {truth:?}, of the run {run:?}; use keys as \
         `tagfleet show RUN --keys-only` prints them"
    )]
    NothingInCommon {
        /// The first key of the truth, in key order.
        truth: String,
        /// The first key of the run; empty if it has no row.
        run: String,
    },
    /// The run has no folder whose name is a label.
    #[error("no image of the run is in a folder: name folders after labels, or give --truth a file")]
    NoFolders,
}
