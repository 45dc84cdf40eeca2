//! The faults of a run, drawn from a seed: which calls have a fault, and its effect.
//!
//! A fault belongs to the n-th call of a kind. n is at most the number of such calls in an undisturbed run,
//! so that nearly every fault happens. There are few enough faults that a run finishes. Nothing here reads a
//! clock.

use std::collections::BTreeMap;

use tagfleet_pipeline::testing::faults::Random;

/// The caller, by the role that signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Caller {
    Worker,
    Splitter,
    Reducer,
}

/// A caller and an operation: `s3:GetObject shards`, `sqs:ReceiveMessage`.
pub(super) type Kind = (Caller, String);

/// The number of calls of each kind.
pub(super) type Census = BTreeMap<Kind, u64>;

/// The effect of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// This many calls in a row are answered 500 and not performed.
    InternalError(u64),
    /// The call is answered 503 `SlowDown` and not performed. After several in a row, a client waits for a
    /// minute.
    SlowDown,
    /// The connection is reset before the call is performed.
    ResetBefore,
    /// The call is performed, and the connection is reset instead of an answer.
    LoseAnswer,
    /// The call is performed, and the connection is reset in the middle of the answer.
    ResetInside,
    /// The call is performed, and the connection is closed in the middle of the answer.
    Truncate,
    /// The call is performed and never answered.
    NoAnswer,
    /// The call is answered with success and not performed.
    FalseSuccess,
    /// After the call, every received message is delivered again, the last one first.
    DeliverAgain,
    /// Every message of the queue exceeds its receive count.
    ExceedReceiveCount,
    /// The caller is killed before the call is performed.
    KillBefore,
    /// The caller is killed after the call is performed.
    KillAfter,
    /// The instance of the caller ends without notice.
    Reclaim,
    /// The caller gets SIGTERM.
    Terminate,
    /// A spot notice leaves this many seconds.
    Notice(u64),
    /// The caller is frozen until others have its messages and all others have ended. Then the call is
    /// performed.
    FreezeBefore,
    /// The call is performed, and then the caller is frozen as by [`Effect::FreezeBefore`].
    FreezeAfter,
}

/// A fault: an effect on one call.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// The number of the call among those of its kind, from 0.
    pub(super) nth: u64,
    pub(super) effect: Effect,
}

impl Fault {
    /// Whether it ends a worker early: the last requests of that worker are in no record.
    pub(super) fn stops_a_worker(&self) -> bool {
        let stops = [Effect::KillBefore, Effect::KillAfter, Effect::Reclaim, Effect::Terminate]
            .contains(&self.effect);
        self.kind.0 == Caller::Worker && (stops || matches!(self.effect, Effect::Notice(_)))
    }
}

/// All faults of a run.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) faults: Vec<Fault>,
    /// The number of workers with a full disk.
    pub(super) full_disks: u64,
}

/// The number of workers of a run.
pub(super) const WORKERS: u32 = 3;
/// The rounds of infer in one execution.
const ROUNDS: u32 = 3;

const DISTURBANCES: [Effect; 7] = [
    Effect::InternalError(1),
    Effect::SlowDown,
    Effect::ResetBefore,
    Effect::LoseAnswer,
    Effect::ResetInside,
    Effect::Truncate,
    Effect::InternalError(3),
];

impl Schedule {
    /// The faults of this seed for a run that makes the calls of `census` without faults.
    pub(super) fn draw(seed: u64, census: &Census) -> Self {
        let mut random = Random::of(seed);
        let mut census = census.clone();
        // An undisturbed run returns no message.
        census.entry((Caller::Worker, "sqs:ChangeMessageVisibility".to_owned())).or_insert(1);
        let census = &census;
        let mut schedule = Self { faults: Vec::new(), full_disks: 0 };
        for _ in 0..6 + random.below(7) {
            let effect = DISTURBANCES[random.below(7) as usize];
            schedule.add(&mut random, census, effect, |_| true);
        }
        schedule.add(&mut random, census, Effect::NoAnswer, |_| true);
        // More failures than a client retries.
        let outage = Effect::InternalError(5 + random.below(4));
        schedule.add(&mut random, census, outage, |_| true);
        for _ in 0..=random.below(3) {
            schedule.add_message_fault(&mut random, census);
        }
        for _ in 0..=random.below(2) {
            let effect = [Effect::KillBefore, Effect::KillAfter][random.below(2) as usize];
            schedule.add(&mut random, census, effect, |(caller, _)| *caller != Caller::Worker);
        }
        schedule.add_worker_faults(&mut random, census);
        if random.below(4) == 0 {
            schedule.kill_all_workers();
        }
        schedule
    }

    /// After two parts, every worker of all rounds is killed at its next part: the run ends incomplete.
    fn kill_all_workers(&mut self) {
        let kind = (Caller::Worker, "s3:PutObject parts".to_owned());
        let deaths = 2..2 + u64::from(WORKERS * ROUNDS);
        self.faults.extend(deaths.map(|nth| Fault { kind: kind.clone(), nth, effect: Effect::KillBefore }));
    }

    fn add_message_fault(&mut self, random: &mut Random, census: &Census) {
        let (effect, operation) = match random.below(4) {
            0 => (Effect::FalseSuccess, "sqs:DeleteMessage"),
            1 => (Effect::ExceedReceiveCount, "sqs:ReceiveMessage"),
            2 => (Effect::LoseAnswer, "sqs:ReceiveMessage"),
            _ => (Effect::DeliverAgain, "sqs:ReceiveMessage"),
        };
        self.add(random, census, effect, |(caller, name)| *caller == Caller::Worker && name == operation);
    }

    /// Adds at least one fault of a worker, and each effect at most once.
    fn add_worker_faults(&mut self, random: &mut Random, census: &Census) {
        let mut left = vec![
            Effect::KillBefore,
            Effect::KillAfter,
            Effect::Reclaim,
            Effect::Terminate,
            Effect::Notice([5, 60][random.below(2) as usize]),
            [Effect::FreezeBefore, Effect::FreezeAfter][random.below(2) as usize],
        ];
        for _ in 0..=random.below(3) {
            let effect = left.remove(random.below(left.len() as u64) as usize);
            self.add(random, census, effect, |(caller, _)| *caller == Caller::Worker);
        }
        self.full_disks = random.below(3) / 2;
    }

    /// Adds a fault. Half of them are for workers if possible. Every kind of call is equally likely, and
    /// every call of a kind.
    fn add(&mut self, random: &mut Random, census: &Census, effect: Effect, may: impl Fn(&Kind) -> bool) {
        let mut kinds: Vec<_> =
            census.iter().filter(|(kind, _)| may(kind) && is_possible(effect, kind)).collect();
        let is_of_worker = |kind: &Kind| kind.0 == Caller::Worker;
        if random.below(2) == 0 && kinds.iter().any(|(kind, _)| is_of_worker(kind)) {
            kinds.retain(|(kind, _)| is_of_worker(kind));
        }
        let (kind, count) = kinds[random.below(kinds.len() as u64) as usize];
        self.faults.push(Fault { kind: kind.clone(), nth: random.below(*count), effect });
    }
}

/// Whether a call of this kind can have this effect: only an answer with a body can be cut.
fn is_possible(effect: Effect, (_, operation): &Kind) -> bool {
    let with_body = ["s3:GetObject", "s3:ListBucket", "sqs:ReceiveMessage"];
    let has_body = with_body.iter().any(|name| operation.starts_with(name));
    has_body || !matches!(effect, Effect::ResetInside | Effect::Truncate)
}
