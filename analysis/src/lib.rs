//! Analysis: what a run's rows are worth, by a truth or by another run.
//!
//! Rows come in key order, so [`evaluate`] and [`diff`] are merges of streams, and their memory does not grow
//! with the number of rows. Everything they keep is bounded: labels, pairs of labels, examples. The crate
//! gives values and text; it makes no page, reads no image and changes no row.

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
pub use text::percent;

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
