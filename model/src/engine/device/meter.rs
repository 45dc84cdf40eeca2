//! How long each stage of a device was busy: decoding before it, copying to it, computing on it.
//!
//! Only for people, and to find the bottleneck. It costs two clock readings a stage.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tagfleet_pipeline::tagger::DeviceTime;

/// The stages of one device.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    began: OnceLock<Instant>,
    /// Processor time of all threads that decode, in nanoseconds.
    decode: AtomicU64,
    /// What was copied, at the speed that was measured alone, in nanoseconds.
    transfer: AtomicU64,
    pub(super) compute: Busy,
}

impl Meter {
    /// The calling thread starts to decode; pass the returned value to [`Meter::decoded`].
    pub(crate) fn decodes(&self) -> Duration {
        self.began.get_or_init(Instant::now);
        thread_time()
    }

    /// The same thread has decoded since then: the processor's time counts, not the waiting.
    pub(crate) fn decoded(&self, since: Duration) {
        let time = thread_time().saturating_sub(since);
        self.decode.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// A batch was copied to the device, which takes this long by itself.
    pub(super) fn copied(&self, time: Duration) {
        self.transfer.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// What was done since the first image came.
    pub(crate) fn time(&self) -> DeviceTime {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        DeviceTime {
            wall_milliseconds: self.began.get().map_or(0, |began| milliseconds(began.elapsed())),
            decode_milliseconds: self.decode.load(Relaxed) / 1_000_000,
            transfer_milliseconds: self.transfer.load(Relaxed) / 1_000_000,
            compute_milliseconds: milliseconds(self.compute.time()),
        }
    }
}

fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The time in which at least one lane was in a stage.
#[derive(Debug, Default)]
pub(super) struct Busy(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    lanes: u32,
    since: Option<Instant>,
    before: Duration,
}

impl Busy {
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.enter(Instant::now());
        let result = work();
        self.leave(Instant::now());
        result
    }

    fn enter(&self, now: Instant) {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.lanes += 1;
        inside.since.get_or_insert(now);
    }

    fn leave(&self, now: Instant) {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.lanes -= 1;
        if inside.lanes == 0
            && let Some(since) = inside.since.take()
        {
            inside.before += now.saturating_duration_since(since);
        }
    }

    fn time(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lanes_at_once_are_counted_once() {
        let (busy, start) = (Busy::default(), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        busy.enter(at(0));
        busy.enter(at(10));
        busy.leave(at(20));
        busy.leave(at(30));
        busy.enter(at(50));
        busy.leave(at(55));
        assert_eq!(busy.time(), Duration::from_millis(35));
    }

    #[test]
    fn decoding_counts_the_processor_and_not_the_waiting() {
        let meter = Meter::default();
        assert_eq!(meter.time(), DeviceTime::default());
        let since = meter.decodes();
        while thread_time() < since + Duration::from_millis(5) {}
        meter.decoded(since);
        let time = meter.time();
        assert!(time.decode_milliseconds >= 5 && time.wall_milliseconds >= 4, "{time:?}");
    }
}
