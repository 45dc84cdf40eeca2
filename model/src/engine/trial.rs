//! Which batch is the fastest, tried on the run's own images.
//!
//! It exists so that no user has to know. An image's values never depend on the batch, so the images of a
//! trial count like any other, and a size that gives other bits is refused. One session of a process tries;
//! the others continue image by image and then take its result. The trial starts once the possible gain so
//! far equals its cost (the ski-rental problem): a run too short to win the time back never tries. It never
//! runs a session itself.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// What is tried. Larger ones won nothing on a CPU: MobileNetV2 in fp32 is the fastest at 2, in bf16 at 4, in
/// int8 at 8.
const SIZES: &[usize] = &[1, 2, 4, 8];
/// The same if each size has its price: the one that wins most of the possible gain.
const FEW_SIZES: &[usize] = &[1, 4];
/// Calls that are timed for each size. The fastest of them counts, because every disturbance makes it slower.
const ROUNDS: usize = 5;
/// A larger batch takes memory, and delays the end of a run: it must win this share of the time.
const WORTH: f64 = 0.02;
/// What may be won, as a share of the time: the most that was measured.
const WINNABLE: f64 = 0.08;
/// If trying costs nothing, a session runs this long before: engines are slower at first.
const WARM_UP: Duration = Duration::from_millis(500);

/// The batch of all sessions of a model in this process.
#[derive(Debug)]
pub(super) struct Trial {
    chosen: AtomicUsize,
    /// Sessions that take what is found, and pay for it.
    sessions: AtomicU64,
    /// Time of all of them so far, in microseconds.
    spent: AtomicU64,
    is_running: AtomicBool,
    sizes: &'static [usize],
    /// The time of a session after which it is tried; `None` if nothing is.
    after: Option<Duration>,
}

impl Trial {
    /// Nothing is tried: this many images at once.
    pub(super) fn fixed(rows: usize) -> Self {
        Self {
            chosen: rows.into(),
            sessions: 0.into(),
            spent: 0.into(),
            is_running: false.into(),
            sizes: SIZES,
            after: None,
        }
    }

    /// Image by image at first; `another` is what it takes to make a session ready for another size.
    pub(super) fn open(another: Duration) -> Self {
        let sizes = if another.is_zero() { SIZES } else { FEW_SIZES };
        let cost = another * (sizes.len() as u32 - 1);
        Self { sizes, ..Self::after(cost.div_f64(WINNABLE).max(WARM_UP)) }
    }

    /// Images in one call while it is tried: each size divides it.
    pub(super) fn largest(&self) -> usize {
        self.sizes.last().copied().unwrap_or(1)
    }

    /// Image by image, until each session has run this long, on average.
    pub(super) fn after(time: Duration) -> Self {
        Self { after: Some(time), ..Self::fixed(1) }
    }

    /// Images at once, as far as is known.
    pub(super) fn chosen(&self) -> usize {
        self.chosen.load(Relaxed)
    }

    /// Images that one call should get.
    pub(super) fn wanted(&self) -> usize {
        if self.is_running.load(Relaxed) { self.largest() } else { self.chosen() }
    }

    /// One more session takes part.
    pub(super) fn join(&self) {
        self.sessions.fetch_add(1, Relaxed);
    }

    /// A session has ended.
    pub(super) fn leave(&self) {
        self.sessions.fetch_sub(1, Relaxed);
    }

    /// Adds the time of a call; the session that passes the limit with it gets to try.
    pub(super) fn begin(&self, time: Duration) -> Option<Tries> {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let after = micros(self.after?).saturating_mul(self.sessions.load(Relaxed));
        let time = micros(time);
        let before = self.spent.fetch_add(time, Relaxed);
        if before > after || before.saturating_add(time) <= after {
            return None;
        }
        self.is_running.store(true, Relaxed);
        Some(Tries::of(self.sizes))
    }

    /// The session that tried is done.
    pub(super) fn end(&self, chosen: usize) {
        self.chosen.store(chosen, Relaxed);
        self.is_running.store(false, Relaxed);
    }
}

/// What one session has found out so far.
#[derive(Debug)]
pub(super) struct Tries {
    sizes: &'static [usize],
    /// Turns taken, refused sizes counted.
    turn: usize,
    refused: Vec<bool>,
    fastest: Vec<Option<Duration>>,
}

impl Tries {
    fn of(sizes: &'static [usize]) -> Self {
        Self { sizes, turn: 0, refused: vec![false; sizes.len()], fastest: vec![None; sizes.len()] }
    }

