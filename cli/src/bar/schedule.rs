//! When a plain line of progress is due: soon at first, then once a minute, so that a night's log stays
//! short.
//!
//! The time is a parameter; nothing here reads a clock.

use std::time::Duration;

/// The pauses before the first lines, in seconds; the last one holds for all that follow.
const PAUSES: [u64; 4] = [5, 10, 30, 60];

/// The lines of one run's log.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    lines: usize,
    /// When the last line was written.
    last: Duration,
}

impl Schedule {
    /// Whether a line is due `time` after the start. It counts as written then.
    pub(crate) fn is_due(&mut self, time: Duration) -> bool {
        let pause = PAUSES
            .get(self.lines)
            .or(PAUSES.last())
            .map_or(Duration::ZERO, |pause| Duration::from_secs(*pause));
        if time.saturating_sub(self.last) < pause {
            return false;
        }
        self.lines += 1;
        self.last = time;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds at which a line is written, if it is asked at these.
    fn written(seconds: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut schedule = Schedule::default();
        seconds.filter(|second| schedule.is_due(Duration::from_secs(*second))).collect()
    }

    #[test]
    fn lines_come_after_5_10_30_and_then_every_60_seconds() {
        assert_eq!(written(0..=300), [5, 15, 45, 105, 165, 225, 285]);
        assert_eq!(written(0..36_000).len(), 602, "a log of ten hours");
    }

    #[test]
    fn a_machine_that_slept_writes_one_line() {
        assert_eq!(written([0, 5, 50_000, 50_001].into_iter()), [5, 50_000]);
    }
}
