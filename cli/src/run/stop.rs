//! Ctrl-C: the first lets shards in hand finish for a while, the second gives them back at once.
//!
//! Nothing is lost either way: what has no part yet is done again by the same command.

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
        tell(&format!("\nstopping: shards in hand get {seconds} s to finish; again to stop at once"));
    }
    let is_repeated = tokio::time::timeout(GRACE, next()).await.is_ok();
    stop.now.cancel();
    if !is_repeated {
        next().await;
    }
    next().await;
    std::process::exit(Exit::Resumable as i32)
}
