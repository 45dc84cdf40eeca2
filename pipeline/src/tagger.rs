//! The port between a run and a model: image bytes in, one outcome per image out.
//!
//! It exists so that `infer` never links an engine or a decoder: the Lambda functions build without either.
//! It never fetches, never writes, and never decides what a bad image means for a run.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::tags::Outcome;

/// What a tagger's stages did since its model was loaded, if a device runs the model. All taggers of a
/// process share one device, and each reports for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeviceTime {
    /// Milliseconds since the first picture came, the one included that is tried before the run's own.
    pub wall_milliseconds: u64,
    /// Processor milliseconds of decoding, resizing and cropping, all threads together.
    pub decode_milliseconds: u64,
    /// Milliseconds that copying the images to the device takes, as measured for one batch alone: copying
    /// overlaps with computing.
    pub transfer_milliseconds: u64,
    /// Milliseconds in which the device ran the model, what it had to wait for of copies included.
    pub compute_milliseconds: u64,
}

impl DeviceTime {
    /// Adds what another process did before or after.
    pub fn add(&mut self, other: Self) {
        self.wall_milliseconds = self.wall_milliseconds.saturating_add(other.wall_milliseconds);
        self.decode_milliseconds = self.decode_milliseconds.saturating_add(other.decode_milliseconds);
        self.transfer_milliseconds = self.transfer_milliseconds.saturating_add(other.transfer_milliseconds);
        self.compute_milliseconds = self.compute_milliseconds.saturating_add(other.compute_milliseconds);
    }
}

/// Whether a call makes a thumbnail of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Wanted {
    /// No.
    #[default]
    Never,
    /// Yes, if it can be decoded.
    Always,
    /// Only if the score of its best tag is lower than this, or if it was decoded and then failed.
    IfBelow(f32),
}

/// What became of one image; no row keeps more than the outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// What became of it.
    pub outcome: Outcome,
    /// A small JPEG of it, if one was wanted.
    pub thumbnail: Option<Vec<u8>>,
    /// Milliseconds to decode and tag it, its share of a batch's time included; `None` if it was not
    /// measured.
    pub milliseconds: Option<u64>,
}

impl From<Outcome> for Seen {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, thumbnail: None, milliseconds: None }
    }
}

/// One worker thread's model: a session of its own, used by one thread only, never shared.
pub trait Tagger: Send {
    /// How many images the next call of [`Tagger::tag`] should get when that many are waiting; at least 1.
    fn batch_size(&self) -> usize;

    /// How many of them the model runs at once, as far as is known; for people.
    fn inference_batch_size(&self) -> usize {
        self.batch_size()
    }

    /// Whether its calls take long enough to need a thread of their own, as those of every model do. One that
    /// answers at once is called among the worker's other tasks.
    fn needs_thread(&self) -> bool {
        true
    }

    /// Tags `images`, each the bytes of one file as stored, and returns one outcome per image in their order.
    ///
    /// A bad image is an [`Outcome::Failed`], never an error. A call ends within minutes: a tagger that can
    /// hang on an image has to notice that by itself, and until then the shards that wait for it are kept.
    ///
    /// # Errors
    /// Only if the engine itself fails: then the shard goes back and this worker stops.
    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError>;

    /// The same, with a thumbnail of each picture that `wanted` asks for, by position; what it is too short
    /// for is not wanted. It is for people only: a tagger that cannot make one leaves it out.
    ///
    /// # Errors
    /// Those of [`Tagger::tag`].
    fn tag_with_thumbnails(
        &mut self,
        images: &[&[u8]],
        _wanted: &[Wanted],
    ) -> Result<Vec<Seen>, TaggerError> {
        Ok(self.tag(images)?.into_iter().map(Seen::from).collect())
    }

    /// What its stages did so far, if a device runs the model; `None` if the processor does.
    fn device_time(&self) -> Option<DeviceTime> {
        None
    }

    /// What people should know of how the model runs, a sentence each, as it was found out while the model
    /// was loaded.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The engine failed on valid input: nothing is known about the images, so they have no rows.
#[derive(Debug, Error)]
#[error("the model could not be run: {0}")]
pub struct TaggerError(pub String);
