//! Injected faults: the fate of one process and of each of its calls, drawn from a seed.
//!
//! A process is a worker or one call of a function. At any of its calls it may be killed, asked to stop, or
//! frozen and woken later; each call may fail, or be done and its answer lost. A fault depends on the seed,
//! the process and the call alone, not on other processes. It never decides what a process does, and no fault
//! comes after the chaos phase.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Numbers from a seed: SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that follow from all of `seed`.
    #[must_use]
    pub fn of(seed: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound.max(1)
    }

    /// True once in `count` times.
    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// The rates and times of all faults of a run.
#[derive(Clone, Debug)]
pub struct Storm {
    /// All other values follow from this seed.
    pub seed: u64,
    /// This many of a thousand calls fail.
    pub failing: u64,
    /// This many of a thousand messages come twice, late, or never.
    pub unruly: u64,
    /// During this time no service answers.
    pub outage: Range<Instant>,
    /// Reads of some prefixes are throttled until then, as partitions of S3 are.
    pub throttled: Instant,
    /// No fault happens after this time.
    pub end: Instant,
}

impl Storm {
    /// The storm of a seed, which lasts for some minutes.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = Random::of(("storm", seed));
        let (now, seconds) = (Instant::now(), 60 + random.below(3600));
        let began = now + Duration::from_secs(random.below(600));
        let minutes = if random.one_in(3) { random.below(20) } else { 0 };
        let outage = began..began + Duration::from_secs(60 * minutes);
        let failing = [0, 3, 15, 60][random.below(4) as usize];
        let unruly = [0, 100, 300, 800][random.below(4) as usize];
        let minutes = if random.one_in(3) { 10 + random.below(20) } else { 0 };
        let throttled = now + Duration::from_secs(60 * minutes);
        Self { seed, failing, unruly, outage, throttled, end: now + Duration::from_secs(seconds) }
    }

    /// A storm without faults.
    #[must_use]
    pub fn calm() -> Self {
        let now = Instant::now();
        Self { seed: 0, failing: 0, unruly: 0, outage: now..now, throttled: now, end: now }
    }

    /// Whether reads of `key` are throttled now: those of every fourth prefix are.
    fn throttles(&self, key: &str) -> bool {
        let prefix = key.split('/').next().unwrap_or_default();
        Instant::now() < self.throttled && Random::of(("partition", self.seed, prefix)).one_in(4)
    }

    /// Whether no fault comes any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }
}

