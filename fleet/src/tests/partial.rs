//! Runs that end without some shards: finished rows are in the results, and later rows are added once.

use futures::stream::TryStreamExt;

use super::*;
use tagfleet_pipeline::bucket::KeyRange;
use tagfleet_pipeline::reduce;
use tagfleet_pipeline::testing::keys_and_codes;

/// The keys of all rows in each result file.
async fn results(world: &World) -> Vec<(String, Vec<String>)> {
    let fleet = world.fleet().await;
    let mut files = Vec::new();
    for object in fleet.output.list(&KeyRange::prefix(&fleet.keys.results())).try_concat().await.unwrap() {
        let stored = fleet.output.get(&object.key, None, u64::MAX).await.unwrap();
        let keys = keys_and_codes(stored.bytes).into_iter().map(|(key, _)| key);
        files.push((object.key.rsplit('/').next().unwrap().to_owned(), keys.collect()));
    }
    files
}

/// Takes this many messages out of the queue for good.
async fn lose(world: &World, messages: usize) {
    for _ in 0..messages {
        let message = world.queue.receive(Duration::ZERO).await.unwrap().unwrap();
        world.queue.delete(&message.receipt).await.unwrap();
    }
}

#[tokio::test]
async fn no_row_is_withheld_or_doubled_however_often_a_run_ends_incomplete() {
    let world = World::new(1200).await;
    world.ask(json!({})).await;
    world.split().await;
    let shards = world.check(0, false, None).await.shards as usize;
    assert!(shards > 4, "{shards}");
    for missing in [shards - 1, 3, 1, 0] {
        world.lose_messages().await;
        world.check(1, true, None).await;
        lose(&world, missing).await;
        world.infer().await;
        let checked = world.check(3, true, None).await;
        assert_eq!(checked.missing as usize, missing);
        for _ in 0..2 {
            let finished = world.finish(checked.groups, None).await;
            let summary = read_summary(&world.fleet().await).await.unwrap();
            assert_eq!(finished.state == State::Complete, missing == 0);
            let mut keys: Vec<String> =
                results(&world).await.into_iter().flat_map(|(_, keys)| keys).collect();
            keys.sort();
            assert!(keys.is_sorted_by(|a, b| a < b), "each row once");
            assert_eq!(keys.len() as u64, summary.rows);
        }
    }
    let files: Vec<String> = results(&world).await.into_iter().map(|(file, _)| file).collect();
    assert_eq!(files, ["00000-1.parquet", "00000-2.parquet", "00000-3.parquet", "00000.parquet"]);
}

/// A call that recorded its slice and died before it wrote the rows, while more parts came.
#[tokio::test]
async fn a_slice_that_was_recorded_is_written_as_recorded() {
    let world = World::new(300).await;
    world.ask(json!({})).await;
    world.split().await;
    let fleet = world.fleet().await;
    let groups = reduce::groups(fleet.output.as_ref(), &fleet.keys, None).await.unwrap();
    let first = groups.groups[0].shards[0];
    let record = json!({"version": 1, "shards": [first]}).to_string();
    fleet.output.put(&fleet.keys.slice(0, 0), record.into()).await.unwrap();
    world.infer().await;
    assert_eq!(world.finish(1, None).await.state, State::Complete);
    let files = results(&world).await;
    assert_eq!(files.iter().map(|(_, keys)| keys.len()).collect::<Vec<_>>(), [44, 256]);
}

/// Earlier versions recorded only the counts of whole groups.
#[tokio::test]
async fn a_group_that_an_earlier_version_compacted_stays_as_it_is() {
    let world = World::new(300).await;
    world.ask(json!({})).await;
    world.split().await;
    world.infer().await;
    world.finish(1, None).await;
    let fleet = world.fleet().await;
    world.own.delete(&fleet.keys.slice(0, 0));
    assert_eq!(world.finish(1, None).await.state, State::Complete);
    assert_eq!(results(&world).await.len(), 1);
    assert!(!fleet.output.exists(&fleet.keys.slice(0, 0)).await.unwrap());
}
