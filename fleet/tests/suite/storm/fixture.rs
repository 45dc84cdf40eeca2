//! The fixture of a chaos run: a source with every kind of faulty image, a stack with a published model and
//! the objects of another run, and queues.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use serde_json::json;
use tagfleet_fleet::model::{PUBLISHED_MODEL_VERSION, PublishedModel};
use tagfleet_fleet::{FleetRun, OpenBucket, Stack};
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::bucket::{Access, Bucket, BucketError, Fetched, KeyRange, Kind, Object};
use tagfleet_pipeline::denied;
use tagfleet_pipeline::queue::{MemoryQueue, Message, Messages, Queue, QueueError};
use tagfleet_pipeline::run::{RunId, RunKeys, Since, StackKeys, Vector, VectorType};
use tagfleet_pipeline::split::ShardMessage;
use tagfleet_pipeline::testing::faults::{Process, Random};
use tagfleet_pipeline::testing::faulty_bucket::FaultyBucket;
use tagfleet_pipeline::testing::request;
use tagfleet_pipeline::testing::source::TestSource;

use super::earlier;

/// A length at which a shard holds 8 images, and a group 4 shards; no row has one.
const VECTOR_LENGTH: u64 = 2 << 20;
pub(super) const VISIBILITY: Duration = Duration::from_secs(60);
/// The kind of objects that may not be read.
const DENIED: u64 = 6;
const PREFIXES: [&str; 4] = ["a/", "b b/", "z/", "ü/"];

pub(super) struct Fixture {
    pub(super) source: Arc<Source>,
    pub(super) own: MemoryBucket,
    pub(super) run: RunId,
    pub(super) keys: RunKeys,
    pub(super) prefixes: Vec<&'static str>,
    /// Objects that were there before the run.
    before: BTreeMap<String, Bytes>,
    /// Whether any number of images may be denied; else so few are that the run takes them.
    pub(super) accepts_denied: bool,
    /// The run that the run continues, if it continues one.
    pub(super) since: Option<Since>,
    /// Violations of the protocol.
    pub(super) offences: Arc<Mutex<Vec<String>>>,
}

pub(super) fn vector() -> Vector {
    Vector { output: "logits".to_owned(), stored: VectorType::F16, length: VECTOR_LENGTH }
}

impl Fixture {
    /// The same for each seed, with a stack of its own each time. Every second seed has an earlier run, which
    /// the run continues unless it `is_full`.
    pub(super) async fn new(seed: u64, is_full: bool) -> Self {
        let mut random = Random::of(("fixture", seed));
        let prefixes = PREFIXES[..1 + random.below(4) as usize].to_vec();
        let objects = MemoryBucket::default();
        // In some fixtures a third of all images is denied, in others a few.
        let (accepts_denied, mut of_denied) = (random.one_in(3), 0);
        for number in 0..1 + random.below(200) {
            let prefix = prefixes[random.below(prefixes.len() as u64) as usize];
            let mut kind = random.below(24);
            if accepts_denied && kind >= 16 {
                kind = DENIED;
            }
            of_denied += u64::from(kind == DENIED);
            if !accepts_denied && of_denied > denied::most(1) {
                kind = DENIED + 1;
            }
            let (name, bytes) = object(number, kind);
            objects.put(&format!("{prefix}{name}"), bytes).await.unwrap();
        }
        objects.put(&format!("{}sure.jpg", prefixes[0]), Bytes::from_static(b"image")).await.unwrap();
        for prefix in &prefixes {
            objects.put(&format!("{prefix}folder/"), Bytes::new()).await.unwrap();
        }
        let (run, own) = (RunId::try_from("nightly".to_owned()).unwrap(), MemoryBucket::default());
        let mut fixture = Self {
            source: Arc::new(Source(objects)),
            keys: RunKeys::in_bucket(StackKeys::TAGS, &run),
            own,
            run,
            prefixes,
            before: BTreeMap::new(),
            accepts_denied,
            since: None,
            offences: Arc::default(),
        };
        if seed % 2 == 1 {
            let since = earlier::run(&fixture).await;
            earlier::change(&fixture.source.0, &mut random).await;
            fixture.since = (!is_full).then_some(since);
        }
        fixture.publish(1 + random.below(4)).await;
        fixture.before = fixture.objects(&KeyRange::default()).await;
        fixture
    }

