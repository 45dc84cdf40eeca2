//! A call's deadline as a stop: resumable work ends in time to report how far it came.

use std::time::{Duration, SystemTime};

use lambda_runtime::Context;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What a step needs at most between the stop and its answer: a page, a shard, its messages.
const RESERVE: Duration = Duration::from_secs(60);

/// A stop that comes a minute before the deadline of a call, but not before a quarter of its time is over.
/// Its timer ends when this is dropped.
#[derive(Debug)]
pub struct Deadline {
    /// Cancelled when work must stop.
    pub stop: CancellationToken,
    _timer: DropGuard,
}

impl Deadline {
    /// The deadline of the call with this context.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        let remaining = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
        Self::after(working_time(remaining))
    }

    fn after(time: Duration) -> Self {
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let (timer, over) = (stop.clone(), ended.clone());
        tokio::spawn(async move {
            // The time limit or the end of the call; after the end nothing reads the token.
            let _ = tokio::time::timeout(time, over.cancelled()).await;
            timer.cancel();
        });
        Self { stop, _timer: ended.drop_guard() }
    }
}

fn working_time(remaining: Duration) -> Duration {
    remaining.saturating_sub(RESERVE).max(remaining / 4)
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
        let deadline = Deadline::after(Duration::from_secs(100));
        tokio::time::timeout(Duration::from_secs(99), deadline.stop.cancelled()).await.unwrap_err();
        tokio::time::timeout(Duration::from_secs(2), deadline.stop.cancelled()).await.unwrap();
    }
}
