//! Decoder and engine in a process of their own: if they crash or hang, one image is lost and not its shard.
//!
//! The process is a child that runs one tagger per thread ([`serve`]); requests and answers go through its
//! stdin and stdout. Its parent holds one [`Tagger`] per thread ([`Isolation`]) and knows which images are in
//! the child's hands. If the child dies it is started again, and those images are tagged one by one, each
//! alone. The one that kills a child that has tagged nothing else becomes a failed row; all others get the
//! rows of an undisturbed run.
//!
//! An image is blamed only by a child that has just tagged a built-in picture: an engine that crashes on
//! every picture is an error. Nothing in it fetches, writes a row, or knows what a shard is.

mod child;
mod child_exit;
mod child_handle;
mod messages;
mod probe;
mod protocol;
mod sandbox;
mod setup;
mod supervisor;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

#[cfg(doc)]
use tagfleet_pipeline::tagger::Tagger;

pub use child::{serve, serve_sandboxed_with, serve_with};
pub use child_exit::ChildExit;
pub use setup::{FEEDERS_PER_CORE, Setup, SetupError};
pub use supervisor::Isolation;

/// How to start the child: a program whose `main` calls [`serve`] when it gets these arguments.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its path.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// How long the child may be silent before it counts as hanging and is killed.
///
/// An image that hangs costs its caller `tagging` once among others, once or twice alone, and a start of the
/// child after each: with the defaults and a model that loads in seconds, less than the 300 s after which an
/// unattended shard is given up.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From its start until the model is loaded; half an hour by default.
    pub loading: Duration,
    /// For the first picture, a small one of ours; a minute by default. A model that hangs on it hangs on
    /// every picture.
    pub probe: Duration,
    /// For one call of [`Tagger::tag`]; a minute by default, in which a core decodes and tags the largest
    /// picture that the decoder's limits let through many times over.
    pub tagging: Duration,
}

impl Patience {
    /// Seconds of [`Patience::tagging`] by default.
    pub const IMAGE_SECONDS: u64 = 60;
    /// The most seconds: three of them are less than the 300 s after which an unattended shard is given up.
    pub const MAX_IMAGE_SECONDS: u64 = 90;
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            loading: Duration::from_secs(1800),
            probe: Duration::from_secs(60),
            tagging: Duration::from_secs(Self::IMAGE_SECONDS),
        }
    }
}

/// Why the child could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// Engine, model and options do not fit together; the child's message.
    #[error("{0}")]
    Refused(String),
    /// The child could not be configured.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The operating system gave no process.
    #[error("the process that decodes and runs the model cannot be started: {0}")]
    Spawn(#[from] io::Error),
    /// The model does not finish a picture.
    #[error("the model has not finished one small picture in {} s: it cannot be used on this machine", .0.as_secs_f64())]
    Stuck(Duration),
    /// It died again and again with no image in its hands.
    #[error(
        "the process that decodes and runs the model died {times} times without an image in hand, at last with {child_exit}"
    )]
    Died {
        /// How often in a row.
        times: u32,
        /// The last time.
        child_exit: ChildExit,
    },
}
