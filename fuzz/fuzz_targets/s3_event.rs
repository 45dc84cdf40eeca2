//! What the splitter is called with: an event of S3, or an action of the state machine.
//!
//! Laws: an event starts at most the run of a request that stands in the stack's own bucket, once, under an id that is
//! safe everywhere, and writes that run's request and nothing else.

#![no_main]

#[path = "../../functions/splitter/src/action.rs"]
mod action;
#[path = "../../functions/splitter/src/event.rs"]
mod event;

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use action::CheckInput;
use bytes::Bytes;
use event::{ObjectCreated, Taken};
use futures::TryStreamExt;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tagfleet_aws::executions::Started;
use tagfleet_fuzz::within;
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::bucket::{Bucket, KeyRange};
use tagfleet_fleet::Stack;
use tagfleet_pipeline::run::{RunId, StackKeys};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime of one thread"));

/// The stack's bucket, which holds an object under the key of the event.
fn stack(key: &str) -> Stack {
    let bucket: Arc<dyn Bucket> = Arc::new(MemoryBucket::default());
    RUNTIME.block_on(bucket.put(key, Bytes::from_static(b"{}"))).expect("memory takes any key");
    let opened = bucket.clone();
    Stack { bucket, name: "stack".to_owned(), open: Arc::new(move |_| opened.clone()) }
}

async fn keys(stack: &Stack) -> Vec<String> {
    let pages = stack.bucket.list(&KeyRange::default()).try_collect::<Vec<_>>().await;
    pages.expect("memory lists").into_iter().flatten().map(|object| object.key).collect()
}

async fn take(stack: &Stack, key: &str, event: &ObjectCreated) {
    let started = RefCell::new(Vec::new());
    let start = async |run: &RunId| {
        started.borrow_mut().push(run.clone());
        Ok(Started::New("arn".to_owned()))
    };
    let taken = event::take(stack, event, start).await;
    let mut expected = vec![key.to_owned()];
    if let Ok(Taken::Started(run)) = &taken {
        assert!(StackKeys::request_name(key).is_some());
        assert_eq!(RunId::try_from(run.to_string()).ok().as_ref(), Some(run));
        assert_eq!(*started.borrow(), [run.clone()]);
        expected.push(StackKeys::run(run));
    } else {
        assert!(started.borrow().is_empty());
    }
    expected.sort();
    assert_eq!(keys(stack).await, expected);
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(payload) = serde_json::from_slice::<Value>(bytes) else { return };
    let key = payload.pointer("/detail/object/key").and_then(Value::as_str).unwrap_or("").to_owned();
    within(16 << 20, || {
        if let Ok(CheckInput::Event(event)) = CheckInput::parse(payload) {
            let stack = stack(&key);
            RUNTIME.block_on(take(&stack, &key, &event));
            RUNTIME.block_on(take_again(&stack, &event));
        }
    });
});

/// An event that comes twice starts the run of before, and writes nothing more.
async fn take_again(stack: &Stack, event: &ObjectCreated) {
    let before = keys(stack).await;
    let _ = event::take(stack, event, async |_: &RunId| Ok(Started::AlreadyExists)).await;
    assert_eq!(keys(stack).await, before);
}
