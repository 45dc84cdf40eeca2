//! What goes wrong in a storm, drawn from its seed: which call of whom meets what.
//!
//! A fault is bound to the n-th call of a kind, and n to how many such calls a quiet run makes, so that nearly every fault
//! comes about. There are few enough of them that a run comes to an end. Nothing here reads a clock.

use std::collections::BTreeMap;

use tagfleet_pipeline::testing::faults::Random;

/// Who calls, by the role that signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Caller {
    Worker,
    Splitter,
    Reducer,
}

/// Who calls what: `s3:GetObject shards`, `sqs:ReceiveMessage`.
pub(super) type Kind = (Caller, String);

/// How many calls of each kind there were.
pub(super) type Census = BTreeMap<Kind, u64>;

/// What a call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// So many in a row are answered 500 and not performed.
    InternalError(u64),
    /// It is answered 503 `SlowDown` and not performed. Of several in a row a client learns to wait for a minute.
    SlowDown,
    /// Its connection is reset before it is performed.
    ResetBefore,
    /// It is performed, and its connection reset instead of an answer.
    LoseAnswer,
    /// It is performed, and its connection reset in the middle of the answer.
    ResetInside,
    /// It is performed, and the connection closed before all of the announced bytes have come.
    Truncate,
    /// It is performed and never answered.
    Silence,
    /// It is said to be performed, and is not.
    Swallow,
    /// Once it is performed, every message in hand is delivered again, the last first.
    DeliverAgain,
    /// Every message of the queue has been received too often.
    Bury,
    /// The caller is killed before it is performed.
    KillBefore,
    /// The caller is killed once it is performed.
    KillAfter,
    /// The caller's machine is gone.
    Reclaim,
    /// The caller is told to stop.
    Terminate,
    /// A spot notice leaves so many seconds.
    Notice(u64),
    /// The caller is frozen until its messages are others' and everybody else is done; then it is performed.
    FreezeBefore,
    /// The same, but it is performed at once.
    FreezeAfter,
}

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) of: Kind,
    /// From 0.
    pub(super) nth: u64,
    pub(super) what: What,
}

impl Fault {
    /// Whether it ends a worker before its time: what that one sent last is in no record.
    pub(super) fn stops_a_worker(&self) -> bool {
        let stops = [What::KillBefore, What::KillAfter, What::Reclaim, What::Terminate].contains(&self.what);
        self.of.0 == Caller::Worker && (stops || matches!(self.what, What::Notice(_)))
    }
}

/// A storm.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) faults: Vec<Fault>,
    /// So many workers find no room on their disk.
    pub(super) full_disks: u64,
}

/// Workers of a storm's run.
pub(super) const WORKERS: u32 = 3;
/// Rounds of infer in one execution.
const ROUNDS: u32 = 3;

const DISTURBANCES: [What; 7] = [
    What::InternalError(1),
    What::SlowDown,
    What::ResetBefore,
    What::LoseAnswer,
    What::ResetInside,
    What::Truncate,
    What::InternalError(3),
];

impl Schedule {
    /// The storm of this seed over a run that makes the calls of `census` where nothing goes wrong.
    pub(super) fn draw(seed: u64, census: &Census) -> Self {
        let mut random = Random::of(seed);
        let mut census = census.clone();
        // In a quiet run nothing is given back.
        census.entry((Caller::Worker, "sqs:ChangeMessageVisibility".to_owned())).or_insert(1);
        let census = &census;
        let mut schedule = Self { faults: Vec::new(), full_disks: 0 };
        for _ in 0..6 + random.below(7) {
            let what = DISTURBANCES[random.below(7) as usize];
            schedule.add(&mut random, census, what, |_| true);
        }
        schedule.add(&mut random, census, What::Silence, |_| true);
        // More than a client tries.
        let outage = What::InternalError(5 + random.below(4));
        schedule.add(&mut random, census, outage, |_| true);
        for _ in 0..=random.below(3) {
            schedule.add_of_messages(&mut random, census);
        }
        for _ in 0..=random.below(2) {
            let what = [What::KillBefore, What::KillAfter][random.below(2) as usize];
            schedule.add(&mut random, census, what, |(caller, _)| *caller != Caller::Worker);
        }
        schedule.add_of_workers(&mut random, census);
        if random.below(4) == 0 {
            schedule.add_plague();
        }
        schedule
    }

    /// After two parts every worker of all rounds dies at its next one: the run ends incomplete.
    fn add_plague(&mut self) {
        let of = (Caller::Worker, "s3:PutObject parts".to_owned());
        let deaths = 2..2 + u64::from(WORKERS * ROUNDS);
        self.faults.extend(deaths.map(|nth| Fault { of: of.clone(), nth, what: What::KillBefore }));
    }

    fn add_of_messages(&mut self, random: &mut Random, census: &Census) {
        let (what, operation) = match random.below(4) {
            0 => (What::Swallow, "sqs:DeleteMessage"),
            1 => (What::Bury, "sqs:ReceiveMessage"),
            2 => (What::LoseAnswer, "sqs:ReceiveMessage"),
            _ => (What::DeliverAgain, "sqs:ReceiveMessage"),
        };
        self.add(random, census, what, |(caller, name)| *caller == Caller::Worker && name == operation);
    }

    /// At least one misfortune of a worker; each kind once at most but death.
    fn add_of_workers(&mut self, random: &mut Random, census: &Census) {
        let mut left = vec![
            What::KillBefore,
            What::KillAfter,
            What::Reclaim,
            What::Terminate,
            What::Notice([5, 60][random.below(2) as usize]),
            [What::FreezeBefore, What::FreezeAfter][random.below(2) as usize],
        ];
        for _ in 0..=random.below(3) {
            let what = left.remove(random.below(left.len() as u64) as usize);
            self.add(random, census, what, |(caller, _)| *caller == Caller::Worker);
        }
        self.full_disks = random.below(3) / 2;
    }

    /// Every other is a worker's, where it may be; any kind of call is as likely as any other, and then any call of it.
    fn add(&mut self, random: &mut Random, census: &Census, what: What, may: impl Fn(&Kind) -> bool) {
        let mut kinds: Vec<_> =
            census.iter().filter(|(kind, _)| may(kind) && makes_sense(what, kind)).collect();
        let is_of_worker = |kind: &Kind| kind.0 == Caller::Worker;
        if random.below(2) == 0 && kinds.iter().any(|(kind, _)| is_of_worker(kind)) {
            kinds.retain(|(kind, _)| is_of_worker(kind));
        }
        let (of, count) = kinds[random.below(kinds.len() as u64) as usize];
        self.faults.push(Fault { of: of.clone(), nth: random.below(*count), what });
    }
}

/// Whether a call of this kind can meet it: only an answer with a body can be cut.
fn makes_sense(what: What, (_, operation): &Kind) -> bool {
    let with_body = ["s3:GetObject", "s3:ListBucket", "sqs:ReceiveMessage"];
    let has_body = with_body.iter().any(|name| operation.starts_with(name));
    has_body || !matches!(what, What::ResetInside | What::Truncate)
}
