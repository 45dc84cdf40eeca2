//! How a worker stops: after SIGTERM, SIGINT or a spot interruption notice.
//!
//! From then on it takes no new shard. When its time is over, it gives back the shards in hand, each with a
//! checkpoint of its rows. Signals, notices and the clock are parameters of [`obey`], which decides; nothing
//! in it touches a shard.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use serde_json::json;
use tagfleet_aws::machine::MetadataService;
use tagfleet_cost::usage::WorkerEnd;
use tagfleet_pipeline::infer::Stop;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::log;

/// How often the metadata service is asked for a notice, as EC2's documentation advises.
const EVERY: Duration = Duration::from_secs(5);
/// The part of a notice's time that is kept to tag the images in flight (2 s), to store checkpoints (12 s)
/// and to write the last usage records (4 s and one more request).
const LAST_STEPS: Duration = Duration::from_secs(25);

/// A request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A signal.
    Signal,
    /// A spot interruption, with the time that is left to finish shards.
    Interruption(Duration),
}

/// Stops a worker, and records why.
pub(crate) struct Shutdown {
    pub(crate) stop: Stop,
    reason: Arc<OnceLock<WorkerEnd>>,
    reclaimed: Arc<AtomicBool>,
    /// Ended when this is dropped.
    _tasks: JoinSet<()>,
}

impl Shutdown {
    /// Listens from now on; calls the metadata service if there is one.
    pub(crate) fn listen(service: Option<MetadataService>, grace: Duration) -> io::Result<Self> {
        let (stop, reason) = (Stop::default(), Arc::new(OnceLock::new()));
        let reclaimed = Arc::new(AtomicBool::new(false));
        let (notices, received) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let signals = notices.clone();
        tasks.spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                // Once it is stopping for good the receiver is gone.
                let _ = signals.send(Notice::Signal).await;
            }
        });
        if let Some(service) = service {
            tasks.spawn(ask_for_interruption(service, notices, reclaimed.clone()));
        }
        let drain = Drain { stop: stop.clone(), reason: reason.clone() };
        tasks.spawn(obey(received, drain, grace));
        Ok(Self { stop, reason, reclaimed, _tasks: tasks })
    }

    /// True from the spot interruption notice on.
    pub(crate) fn reclaimed(&self) -> Arc<AtomicBool> {
        self.reclaimed.clone()
    }

    /// A way to stop it from within: it finishes the shards in hand and takes no new one.
    pub(crate) fn drain(&self) -> Drain {
        Drain { stop: self.stop.clone(), reason: self.reason.clone() }
    }

    /// True if it was asked to stop from outside before it stopped by itself.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.reason() != WorkerEnd::BudgetShareSpent
    }

    /// Why it was asked to stop. [`Drain::start`], which alone stops a worker, sets it first.
    pub(crate) fn reason(&self) -> WorkerEnd {
        self.reason.get().cloned().unwrap_or(WorkerEnd::Signal)
    }
}

/// Stops a worker from within.
#[derive(Clone)]
pub(crate) struct Drain {
    stop: Stop,
    reason: Arc<OnceLock<WorkerEnd>>,
}

impl Drain {
    #[cfg(test)]
    pub(crate) fn of(stop: &Stop) -> Self {
        Self { stop: stop.clone(), reason: Arc::default() }
    }

    /// Takes no new shard from now on. The first reason is the one that is recorded.
    /// `left` is the time for the shards in hand, if it is limited.
    pub(crate) fn start(&self, reason: WorkerEnd, left: Option<Duration>) {
        let mut fields = json!({"why": reason});
        if let Some(left) = left {
            fields["seconds_left"] = json!(left.as_secs());
        }
        log::event("stopping", fields);
        let _ = self.reason.set(reason);
        self.stop.drain.cancel();
    }
}

/// Asks until there is a notice. A service that fails is asked again, and logged once for all failures in a
/// row.
async fn ask_for_interruption(service: MetadataService, notices: Sender<Notice>, reclaimed: Arc<AtomicBool>) {
    let mut asks = interval(EVERY);
    asks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        asks.tick().await;
        match service.interruption().await {
            Ok(None) => is_failing = false,
            Ok(Some(at)) => {
                reclaimed.store(true, Relaxed);
                let left = at.duration_since(SystemTime::now()).unwrap_or_default();
                let _ = notices.send(Notice::Interruption(left.saturating_sub(LAST_STEPS))).await;
                return;
            }
            Err(error) => {
                if !is_failing {
                    log::event("no answer about spot notices", json!({"error": error.to_string()}));
                }
                is_failing = true;
            }
        }
    }
}

/// Drains at the first notice. Gives up at the earliest time that any of them leaves, or at the second
/// signal.
async fn obey(mut notices: Receiver<Notice>, drain: Drain, grace: Duration) {
    let mut until: Option<Instant> = None;
    let mut signals = 0;
    loop {
        let notice = tokio::select! {
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => break,
            Some(notice) = notices.recv() => notice,
            else => return,
        };
        let (left, reason) = match notice {
            Notice::Signal => (grace, WorkerEnd::Signal),
            Notice::Interruption(left) => (left, WorkerEnd::SpotInterruption),
        };
        signals += u32::from(notice == Notice::Signal);
        if signals > 1 {
            break;
        }
        drain.start(reason, Some(left));
        let at = Instant::now() + left;
        until = Some(until.map_or(at, |earlier| earlier.min(at)));
    }
    drain.stop.now.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(90);

    /// Sends `notices`, each this long after the start; returns when shards in hand were given up, and the
    /// reason.
    async fn given_up_after(notices: &[(u64, Notice)]) -> (Duration, WorkerEnd) {
        let (sender, received) = mpsc::channel(1);
        let (stop, began) = (Stop::default(), Instant::now());
        let drain = Drain::of(&stop);
        let sending = async {
            for (at, notice) in notices {
                sleep_until(began + Duration::from_secs(*at)).await;
                sender.send(*notice).await.unwrap();
            }
            stop.drain.cancelled().await;
            stop.now.cancelled().await;
        };
        tokio::join!(obey(received, drain.clone(), GRACE), sending);
        (began.elapsed(), drain.reason.get().cloned().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn shards_in_hand_get_the_grace_after_a_signal_and_none_after_a_second() {
        let (after, why) = given_up_after(&[(1, Notice::Signal)]).await;
        assert_eq!((after.as_secs(), why), (91, WorkerEnd::Signal));
        let (after, _) = given_up_after(&[(1, Notice::Signal), (3, Notice::Signal)]).await;
        assert_eq!(after.as_secs(), 3);
    }

    /// The agent of a spot instance passes its notice on as SIGTERM: that is not a second one.
    #[tokio::test(start_paused = true)]
    async fn the_earliest_end_counts() {
        let notice = Notice::Interruption(Duration::from_secs(110));
        let (after, why) = given_up_after(&[(0, notice), (5, Notice::Signal)]).await;
        assert_eq!((after.as_secs(), why), (95, WorkerEnd::SpotInterruption));
        let soon = Notice::Interruption(Duration::from_secs(20));
        let (after, _) = given_up_after(&[(0, Notice::Signal), (5, soon)]).await;
        assert_eq!(after.as_secs(), 25);
    }
}
