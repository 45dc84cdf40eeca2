//! How fast a run was over its time, and what it waited for: measured, not guessed.
//!
//! On one machine from samples of its progress; in a fleet from the workers' records, each as if it had run
//! at its mean speed. For people: nothing is decided by it.

use tagfleet_cost::usage::{UsageRecord, WorkerUsage};
use tagfleet_pipeline::progress::ThreadTime;

/// Points of a curve at most.
const POINTS: usize = 200;
/// Threads that tagged for this share of their time did not wait: what is left is noise.
const BUSY: f64 = 0.9;

/// The speed of a run over its time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Throughput {
    /// In the order of time, without gaps.
    pub pieces: Vec<Piece>,
    /// What the threads that tagged did with their time.
    pub threads: ThreadTime,
}

/// A stretch of time with one speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// Seconds since the start.
    pub from: f64,
    /// Seconds since the start; later than `from`.
    pub to: f64,
    /// Images per second.
    pub rate: f64,
}

/// What a run could not go faster for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bottleneck {
    /// Decoding and the model: threads that tag never waited for long.
    Cores,
    /// Images came too slowly.
    Fetching,
}

impl Throughput {
    /// What limited it; `None` if nothing was measured.
    #[must_use]
    pub fn bottleneck(&self) -> Option<Bottleneck> {
        let busy = self.threads.busy()?;
        Some(if busy >= BUSY { Bottleneck::Cores } else { Bottleneck::Fetching })
    }

    /// The highest speed.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.pieces.iter().map(|piece| piece.rate).fold(0.0, f64::max)
    }

    /// Its length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.pieces.last().map_or(0.0, |piece| piece.to)
    }
}

/// Samples of one machine's progress: at most 200 however long it lasts, because the interval grows.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// Seconds since the start, and images done until then.
    samples: Vec<(f64, u64)>,
    /// Seconds between two samples that are kept, at least.
    every: f64,
}

impl Recorder {
    /// A recorder that keeps a sample each `every` seconds until there are too many.
    #[must_use]
    pub fn new(every: f64) -> Self {
        Self { samples: vec![(0.0, 0)], every }
    }

    /// Notes that `images` are done `seconds` after the start.
    pub fn add(&mut self, seconds: f64, images: u64) {
        if self.samples.last().is_some_and(|last| seconds < last.0 + self.every) {
            return;
        }
        self.samples.push((seconds, images));
        if self.samples.len() > POINTS {
            let mut number = 0;
            self.samples.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.every *= 2.0;
        }
    }

    /// The curve, which ends now: `images` are done `seconds` after the start.
    #[must_use]
    pub fn finish(mut self, seconds: f64, images: u64, threads: ThreadTime) -> Throughput {
        // A short last stretch would be mostly noise.
        while self.samples.len() > 1
            && self.samples.last().is_some_and(|last| seconds < last.0 + self.every / 2.0)
        {
            self.samples.pop();
        }
        self.samples.push((seconds, images));
        let piece = |pair: &[(f64, u64)]| {
            let ((from, before), (to, after)) = (pair[0], pair[1]);
            let rate = after.saturating_sub(before) as f64 / (to - from);
            (to > from).then_some(Piece { from, to, rate })
        };
        Throughput { pieces: self.samples.windows(2).filter_map(piece).collect(), threads }
    }
}

/// The curve of a fleet, from the usage records of its workers; those of functions do not count.
#[must_use]
pub fn of_fleet(records: &[UsageRecord]) -> Throughput {
    let workers = records.iter().filter_map(|record| match record {
        UsageRecord::Worker(worker) => Some(worker.clone()),
        UsageRecord::Function(_) => None,
    });
    of_workers(&workers.collect::<Vec<_>>())
}

