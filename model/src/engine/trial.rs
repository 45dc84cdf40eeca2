//! Which batch is the fastest, tried on the run's own images.
//!
//! It exists because nobody should have to know. An image's values never depend on the batch, so what is run while it is
//! tried counts like anything else, and a size that gives other bits is refused. One session of a process tries; the
//! others go on image by image and then take what it found. It is tried once what could have been won so far is worth what
//! trying costs, as one rents skis until they would have been bought: a run too short to win the time back never tries. It
//! never runs a session itself.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// What is tried. Larger ones won nothing on a CPU: MobileNetV2 in fp32 is the fastest at 2, in bf16 at 4, in int8 at 8.
const SIZES: [usize; 4] = [1, 2, 4, 8];
/// Images in one call while it is tried: each size divides it.
pub(super) const LARGEST: usize = SIZES[SIZES.len() - 1];
/// Calls that are timed for each size. The fastest of them counts, for everything that disturbs makes it slower.
const ROUNDS: usize = 5;
/// A larger batch takes memory, and delays the end of a run: it must win so much, as a share of the time.
const WORTH: f64 = 0.02;
/// What may be won, as a share of the time: the most that was measured.
const WINNABLE: f64 = 0.08;
/// Where trying costs nothing, so much time of a session is run before: engines are slower at first.
const WARM_UP: Duration = Duration::from_millis(500);

/// The batch of all sessions of a model in this process.
#[derive(Debug)]
pub(super) struct Trial {
    chosen: AtomicUsize,
    /// Time of all sessions so far, in microseconds.
    spent: AtomicU64,
    is_running: AtomicBool,
    /// The time after which it is tried; none where nothing is.
    after: Option<Duration>,
}

impl Trial {
    /// Nothing is tried: so many images at once.
    pub(super) fn fixed(rows: usize) -> Self {
        Self { chosen: rows.into(), spent: 0.into(), is_running: false.into(), after: None }
    }

    /// Image by image at first; `another` is what it takes to make a session ready for another size.
    pub(super) fn open(another: Duration) -> Self {
        let cost = another * (SIZES.len() as u32 - 1);
        Self::after(cost.div_f64(WINNABLE).max(WARM_UP))
    }

    /// Image by image, until the sessions have run for so long.
    pub(super) fn after(time: Duration) -> Self {
        Self { after: Some(time), ..Self::fixed(1) }
    }

    /// Images at once, as far as is known.
    pub(super) fn chosen(&self) -> usize {
        self.chosen.load(Relaxed)
    }

    /// Images that one call should get.
    pub(super) fn wanted(&self) -> usize {
        if self.is_running.load(Relaxed) { LARGEST } else { self.chosen() }
    }

    /// Adds the time of a call; the session that passes the limit with it gets to try.
    pub(super) fn begin(&self, time: Duration) -> Option<Tries> {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (after, time) = (micros(self.after?), micros(time));
        let before = self.spent.fetch_add(time, Relaxed);
        if before > after || before.saturating_add(time) <= after {
            return None;
        }
        self.is_running.store(true, Relaxed);
        Some(Tries::default())
    }

    /// The session that tried is done.
    pub(super) fn end(&self, chosen: usize) {
        self.chosen.store(chosen, Relaxed);
        self.is_running.store(false, Relaxed);
    }
}

/// What one session has found out so far.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// Turns taken, refused sizes counted.
    turn: usize,
    refused: [bool; SIZES.len()],
    fastest: [Option<Duration>; SIZES.len()],
}

impl Tries {
    /// Images at once in the next call, and whether this size is tried for the first time: then it is checked, not timed.
    pub(super) fn next(&self) -> (usize, bool) {
        (SIZES[self.turn % SIZES.len()], self.turn < SIZES.len())
    }

    /// The size was found fit.
    pub(super) fn fits(&mut self) {
        self.go_on();
    }

    /// The size gives other values, or does not run.
    pub(super) fn refuse(&mut self) {
        self.refused[self.turn % SIZES.len()] = true;
        self.go_on();
    }

    /// The size took so long.
    pub(super) fn took(&mut self, time: Duration) {
        let fastest = &mut self.fastest[self.turn % SIZES.len()];
        *fastest = Some(fastest.map_or(time, |fastest| fastest.min(time)));
        self.go_on();
    }

    fn go_on(&mut self) {
        self.turn += 1;
        while self.refused[self.turn % SIZES.len()] && !self.is_over() {
            self.turn += 1;
        }
    }

    fn is_over(&self) -> bool {
        self.turn >= SIZES.len() * (1 + ROUNDS)
    }

    /// What to take, once every size had all its turns.
    pub(super) fn chosen(&self) -> Option<usize> {
        if !self.is_over() {
            return None;
        }
        let mut best = (SIZES[0], self.fastest[0]?);
        for (size, time) in SIZES.into_iter().zip(self.fastest).skip(1) {
            let Some(time) = time else { continue };
            if time < best.1.mul_f64(1.0 - WORTH) {
                best = (size, time);
            }
        }
        Some(best.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is chosen where a size takes so many milliseconds, or is refused.
    fn chosen(times: [Option<u64>; 4]) -> usize {
        let mut tries = Tries::default();
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
        let trial = Trial::after(seconds(10));
        assert!(trial.begin(seconds(10)).is_none() && trial.wanted() == 1);
        let tries = trial.begin(seconds(1));
        assert!(tries.is_some() && trial.begin(seconds(8)).is_none());
        assert_eq!((trial.wanted(), trial.chosen()), (LARGEST, 1));
        trial.end(4);
        assert_eq!((trial.wanted(), trial.chosen()), (4, 4));
        assert!(trial.begin(seconds(100)).is_none());
        assert!(Trial::fixed(3).begin(seconds(1 << 40)).is_none());
    }

    #[test]
    fn what_costs_more_is_tried_later() {
        let after =
            |milliseconds| Trial::open(Duration::from_millis(milliseconds)).after.unwrap().as_millis();
        // Three more sizes of 160 ms each, at 8 % of the time: 6 s.
        assert_eq!([after(0), after(160)], [500, 6000]);
    }
}