    /// A model, a request, and what another run of nearly the same name has left.
    async fn publish(&self, workers: u64) {
        let of_length = request();
        let published = PublishedModel {
            version: PUBLISHED_MODEL_VERSION,
            model: of_length.model,
            engine: of_length.engine,
            tags: of_length.tags,
            labels: vec![],
            vector: Some(vector()),
            max_image_bytes: 1000,
        };
        let input: Vec<String> = self.prefixes.iter().map(|prefix| format!("s3://shop/{prefix}")).collect();
        let mut asked =
            json!({"version": 1, "input": input, "model": "s3://stack/models/m", "workers": workers});
        if self.since.is_some() {
            asked["since"] = json!("latest");
        }
        let json = |value: &serde_json::Value| Bytes::from(serde_json::to_vec(value).unwrap());
        let model = serde_json::to_value(&published).unwrap();
        self.own.put("models/m/model.json", json(&model)).await.unwrap();
        self.own.put(&StackKeys::run(&self.run), json(&asked)).await.unwrap();
        let other = RunKeys::in_bucket(StackKeys::TAGS, &RunId::try_from("nightly-2".to_owned()).unwrap());
        if self.accepts_denied {
            self.own.put(&StackKeys::denied_accepted(&self.run), Bytes::new()).await.unwrap();
        }
        for key in [other.request(), other.ranges(), other.success(), other.usage("worker-a")] {
            self.own.put(&key, Bytes::from_static(b"another run's")).await.unwrap();
        }
    }

    /// The command-line options of a local run.
    pub(super) async fn accept_denied(&self) {
        if self.accepts_denied {
            denied::accept(&self.own, &self.keys).await.unwrap();
        }
    }

    /// The stack as `process` meets it.
    pub(super) fn stack(&self, process: &Arc<Process>) -> Stack {
        let (source, own, process) = (self.source.clone(), self.own.clone(), process.clone());
        let open: OpenBucket = Arc::new(move |name| {
            let bucket: Arc<dyn Bucket> = if name == "shop" { source.clone() } else { Arc::new(own.clone()) };
            Arc::new(FaultyBucket::new(bucket, process.clone()))
        });
        Stack { bucket: open("stack"), name: "stack".to_owned(), open }
    }

    /// The run without faults.
    pub(super) async fn fleet(&self) -> FleetRun {
        self.stack(&Arc::new(Process::undisturbed())).find(&self.run).await.unwrap()
    }

    /// A queue of its own for each execution.
    pub(super) fn queue(&self, most_receipts: u32) -> Arc<WatchedQueue> {
        Arc::new(WatchedQueue {
            inner: MemoryQueue::new(VISIBILITY, most_receipts),
            own: self.own.clone(),
            keys: self.keys.clone(),
            in_hand: Mutex::default(),
            is_deleted: Mutex::new(false),
            offences: self.offences.clone(),
        })
    }

    /// The objects of the stack's bucket.
    pub(super) async fn objects(&self, range: &KeyRange) -> BTreeMap<String, Bytes> {
        let pages: Vec<Vec<Object>> = self.own.list(range).try_collect().await.unwrap();
        let mut objects = BTreeMap::new();
        for object in pages.concat() {
            let bytes = self.own.get(&object.key, None, u64::MAX).await.unwrap().bytes;
            objects.insert(object.key, bytes);
        }
        objects
    }

    /// Every key that is an input, in key order.
    pub(super) async fn inputs(&self) -> Vec<String> {
        let pages: Vec<Vec<Object>> = self.source.0.list(&KeyRange::default()).try_collect().await.unwrap();
        let keys = pages.concat().into_iter().map(|object| object.key);
        keys.filter(|key| !key.ends_with('/')).collect()
    }

    /// What was there before is as it was, and everything else is the run's own.
    pub(super) async fn assert_nothing_else_was_touched(&self) {
        let (mut after, root) = (self.objects(&KeyRange::default()).await, format!("tags/{}/", self.run));
        for (key, bytes) in &self.before {
            assert_eq!(after.remove(key).as_ref(), Some(bytes), "{key} was there before");
        }
        let strange =
            after.into_keys().find(|key| !key.starts_with(&self.keys.work()) && !key.starts_with(&root));
        assert_eq!(strange, None, "outside of the run's own places");
        assert_eq!(*self.offences.lock().unwrap(), Vec::<String>::new());
    }
}