/// Cuts the time from the first start to the last record into equal pieces of a second at least.
fn of_workers(workers: &[WorkerUsage]) -> Throughput {
    let began = workers.iter().map(|worker| worker.began).min().unwrap_or_default();
    // Zero seconds have no speed: a worker that lived for less than a second counts as one second.
    let span = |worker: &WorkerUsage| {
        let from = worker.began - began;
        (from, worker.updated.saturating_sub(began).max(from.saturating_add(1)))
    };
    let seconds = workers.iter().map(|worker| span(worker).1).max().unwrap_or_default();
    let number = usize::try_from(seconds).unwrap_or(POINTS).min(POINTS);
    let width = seconds as f64 / number.max(1) as f64;
    let (mut images, mut threads) = (vec![0.0; number], ThreadTime::default());
    for worker in workers {
        threads.add(worker.threads);
        let (from, to) = span(worker);
        let rate = worker.tagged.saturating_add(worker.failed) as f64 / (to - from).max(1) as f64;
        for (piece, images) in images.iter_mut().enumerate() {
            let (begin, end) = (piece as f64 * width, (piece + 1) as f64 * width);
            *images += rate * (end.min(to as f64) - begin.max(from as f64)).max(0.0);
        }
    }
    let piece = |(number, images): (usize, &f64)| {
        let from = number as f64 * width;
        Piece { from, to: from + width, rate: images / width }
    };
    Throughput { pieces: images.iter().enumerate().map(piece).collect(), threads }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tagfleet_cost::testing::usage_of_a_worker;

    fn rates(throughput: &Throughput) -> Vec<f64> {
        throughput.pieces.iter().map(|piece| piece.rate).collect()
    }

    #[test]
    fn samples_become_a_curve() {
        let mut recorder = Recorder::new(1.0);
        for (seconds, images) in [(0.5, 3), (1.0, 10), (2.0, 30), (2.2, 33)] {
            recorder.add(seconds, images);
        }
        let threads = ThreadTime { waiting_milliseconds: 5, tagging_milliseconds: 95 };
        let curve = recorder.finish(3.0, 40, threads);
        assert_eq!(rates(&curve), [10.0, 20.0, 10.0]);
        assert_eq!((curve.peak(), curve.seconds()), (20.0, 3.0));
        assert_eq!(curve.bottleneck(), Some(Bottleneck::Cores));
    }

    #[test]
    fn a_long_run_keeps_a_bounded_curve_that_loses_no_image() {
        let mut recorder = Recorder::new(1.0);
        for second in 1_u32..=100_000 {
            recorder.add(f64::from(second), u64::from(second) * 7);
        }
        let curve = recorder.finish(100_000.5, 700_003, ThreadTime::default());
        assert!((POINTS / 2 - 2..=POINTS).contains(&curve.pieces.len()), "{}", curve.pieces.len());
        let images: f64 = curve.pieces.iter().map(|piece| piece.rate * (piece.to - piece.from)).sum();
        assert!((images - 700_003.0).abs() < 1e-3, "{images}");
        assert_eq!(curve.bottleneck(), None);
    }

    #[test]
    fn a_run_without_images_has_a_curve_too() {
        let curve = Recorder::new(1.0).finish(0.25, 0, ThreadTime::default());
        assert_eq!((rates(&curve), curve.peak()), (vec![0.0], 0.0));
        assert_eq!(of_workers(&[]), Throughput::default());
    }

    #[test]
    fn a_worker_that_never_counted_right_has_a_finite_curve() {
        let most = WorkerUsage {
            began: 0,
            updated: u64::MAX,
            tagged: u64::MAX,
            failed: u64::MAX,
            ..usage_of_a_worker()
        };
        let late = WorkerUsage { began: u64::MAX, ..most.clone() };
        let records = [most, late].map(UsageRecord::Worker);
        assert!(of_fleet(&records).peak().is_finite());
    }

    #[test]
    fn workers_become_a_curve() {
        let worker = |began, updated, tagged, tagging_milliseconds| WorkerUsage {
            began,
            updated,
            vcpus: 1,
            tagged,
            threads: ThreadTime { waiting_milliseconds: 1000, tagging_milliseconds },
            ..usage_of_a_worker()
        };
        // The last one is done within its second.
        let curve =
            of_workers(&[worker(100, 104, 40, 1000), worker(102, 104, 10, 0), worker(104, 104, 3, 0)]);
        assert_eq!(rates(&curve), [10.0, 10.0, 15.0, 15.0, 3.0]);
        assert_eq!(curve.threads.busy(), Some(0.25));
        assert_eq!(curve.bottleneck(), Some(Bottleneck::Fetching));
        let long = of_workers(&[worker(0, 100_000, 100_000, 0)]);
        assert_eq!((long.pieces.len(), long.seconds()), (POINTS, 100_000.0));
    }
}
