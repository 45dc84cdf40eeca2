//! Ctrl-C: the first lets shards in hand finish for a while, the second stops at once. The third ends the
//! process.
//!
//! The first two keep finished rows: shards in progress leave checkpoints, from which the same command
//! resumes.

use std::io;
use std::time::Duration;

use tagfleet_pipeline::infer::Stop;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::{Exit, tell};

/// How long the shards in hand may take after the first signal.
const GRACE: Duration = Duration::from_secs(10);

/// Waits for signals for as long as the run lasts. The third ends the process at once, whatever it hangs in.
pub(super) async fn on_signals(stop: Stop, quiet: bool) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next().await;
    stop.drain.cancel();
    if !quiet {
        let seconds = GRACE.as_secs();
        tell(&format!(
            "\nstopping: finishing work in progress (up to {seconds} s); what is tagged is kept; press Ctrl-C again to stop now"
        ));
    }
    let is_repeated = tokio::time::timeout(GRACE, next()).await.is_ok();
    stop.now.cancel();
    if !is_repeated {
        next().await;
    }
    next().await;
    std::process::exit(Exit::Resumable as i32)
}
