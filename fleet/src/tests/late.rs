//! Workers that put parts when the run no longer waits for them: a round's time ran out, or they were cut
//! off.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::*;
use tagfleet_pipeline::bucket::{BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Object, Put};
use tagfleet_pipeline::reduce;

#[tokio::test]
async fn a_part_that_comes_after_compaction_completes_the_run() {
    let world = World::new(300).await;
    world.ask(json!({})).await;
    world.split().await;
    let checked = world.check(3, false, None).await;
    assert_eq!((checked.again, checked.groups), (false, 1));
    let fleet = world.fleet().await;
    assert_eq!(compact(&fleet, 0).await.unwrap().rows, 0, "it has no part");
    world.infer().await;
    let finished = world.finish(0, None).await;
    assert_eq!((finished.state, finished.missing), (State::Complete, 0));
    assert!(fleet.output.exists(&fleet.keys.result(0, 0)).await.unwrap());
}

#[tokio::test]
async fn a_part_that_comes_after_it_was_missed_is_not_counted() {
    let world = World::new(300).await;
    world.ask(json!({})).await;
    world.split().await;
    let fleet = world.fleet().await;
    let missing = reduce::missing(fleet.output.as_ref(), &fleet.keys).await.unwrap();
    let groups = reduce::groups(fleet.output.as_ref(), &fleet.keys, None).await.unwrap();
    world.infer().await;
    world.finish(1, None).await;
    let rows = async |missing| {
        reduce::counts_in(fleet.output.as_ref(), &fleet.keys, &groups, missing).await.unwrap().rows()
    };
    assert_eq!((rows(&missing[..]).await, rows(&missing[1..]).await, rows(&[]).await), (0, 256, 300));
}

/// The stack's bucket, in which the rest of the run comes to its end just before its first incomplete summary
/// is written.
struct Overtaken {
    world: Arc<World>,
    is_over: AtomicBool,
}

#[async_trait]
impl Bucket for Overtaken {
    fn name(&self) -> &str {
        self.world.own.name()
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        self.world.own.list_as_stored(range)
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        self.world.own.get(key, if_match, limit).await
    }

    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        self.world.own.get_range(key, if_match, range).await
    }

    async fn exists(&self, key: &str) -> Result<bool, BucketError> {
        self.world.own.exists(key).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<Put, BucketError> {
        self.world.own.put_if_absent(key, bytes).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BucketError> {
        if key == self.world.fleet().await.keys.summary() && !self.is_over.swap(true, Relaxed) {
            self.world.infer().await;
            assert_eq!(self.world.finish(1, None).await.state, State::Complete);
        }
        self.world.own.put(key, bytes).await
    }
}

#[tokio::test]
async fn a_call_that_is_late_does_not_undo_the_end_of_the_run() {
    let world = Arc::new(World::new(300).await);
    world.ask(json!({})).await;
    world.split().await;
    let overtaken = Overtaken { world: world.clone(), is_over: AtomicBool::new(false) };
    let late = FleetRun { output: Arc::new(overtaken), ..world.fleet().await };
    let pricing = Err("no prices".to_owned());
    let finished = finish(&late, None, &Priced { pricing, now: 0 }).await.unwrap();
    assert_eq!(finished.state, State::Complete);
    assert_eq!(read_summary(&world.fleet().await).await.unwrap().state, State::Complete);
}
