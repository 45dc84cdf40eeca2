//! The reference: messages, checkpoints and parts, and what must be true of them.
//!
//! A message is queued, in hand until a moment, deleted, or dead; a shard has a part or none. Whether a
//! message whose time is up can still be deleted is left open, as SQS leaves it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tagfleet_pipeline::queue::Message;
use tagfleet_pipeline::shard::ShardId;
use tokio::time::Instant;

pub(super) const VISIBILITY: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq)]
enum State {
    Queued,
    InHand {
        receipt: String,
        until: Instant,
    },
    /// Deleted when its time was up already: it may come again or not.
    PerhapsDeleted,
    Deleted,
    /// Received too often.
    Dead,
}

#[derive(Clone, Debug)]
struct Sent {
    shard: ShardId,
    receipts: u32,
    state: State,
}

pub(super) struct Model {
    shards: u32,
    most_receipts: u32,
    messages: Vec<Sent>,
    parts: BTreeMap<ShardId, Bytes>,
    /// The images of which rows are kept.
    checkpoints: BTreeMap<ShardId, BTreeSet<usize>>,
    /// How often each was received, in all rounds, and how often each image was tagged.
    received: BTreeMap<ShardId, u32>,
    tagged: BTreeMap<(ShardId, usize), u32>,
}

impl Model {
    /// Split has sent one message for each shard.
    pub(super) fn new(shards: u32, most_receipts: u32) -> Self {
        let (messages, parts, checkpoints) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let (received, tagged) = (BTreeMap::new(), BTreeMap::new());
        let mut model = Self { shards, most_receipts, messages, parts, checkpoints, received, tagged };
        (0..shards).for_each(|number| model.sent(ShardId { range: 0, number }));
        model
    }

    pub(super) fn shards(&self) -> u32 {
        self.shards
    }

    pub(super) fn parts(&self) -> &BTreeMap<ShardId, Bytes> {
        &self.parts
    }

    pub(super) fn sent(&mut self, shard: ShardId) {
        self.messages.push(Sent { shard, receipts: 0, state: State::Queued });
    }

    /// Another execution has a queue of its own.
    pub(super) fn begins_anew(&mut self) {
        self.messages.clear();
    }

    pub(super) fn received(&mut self, shard: ShardId, message: &Message) {
        self.time_passes();
        let until = Instant::now() + VISIBILITY;
        let count = message.receive_count;
        let may_come = |state: State| {
            let mut sent = self.messages.iter();
            sent.position(|sent| sent.shard == shard && sent.receipts + 1 == count && sent.state == state)
        };
        // Of two equal messages, the one that certainly comes is taken.
        let at = may_come(State::Queued).or_else(|| may_come(State::PerhapsDeleted));
        let sent = &mut self.messages[at.expect("a message that may come now")];
        sent.receipts += 1;
        sent.state = State::InHand { receipt: message.receipt.clone(), until };
        *self.received.entry(shard).or_default() += 1;
    }

    pub(super) fn received_nothing(&mut self) {
        self.time_passes();
        let queued = self.messages.iter().find(|sent| sent.state == State::Queued);
        assert!(queued.is_none(), "it should have come: {queued:?}");
    }

    pub(super) fn changed(&mut self, receipt: &str, timeout: Duration) {
        self.time_passes();
        if let Some(sent) = self.of_receipt(receipt)
            && let State::InHand { until, .. } = &mut sent.state
        {
            *until = Instant::now() + timeout;
        }
        self.time_passes();
    }

    pub(super) fn deleted(&mut self, receipt: &str) {
        let Some(sent) = self.of_receipt(receipt) else { return };
        let State::InHand { until, .. } = sent.state else { return };
        sent.state = if until > Instant::now() { State::Deleted } else { State::PerhapsDeleted };
    }

    pub(super) fn tagged(&mut self, shard: ShardId, image: usize) {
        *self.tagged.entry((shard, image)).or_default() += 1;
    }

    /// A worker starts with exactly the rows that those before it have kept.
    pub(super) fn continues<'a>(&self, shard: ShardId, images: impl Iterator<Item = &'a usize>) {
        let kept = self.checkpoints.get(&shard).cloned().unwrap_or_default();
        assert_eq!(images.copied().collect::<BTreeSet<_>>(), kept, "the checkpoint of {shard}");
    }

    /// A checkpoint grows.
    pub(super) fn kept<'a>(&mut self, shard: ShardId, images: impl Iterator<Item = &'a usize>) {
        self.checkpoints.entry(shard).or_default().extend(images.copied());
    }

    /// Two workers have stopped at the same moment: only the checkpoint of one is kept.
    pub(super) fn checkpoint_lost(&mut self, shard: ShardId) {
        self.checkpoints.remove(&shard);
    }

    /// Whether this part is the first.
    pub(super) fn committed(&mut self, shard: ShardId, rows: Bytes) -> bool {
        let is_first = !self.parts.contains_key(&shard);
        self.parts.entry(shard).or_insert(rows);
        is_first
    }

    /// The shards without a part, in order.
    pub(super) fn missing(&self) -> Vec<ShardId> {
        let all = (0..self.shards).map(|number| ShardId { range: 0, number });
        all.filter(|shard| !self.parts.contains_key(shard)).collect()
    }

    /// A shard without a part always has a message that will come again, or one that came too often; and none
    /// of its images is tagged more often than its messages came.
    pub(super) fn holds(&self) {
        for shard in self.missing() {
            let alive = |sent: &&Sent| !matches!(sent.state, State::Deleted | State::PerhapsDeleted);
            let found = self.messages.iter().filter(|sent| sent.shard == shard).find(alive);
            assert!(found.is_some(), "no message of {shard} is left in this round");
        }
        for ((shard, image), times) in &self.tagged {
            assert!(
                self.received.get(shard) >= Some(times),
                "{image} of {shard} was tagged without a message"
            );
        }
        for (shard, images) in &self.checkpoints {
            let is_tagged = |image: &usize| self.tagged.contains_key(&(*shard, *image));
            assert!(images.iter().all(is_tagged), "a row of {shard} that no worker has made");
        }
    }

    fn of_receipt(&mut self, wanted: &str) -> Option<&mut Sent> {
        let has =
            |sent: &&mut Sent| matches!(&sent.state, State::InHand { receipt, .. } if receipt == wanted);
        self.messages.iter_mut().find(has)
    }

    fn time_passes(&mut self) {
        for sent in &mut self.messages {
            if let State::InHand { until, .. } = sent.state
                && until <= Instant::now()
            {
                sent.state = if sent.receipts >= self.most_receipts { State::Dead } else { State::Queued };
            }
        }
    }
}
