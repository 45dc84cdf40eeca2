//! What every [`Queue`] must do, as one suite: the queue in memory and SQS pass it.
//!
//! An adapter's tests call [`holds`] with an empty queue whose visibility timeout is short (a second or two).
//! It waits only by receiving with a wait that is longer than that. It never tests the dead-letter queue,
//! which SQS gets when it is created.

#![expect(clippy::expect_used, reason = "a contract fails by panicking, as any test")]

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Message, Queue};

/// Runs the whole suite on an empty queue.
///
/// # Panics
/// If the queue breaks the contract.
pub async fn holds(queue: &dyn Queue) {
    an_empty_queue_gives_nothing(queue).await;
    every_message_comes_and_bodies_are_unharmed(queue).await;
    a_message_comes_again_after_its_timeout(queue).await;
    a_message_given_back_comes_at_once(queue).await;
    a_longer_timeout_keeps_it_away(queue).await;
    a_deleted_message_never_comes_again(queue).await;
    messages_are_counted_in_hand_or_not(queue).await;
}

async fn messages_are_counted_in_hand_or_not(queue: &dyn Queue) {
    let before = queue.messages().await.expect("messages").all();
    queue.send(&(0..25).map(|number| format!("message {number}")).collect::<Vec<_>>()).await.expect("send");
    let in_hand = next(queue).await;
    let messages = queue.messages().await.expect("messages");
    assert!(messages.all() == before + 25 && messages.in_hand >= 1, "{messages:?}");
    queue.delete(&in_hand.receipt).await.expect("delete");
    assert_eq!(queue.messages().await.expect("messages").all(), before + 24);
}

async fn an_empty_queue_gives_nothing(queue: &dyn Queue) {
    assert_eq!(queue.receive(Duration::ZERO).await.expect("receive"), None);
    queue.send(&[]).await.expect("sending nothing");
    assert_eq!(queue.receive(Duration::ZERO).await.expect("receive"), None);
}

async fn every_message_comes_and_bodies_are_unharmed(queue: &dyn Queue) {
    let sent: BTreeSet<String> =
        (0..25).map(|number| format!("{{\"n\":{number},\"k\":\"ü<&>\\n\"}}")).collect();
    queue.send(&sent.iter().cloned().collect::<Vec<_>>()).await.expect("send");
    let mut received = BTreeSet::new();
    for _ in 0..sent.len() {
        let message = next(queue).await;
        queue.delete(&message.receipt).await.expect("delete");
        received.insert(message.body);
    }
    assert_eq!(received, sent);
    assert_eq!(queue.receive(Duration::ZERO).await.expect("receive"), None);
}

async fn a_message_comes_again_after_its_timeout(queue: &dyn Queue) {
    let first = sent_and_received(queue, "again").await;
    assert_eq!(first.receive_count, 1);
    assert_eq!(queue.receive(Duration::ZERO).await.expect("receive"), None, "invisible while in hand");
    let second = next(queue).await;
    assert_eq!((second.body.as_str(), second.receive_count), ("again", 2));
    assert_ne!(second.receipt, first.receipt);
    queue.delete(&second.receipt).await.expect("delete");
}

async fn a_message_given_back_comes_at_once(queue: &dyn Queue) {
    let message = sent_and_received(queue, "given back").await;
    queue.change_visibility(&message.receipt, Duration::ZERO).await.expect("give back");
    let again =
        queue.receive(queue.visibility_timeout() / 2).await.expect("receive").expect("visible at once");
    assert_eq!(again.body, "given back");
    queue.delete(&again.receipt).await.expect("delete");
}

async fn a_longer_timeout_keeps_it_away(queue: &dyn Queue) {
    let message = sent_and_received(queue, "kept").await;
    queue.change_visibility(&message.receipt, queue.visibility_timeout() * 4).await.expect("extend");
    let wait = queue.visibility_timeout() * 2;
    assert_eq!(queue.receive(wait).await.expect("receive"), None, "invisible beyond the first timeout");
    queue.delete(&message.receipt).await.expect("delete");
}

async fn a_deleted_message_never_comes_again(queue: &dyn Queue) {
    let message = sent_and_received(queue, "deleted").await;
    queue.delete(&message.receipt).await.expect("delete");
    queue.delete(&message.receipt).await.expect("deleting again");
    queue.change_visibility(&message.receipt, Duration::ZERO).await.expect("a late give-back");
    assert_eq!(queue.receive(queue.visibility_timeout() * 2).await.expect("receive"), None);
}

async fn sent_and_received(queue: &dyn Queue, body: &str) -> Message {
    queue.send(&[body.to_owned()]).await.expect("send");
    next(queue).await
}

/// Waits longer than any message stays invisible.
async fn next(queue: &dyn Queue) -> Message {
    let wait = queue.visibility_timeout() * 3;
    queue.receive(wait).await.expect("receive").expect("a message")
}
