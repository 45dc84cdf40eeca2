//! Ctrl-C: the first lets shards in hand finish for a while, the second gives them back at once.
//!
//! Nothing is lost either way: what has no part yet is done again by the same command.

use std::io::{self, Write};
use std::time::Duration;

use tagfleet_pipeline::infer::Stop;
use tokio::signal::unix::{SignalKind, signal};

/// How long the shards in hand may take after the first signal.
const GRACE: Duration = Duration::from_secs(10);

/// Waits for signals for as long as the run lasts.
pub(super) async fn on_signals(stop: Stop, quiet: bool) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    if !quiet {
        let seconds = GRACE.as_secs();
        writeln!(
            io::stderr(),
            "\nstopping: shards in hand get {seconds} s to finish; again to stop at once"
        )?;
    }
    stop.drain.cancel();
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = tokio::time::sleep(GRACE) => {}
    }
    stop.now.cancel();
    Ok(())
}
