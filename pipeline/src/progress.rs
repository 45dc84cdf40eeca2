//! What a run has done so far, as numbers that a progress bar can read while threads write them.
//!
//! Only for people: nothing is decided by it, and the results never depend on it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::tagger::DeviceTime;

/// Live counts of images; each is exact once the run has ended.
#[derive(Debug, Default)]
pub struct Progress {
    total: AtomicU64,
    before: AtomicU64,
    tagged: AtomicU64,
    failed: AtomicU64,
    committed: AtomicU64,
    batch_size: AtomicU64,
    waiting_nanoseconds: AtomicU64,
    tagging_nanoseconds: AtomicU64,
    shard_failures: Mutex<ShardFailures>,
    troubles: Mutex<BTreeMap<Trouble, Times>>,
    device_time: Mutex<Option<DeviceTime>>,
}

/// What the threads that tag did with their time, all of them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ThreadTime {
    /// Milliseconds in which they waited for an image that then came.
    pub waiting_milliseconds: u64,
    /// Milliseconds in which they tagged.
    pub tagging_milliseconds: u64,
}

impl ThreadTime {
    /// Adds what other threads did.
    pub fn add(&mut self, other: Self) {
        self.waiting_milliseconds = self.waiting_milliseconds.saturating_add(other.waiting_milliseconds);
        self.tagging_milliseconds = self.tagging_milliseconds.saturating_add(other.tagging_milliseconds);
    }

    /// The share of their time in which they tagged, of 1; `None` if nothing was measured.
    #[must_use]
    pub fn busy(self) -> Option<f64> {
        let all = self.waiting_milliseconds.saturating_add(self.tagging_milliseconds);
        (all > 0).then(|| self.tagging_milliseconds as f64 / all as f64)
    }
}

/// Shards that could not be tagged and went back to the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardFailures {
    /// How many times, in this process.
    pub count: u64,
    /// Why, the last time.
    pub last: Option<String>,
}

/// What may go wrong with a shard and changes no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Its thumbnails could not be stored: the report has to do without them.
    Thumbnails,
    /// Its checkpoint could not be used: images that were tagged before are tagged again.
    CheckpointUnread,
    /// Its checkpoint could not be written: the images that were tagged are tagged again.
    CheckpointUnwritten,
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Thumbnails => "thumbnails could not be stored, so the report lacks them",
            Self::CheckpointUnread => "a checkpoint could not be used, so its images are tagged again",
            Self::CheckpointUnwritten => {
                "tagged images could not be kept when the work on them ended, so they are tagged again"
            }
        })
    }
}

/// How often something went wrong, in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Shards.
    pub count: u64,
    /// Why, the last time.
    pub last: String,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Inputs of the run; 0 until split has ended.
    pub total: u64,
    /// Of these, how many had a row before this process took the run up, in a part or in a checkpoint.
    pub before: u64,
    /// Images with tags, of this process.
    pub tagged: u64,
    /// Images without, as failed rows.
    pub failed: u64,
    /// Rows of the parts that this process has written, those from checkpoints included.
    pub committed: u64,
}

impl Counts {
    /// Inputs that have an outcome.
    #[must_use]
    pub fn done(self) -> u64 {
        self.before + self.tagged + self.failed
    }
}

impl Progress {
    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            total: self.total.load(Relaxed),
            before: self.before.load(Relaxed),
            tagged: self.tagged.load(Relaxed),
            failed: self.failed.load(Relaxed),
            committed: self.committed.load(Relaxed),
        }
    }

    /// What went wrong with shards so far, by itself no reason to stop: each comes again.
    #[must_use]
    pub fn shard_failures(&self) -> ShardFailures {
        self.shard_failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What went wrong so far and changes no row.
    #[must_use]
    pub fn troubles(&self) -> BTreeMap<Trouble, Times> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Images that a thread tags at once; 0 before the first.
    #[must_use]
    pub fn batch_size(&self) -> u64 {
        self.batch_size.load(Relaxed)
    }

    /// What the threads of this process did with their time so far.
    #[must_use]
    pub fn thread_time(&self) -> ThreadTime {
        let milliseconds = |counter: &AtomicU64| counter.load(Relaxed) / 1_000_000;
        ThreadTime {
            waiting_milliseconds: milliseconds(&self.waiting_nanoseconds),
            tagging_milliseconds: milliseconds(&self.tagging_nanoseconds),
        }
    }

    /// What the stages of a model on a device did so far; `None` if the processor runs it, or nothing is
    /// tagged yet.
    #[must_use]
    pub fn device_time(&self) -> Option<DeviceTime> {
        *self.device_time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a tagger's report about all of them, unless another has reported later.
    pub(crate) fn set_device_time(&self, told: DeviceTime) {
        let mut known = self.device_time.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|known| known.wall_milliseconds <= told.wall_milliseconds) {
            *known = Some(told);
        }
    }

    pub(crate) fn add_thread_time(&self, waiting: Duration, tagging: Duration) {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.waiting_nanoseconds.fetch_add(nanoseconds(waiting), Relaxed);
        self.tagging_nanoseconds.fetch_add(nanoseconds(tagging), Relaxed);
    }

    pub(crate) fn set_batch_size(&self, images: usize) {
        self.batch_size.store(images as u64, Relaxed);
    }

    pub(crate) fn shard_failed(&self, why: String) {
        let mut failures = self.shard_failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.count += 1;
        failures.last = Some(why);
    }

    pub(crate) fn trouble(&self, what: Trouble, why: String) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let times = troubles.entry(what).or_default();
        times.count += 1;
        times.last = why;
    }

    pub(crate) fn begin(&self, total: u64, before: u64) {
        self.before.store(before, Relaxed);
        self.total.store(total, Relaxed);
    }

    pub(crate) fn add(&self, failed: bool) {
        let counter = if failed { &self.failed } else { &self.tagged };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn commit(&self, images: u64) {
        self.committed.fetch_add(images, Relaxed);
    }

    /// Takes back what a shard had counted whose rows are lost: they will be tagged again.
    pub(crate) fn take_back(&self, tagged: u64, failed: u64) {
        self.tagged.fetch_sub(tagged, Relaxed);
        self.failed.fetch_sub(failed, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_taggers_tell_the_latest_stays() {
        let progress = Progress::default();
        assert_eq!(progress.device_time(), None);
        let told = |wall_milliseconds, decode_milliseconds| DeviceTime {
            wall_milliseconds,
            decode_milliseconds,
            ..DeviceTime::default()
        };
        for (time, kept) in [(told(20, 5), 5), (told(10, 2), 5), (told(20, 6), 6), (told(30, 7), 7)] {
            progress.set_device_time(time);
            assert_eq!(progress.device_time().map(|time| time.decode_milliseconds), Some(kept));
        }
    }
}