/// An object of some kind: most are pictures.
fn object(number: u64, kind: u64) -> (String, Bytes) {
    let (end, bytes) = match kind {
        0 => ("bad", format!("bad {number}")),
        1 => ("gone", format!("image {number}")),
        2 => ("changed", format!("image {number}")),
        3 => ("archived", format!("image {number}")),
        4 => ("large", "x".repeat(1001)),
        5 => ("second", format!("image {number} 2")),
        DENIED => ("denied", format!("image {number}")),
        _ => ("jpg", format!("{}image", "-".repeat(number as usize % 7))),
    };
    (format!("{number:04}.{end}"), Bytes::from(bytes))
}

/// A bucket in which some objects change between listing and reading, others are archived, and others may not
/// be read.
pub(super) struct Source(pub(super) MemoryBucket);

#[async_trait]
impl TestSource for Source {
    fn inner(&self) -> &dyn Bucket {
        &self.0
    }

    fn name(&self) -> &str {
        "s3://shop"
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        let archived = |object: Object| {
            if object.key.ends_with("archived") {
                Object { access: Access::Archived, ..object }
            } else {
                object
            }
        };
        let pages = self.0.list(range);
        pages.map_ok(move |page| page.into_iter().map(archived).collect()).boxed()
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        let kind = match key.rsplit('.').next() {
            Some("gone") => Some(Kind::Missing),
            Some("changed") => Some(Kind::Changed),
            Some("denied") => Some(Kind::Denied),
            _ => None,
        };
        let detail = || format!("{kind:?}").to_lowercase();
        match kind {
            Some(kind) => Err(BucketError {
                kind,
                bucket: "s3://shop".to_owned(),
                key: key.to_owned(),
                detail: detail(),
            }),
            None => self.0.get(key, if_match, limit).await,
        }
    }
}

/// An execution's queue: it sees that no message is deleted before its part is there, and is deleted itself
/// at the end.
pub(super) struct WatchedQueue {
    inner: MemoryQueue,
    own: MemoryBucket,
    keys: RunKeys,
    /// Bodies by receipt.
    in_hand: Mutex<BTreeMap<String, String>>,
    is_deleted: Mutex<bool>,
    offences: Arc<Mutex<Vec<String>>>,
}

impl WatchedQueue {
    pub(super) fn delete_queue(&self) {
        *self.is_deleted.lock().unwrap() = true;
    }

    fn check(&self) -> Result<(), QueueError> {
        let error = || QueueError { queue: "run".to_owned(), detail: "there is no such queue".to_owned() };
        if *self.is_deleted.lock().unwrap() { Err(error()) } else { Ok(()) }
    }
}

#[async_trait]
impl Queue for WatchedQueue {
    fn visibility_timeout(&self) -> Duration {
        self.inner.visibility_timeout()
    }

    async fn send(&self, bodies: &[String]) -> Result<(), QueueError> {
        self.check()?;
        self.inner.send(bodies).await
    }

    async fn messages(&self) -> Result<Messages, QueueError> {
        self.check()?;
        self.inner.messages().await
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Message>, QueueError> {
        self.check()?;
        let message = self.inner.receive(wait).await?;
        if let Some(message) = &message {
            self.in_hand.lock().unwrap().insert(message.receipt.clone(), message.body.clone());
        }
        Ok(message)
    }

    async fn change_visibility(&self, receipt: &str, timeout: Duration) -> Result<(), QueueError> {
        self.check()?;
        self.inner.change_visibility(receipt, timeout).await
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        self.check()?;
        let body = self.in_hand.lock().unwrap().get(receipt).cloned().unwrap();
        let shard = serde_json::from_str::<ShardMessage>(&body).unwrap().shard;
        if !self.own.exists(&self.keys.part(shard)).await.unwrap() {
            self.offences
                .lock()
                .unwrap()
                .push(format!("the message of {shard} was deleted before its part was there"));
        }
        self.inner.delete(receipt).await
    }
}
