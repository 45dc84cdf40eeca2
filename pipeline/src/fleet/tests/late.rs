//! Workers that put parts when nobody waits for them any more: a round's time ran out, or they were cut off.

use super::*;
use crate::reduce;

#[tokio::test]
async fn a_part_that_comes_behind_compaction_makes_the_run_complete_all_the_same() {
    let world = World::new(300).await;
    world.ask(json!({})).await;
    world.split().await;
    let checked = world.check(3, false, None).await;
    assert_eq!((checked.again, checked.groups), (false, 1));
    let fleet = world.fleet().await;
    assert_eq!(compact(&fleet, 0).await.unwrap().rows, 0, "it is not whole");
    world.infer().await;
    let finished = world.finish(0, None).await;
    assert_eq!((finished.state, finished.missing), (State::Complete, 0));
    assert!(fleet.output.exists(&fleet.keys.result(0)).await.unwrap());
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
