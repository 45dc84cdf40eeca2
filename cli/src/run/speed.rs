//! Samples how far a run is, for the curve in its report.
//!
//! It only reads counts; a run continues with or without it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tagfleet_pipeline::progress::Progress;
use tagfleet_report::throughput::{Recorder, Throughput};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::exit::{Failure, broken};

/// How often it looks; it keeps fewer samples if a run is long.
const EVERY: Duration = Duration::from_millis(250);

/// A recording that runs in parallel with the work.
pub(super) struct Recording {
    stop: oneshot::Sender<()>,
    recording: JoinHandle<Throughput>,
}

impl Recording {
    pub(super) fn start(progress: &Arc<Progress>) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, recording: tokio::spawn(record(progress.clone(), stopped)) }
    }

    /// The curve until now.
    pub(super) async fn stop(self) -> Result<Throughput, Failure> {
        // It fails only if the recording has ended by itself, and then it is there.
        let _ = self.stop.send(());
        self.recording.await.map_err(broken)
    }
}

async fn record(progress: Arc<Progress>, mut stopped: oneshot::Receiver<()>) -> Throughput {
    let (began, mut recorder) = (Instant::now(), Recorder::new(EVERY.as_secs_f64()));
    let mut ticks = tokio::time::interval(EVERY);
    // After a pause (a laptop that slept) one sample is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            _ = &mut stopped => true,
        };
        let counts = progress.counts();
        let (seconds, images) = (began.elapsed().as_secs_f64(), counts.done().saturating_sub(counts.before));
        if is_last {
            return recorder.finish(seconds, images, progress.thread_time());
        }
        recorder.add(seconds, images);
    }
}