    /// The place of the size whose turn it is.
    fn at(&self) -> usize {
        self.turn % self.sizes.len()
    }

    /// Images at once in the next call, and whether this size is tried for the first time: then it is
    /// checked, not timed.
    pub(super) fn next(&self) -> (usize, bool) {
        (self.sizes[self.at()], self.turn < self.sizes.len())
    }

    /// The size was found fit.
    pub(super) fn fits(&mut self) {
        self.go_on();
    }

    /// The size gives other values, or does not run.
    pub(super) fn refuse(&mut self) {
        let at = self.at();
        self.refused[at] = true;
        self.go_on();
    }

    /// The size took this long.
    pub(super) fn took(&mut self, time: Duration) {
        let at = self.at();
        let fastest = &mut self.fastest[at];
        *fastest = Some(fastest.map_or(time, |fastest| fastest.min(time)));
        self.go_on();
    }

    fn go_on(&mut self) {
        self.turn += 1;
        while self.refused[self.at()] && !self.is_over() {
            self.turn += 1;
        }
    }

    fn is_over(&self) -> bool {
        self.turn >= self.sizes.len() * (1 + ROUNDS)
    }

    /// What to take, once every size had all its turns.
    pub(super) fn chosen(&self) -> Option<usize> {
        if !self.is_over() {
            return None;
        }
        let mut best = (self.sizes[0], self.fastest[0]?);
        for (size, time) in self.sizes.iter().zip(&self.fastest).skip(1) {
            let Some(time) = *time else { continue };
            if time < best.1.mul_f64(1.0 - WORTH) {
                best = (*size, time);
            }
        }
        Some(best.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The choice if a size takes this many milliseconds, or is refused.
    fn chosen(times: [Option<u64>; 4]) -> usize {
        let mut tries = Tries::of(SIZES);
        while tries.chosen().is_none() {
            let (size, is_first) = tries.next();
            let time = times[SIZES.iter().position(|other| *other == size).unwrap()];
            match (time, is_first) {
                (None, true) => tries.refuse(),
                (Some(_), true) => tries.fits(),
                (Some(time), false) => tries.took(Duration::from_millis(time)),
                (None, false) => panic!("{size} was refused"),
            }
        }
        tries.chosen().unwrap()
    }

    #[test]
    fn a_larger_batch_has_to_be_worth_it() {
        assert_eq!(chosen([Some(100), Some(99), Some(97), Some(96)]), 4);
        assert_eq!(chosen([Some(100), Some(90), Some(80), Some(70)]), 8);
        assert_eq!(chosen([Some(100), Some(101), Some(110), Some(120)]), 1);
        assert_eq!(chosen([Some(100), None, None, None]), 1);
        assert_eq!(chosen([Some(100), None, Some(10), None]), 4);
    }

    proptest! {
        #[test]
        fn no_refused_size_is_taken_and_none_that_is_slower(
            times in prop::array::uniform3(prop::option::of(1_u64..200)), one in 1_u64..200
        ) {
            let times = [Some(one), times[0], times[1], times[2]];
            let size = chosen(times);
            let time = times[SIZES.iter().position(|other| *other == size).unwrap()];
            prop_assert!(time.is_some_and(|time| time <= one));
        }
    }

    #[test]
    fn one_session_tries_and_all_take_what_it_found() {
        let seconds = Duration::from_secs;
        let trial = Trial::after(seconds(5));
        trial.join();
        trial.join();
        assert!(trial.begin(seconds(10)).is_none() && trial.wanted() == 1);
        let tries = trial.begin(seconds(1));
        assert!(tries.is_some() && trial.begin(seconds(8)).is_none());
        assert_eq!((trial.wanted(), trial.chosen()), (8, 1));
        trial.end(4);
        assert_eq!((trial.wanted(), trial.chosen()), (4, 4));
        assert!(trial.begin(seconds(100)).is_none());
        trial.leave();
        assert!(trial.begin(seconds(100)).is_none());
        assert!(Trial::fixed(3).begin(seconds(1 << 40)).is_none());
    }

    #[test]
    fn what_costs_more_is_tried_later() {
        let after =
            |milliseconds| Trial::open(Duration::from_millis(milliseconds)).after.unwrap().as_millis();
        // One more size of 160 ms, at 8 % of the time: 2 s.
        assert_eq!([after(0), after(160)], [500, 2000]);
        assert_eq!(Trial::open(Duration::from_millis(160)).largest(), 4);
    }
}