/// The fault of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call succeeds.
    None,
    /// The call fails and is not performed.
    Refused(&'static str),
    /// The call is performed, and its answer is lost.
    Lost(&'static str),
    /// The call fails because the disk is full.
    DiskFull,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Killed,
    Told,
    Frozen(Duration),
}

/// A process that meets faults. Its adapters ask it before and after each call.
#[derive(Debug)]
pub struct Process {
    storm: Storm,
    seed: u64,
    calls: AtomicU64,
    /// By the operation and the key: how often.
    repeated: Mutex<HashMap<(&'static str, String), u64>>,
    /// By moment: two for each call.
    fates: HashMap<u64, Fate>,
    disk_full: Range<u64>,
    frozen_until: Mutex<Option<Instant>>,
    /// Cancelled if it is killed: its runner then drops it.
    pub killed: CancellationToken,
    /// Cancelled if it is asked to stop, or if its caller no longer listens.
    pub told: CancellationToken,
}

impl Process {
    /// A process of this name, which makes about this many calls.
    #[must_use]
    pub fn new(storm: &Storm, name: &str, calls: u64) -> Self {
        let mut random = Random::of(("process", storm.seed, name));
        let mut fates = HashMap::new();
        for fate in [Fate::Killed, Fate::Told, Fate::Frozen(Duration::from_secs(1 + random.below(900)))] {
            // Early moments as often as late ones: most can go wrong at the start.
            let reach = [4, calls / 4, 2 * calls][random.below(3) as usize];
            let moment = random.below(reach + 1);
            if random.one_in(3) {
                fates.insert(moment, fate);
            }
        }
        let full = if random.one_in(8) { random.below(calls) } else { u64::MAX };
        Self {
            seed: random.below(u64::MAX),
            storm: storm.clone(),
            calls: AtomicU64::new(0),
            repeated: Mutex::default(),
            fates,
            disk_full: full..full.saturating_add(20),
            frozen_until: Mutex::default(),
            killed: CancellationToken::new(),
            told: CancellationToken::new(),
        }
    }

    /// A process without faults.
    #[must_use]
    pub fn undisturbed() -> Self {
        Self::new(&Storm::calm(), "undisturbed", 0)
    }

    /// The storm of the process.
    #[must_use]
    pub fn storm(&self) -> &Storm {
        &self.storm
    }

    /// Numbers for the next call of this operation for this key.
    pub(super) fn random(&self, operation: &'static str, key: &str) -> Random {
        let mut repeated = self.repeated.lock().unwrap_or_else(PoisonError::into_inner);
        let times = repeated.entry((operation, key.to_owned())).or_default();
        *times += 1;
        Random::of((self.seed, operation, key, *times))
    }

    /// Starts a call: takes its time, and returns its fate. Never returns in a process that is killed.
    pub(super) async fn begin(&self, operation: &'static str, key: &str) -> (u64, Fault) {
        let call = self.calls.fetch_add(1, Relaxed);
        let mut random = self.random(operation, key);
        let milliseconds = if random.one_in(100) { random.below(20_000) } else { 1 + random.below(80) };
        sleep_until(Instant::now() + Duration::from_millis(milliseconds)).await;
        self.meet(2 * call).await;
        let fault =
            if self.storm.is_over() { Fault::None } else { self.fault(call, (operation, key), &mut random) };
        if matches!(fault, Fault::Refused(why) | Fault::Lost(why) if why == TIMEOUT) {
            sleep_until(Instant::now() + Duration::from_secs(30)).await;
        }
        (call, fault)
    }

    /// Ends a call that was started. Never returns in a process that is killed.
    pub(super) async fn end(&self, call: u64) {
        self.meet(2 * call + 1).await;
    }

    fn fault(&self, call: u64, (operation, key): (&str, &str), random: &mut Random) -> Fault {
        if operation.starts_with("put") && self.disk_full.contains(&call) {
            return Fault::DiskFull;
        }
        if self.storm.outage.contains(&Instant::now()) {
            return Fault::Refused(SLOW_DOWN);
        }
        if operation == "get" && self.storm.throttles(key) {
            return Fault::Refused(SLOW_DOWN);
        }
        if random.below(1000) >= self.storm.failing {
            return Fault::None;
        }
        match random.below(7) {
            0 => Fault::Refused("500: internal error"),
            1 => Fault::Refused(SLOW_DOWN),
            2 => Fault::Refused("connection reset"),
            3 => Fault::Refused(TIMEOUT),
            4 => Fault::Lost(TIMEOUT),
            5 => Fault::Lost("the body ended early"),
            _ => Fault::Lost("connection reset"),
        }
    }

    async fn meet(&self, moment: u64) {
        if let Some(fate) = self.fates.get(&moment).filter(|_| !self.storm.is_over()) {
            match fate {
                Fate::Killed => self.killed.cancel(),
                Fate::Told => self.told.cancel(),
                Fate::Frozen(time) => *self.frozen() = Some(Instant::now() + *time),
            }
        }
        if self.killed.is_cancelled() {
            std::future::pending::<()>().await;
        }
        let woken = *self.frozen();
        if let Some(woken) = woken {
            sleep_until(woken).await;
        }
    }

    fn frozen(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.frozen_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SLOW_DOWN: &str = "503: slow down";
const TIMEOUT: &str = "no answer in 30 s";
