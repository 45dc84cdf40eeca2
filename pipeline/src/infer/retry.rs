//! Repeats requests to a bucket during disturbances: throttling, server errors, connections that break.
//!
//! An adapter has already tried a few times. This outlasts disturbances of minutes, because a shard is too
//! much work to lose for one request. It never repeats a request that cannot succeed. It ends with the task
//! that it runs in, which a worker drops if it is asked to stop now.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::heartbeat::Liveness;
use super::shard_in_progress::{ShardInProgress, WaitGuard};
use crate::bucket::{BucketError, Kind};

/// The first pause at its longest; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// No pause is longer: well below a beat of the heartbeat, to which every try is a sign of life.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How requests of one worker are repeated.
pub(super) struct Retries {
    pub(super) time: Duration,
    pub(super) liveness: Arc<Liveness>,
}

impl Retries {
    /// The answer to `request`, made again for as long as it fails for a while only, until the time is over.
    pub(super) async fn call<T, F>(
        &self,
        shard: &Arc<ShardInProgress>,
        request: impl Fn() -> F,
    ) -> Result<T, BucketError>
    where
        F: Future<Output = Result<T, BucketError>>,
    {
        let mut answer = request().await;
        let (end, mut tries) = (Instant::now() + self.time, 0);
        while let Err(error) = &answer
            && error.kind == Kind::Temporary
        {
            let pause = pause(&error.key, tries);
            if Instant::now() + pause > end {
                break;
            }
            let _turn = WaitGuard::of(shard);
            self.liveness.tried();
            sleep(pause).await;
            tries += 1;
            answer = request().await;
        }
        answer
    }
}

/// The pause after this many tries for `key`: a part of it differs from key to key, so that they do not all
/// come at once.
fn pause(key: &str, tries: u32) -> Duration {
    const STEPS: u32 = 1024;
    let longest = LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.saturating_pow(tries.min(16)));
    let mut hasher = DefaultHasher::new();
    (key, tries).hash(&mut hasher);
    let step = u32::try_from(hasher.finish() % u64::from(STEPS)).unwrap_or(STEPS);
    longest / 2 + longest / 2 * step / STEPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ_from_key_to_key() {
        for (tries, longest) in [(0, 500), (1, 1000), (4, 8000), (6, 30_000), (1000, 30_000)] {
            let pause = pause("a.jpg", tries).as_millis();
            assert!((longest / 2..=longest).contains(&pause), "{pause} ms after {tries} tries");
        }
        assert_ne!(pause("a.jpg", 3), pause("b.jpg", 3));
        assert_eq!(pause("a.jpg", 3), pause("a.jpg", 3));
    }
}
