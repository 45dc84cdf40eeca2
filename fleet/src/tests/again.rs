//! Check sends shards again that are not in the queue, in as many calls as needed.

use std::collections::BTreeSet;

use super::*;
use tagfleet_pipeline::shard::ShardId;
use tagfleet_pipeline::split::{RangeTask, ShardMessage, Source, split_range};

fn timed_out() -> Problem {
    Problem { error: TIMEOUT.to_owned(), cause: String::new() }
}

/// Every shard that the queue has a message of, and how many messages there are.
async fn received(world: &World) -> (BTreeSet<ShardId>, usize) {
    let (mut shards, mut messages) = (BTreeSet::new(), 0);
    while let Some(message) = world.queue.receive(Duration::ZERO).await.unwrap() {
        shards.insert(serde_json::from_str::<ShardMessage>(&message.body).unwrap().shard);
        world.queue.delete(&message.receipt).await.unwrap();
        messages += 1;
    }
    (shards, messages)
}

#[tokio::test]
async fn shards_in_the_queue_or_in_progress_are_not_sent_again() {
    let world = World::new(1200).await;
    world.ask(json!({})).await;
    world.split().await;
    let missing = world.check(0, false, None).await.missing;
    // A worker that ended with its job was working on this one.
    let in_hand = world.queue.receive(Duration::ZERO).await.unwrap().unwrap();
    let (problem, before) = (timed_out(), Some(missing + 1));
    let checked = world.check_with(CheckInput { before, problem: Some(&problem), ..ASKED }).await;
    assert!(checked.again);
    assert_eq!(world.queue.messages().await.unwrap().all(), missing);
    world.queue.delete(&in_hand.receipt).await.unwrap();
    world.check_with(CheckInput { before, problem: Some(&problem), ..ASKED }).await;
    let (shards, messages) = received(&world).await;
    assert_eq!((shards.len() as u64, messages as u64), (missing, 2 * missing - 1), "one was lost");
}

/// The messages of a killed worker stay invisible for minutes, so a round that does not wait would miss them.
#[tokio::test]
async fn shards_of_dead_workers_are_sent_again_and_all_in_the_last_round() {
    let world = World::new(600).await;
    world.ask(json!({})).await;
    world.split().await;
    let missing = world.check(0, false, None).await.missing;
    let failed = Problem { error: "States.TaskFailed".to_owned(), cause: "killed".to_owned() };
    let before = Some(missing + 1);
    world.check_with(CheckInput { round: 1, before, problem: Some(&failed), ..ASKED }).await;
    assert_eq!(
        world.queue.messages().await.unwrap().all(),
        missing,
        "all are visible, and another round may come"
    );
    world.check_with(CheckInput { round: 2, before, problem: Some(&failed), ..ASKED }).await;
    assert_eq!(world.queue.messages().await.unwrap().all(), 2 * missing, "the last round");
    while world.queue.receive(Duration::ZERO).await.unwrap().is_some() {}
    world.check_with(CheckInput { round: 1, before, problem: Some(&failed), ..ASKED }).await;
    let messages = world.queue.messages().await.unwrap();
    assert_eq!((messages.visible, messages.in_hand), (missing, 2 * missing));
}

#[tokio::test]
async fn a_call_that_runs_out_of_time_returns_where_to_continue() {
    let world = World::new(4000).await;
    world.ask(json!({})).await;
    let fleet = world.fleet().await;
    let stop = CancellationToken::new();
    let ranges: tagfleet_pipeline::run::Ranges = {
        world.planned().await;
        tagfleet_pipeline::record::read(fleet.output.as_ref(), &fleet.keys.ranges()).await.unwrap()
    };
    let source = Source::Listed((world.stack.open)("shop"), fleet.valid.filter.clone());
    for (number, range) in (0..).zip(&ranges.ranges) {
        let (run, output, keys) = (&fleet.run, fleet.output.as_ref(), &fleet.keys);
        let task = RangeTask { number, range, run, output, keys, queue: world.queue.as_ref() };
        split_range(&source, task, 1, &stop).await.unwrap();
    }
    world.lose_messages().await;
    stop.cancel();
    let (mut sent, mut calls) = (None, 0);
    loop {
        let asked = CheckInput { round: 1, before: Some(u64::MAX), sent, stop: Some(&stop), ..ASKED };
        let checked = world.check_with(asked).await;
        assert!(checked.again && checked.missing == 4000);
        calls += 1;
        sent = ShardId::parse(&checked.more);
        if sent.is_none() {
            break;
        }
    }
    assert_eq!(calls, 4, "a thousand each");
    let (shards, messages) = received(&world).await;
    assert_eq!((shards.len(), messages), (4000, 4000), "each once");
}
