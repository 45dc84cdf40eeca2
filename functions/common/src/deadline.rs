//! A call's deadline as a stop: resumable work ends in time to report how far it came.

use std::time::{Duration, SystemTime};

use lambda_runtime::Context;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What a step needs at most between the stop and its answer: a page, a shard, its messages.
const RESERVE: Duration = Duration::from_secs(60);

/// A stop that comes a minute before the deadline of the call, but not before a quarter of its time is over.
/// It waits no longer than the guard lives.
#[must_use]
pub fn stop_before(context: &Context) -> (CancellationToken, DropGuard) {
    let remaining = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    stop_after(working_time(remaining))
}

fn working_time(remaining: Duration) -> Duration {
    remaining.saturating_sub(RESERVE).max(remaining / 4)
}

fn stop_after(time: Duration) -> (CancellationToken, DropGuard) {
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    let (timer, over) = (stop.clone(), ended.clone());
    tokio::spawn(async move {
        // Whichever comes first; after the end nothing reads it.
        let _ = tokio::time::timeout(time, over.cancelled()).await;
        timer.cancel();
    });
    (stop, ended.drop_guard())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_kept_but_never_all_of_a_short_call() {
        let seconds = Duration::from_secs;
        assert_eq!(working_time(seconds(900)), seconds(840));
        assert_eq!(working_time(seconds(60)), seconds(15));
        assert_eq!(working_time(Duration::ZERO), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn it_stops_in_time_and_not_before() {
        let (stop, _running) = stop_after(Duration::from_secs(100));
        tokio::time::timeout(Duration::from_secs(99), stop.cancelled()).await.unwrap_err();
        tokio::time::timeout(Duration::from_secs(2), stop.cancelled()).await.unwrap();
    }
}
