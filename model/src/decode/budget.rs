//! The process-wide bound on memory for decoded pixels: a counting semaphore in bytes, first come first
//! served.
//!
//! It exists because threads decode at the same time and one picture may take half a gigabyte. It never
//! allocates and never refuses what could fit: it makes the thread wait.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A number of bytes that all threads decode within. Shared through an [`Arc`].
#[derive(Debug)]
pub struct PixelBudget {
    total: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: u64,
    next_ticket: u64,
    now_serving: u64,
}

impl PixelBudget {
    /// A budget of `total` bytes.
    #[must_use]
    pub fn new(total: u64) -> Arc<PixelBudget> {
        let state = State { free: total, next_ticket: 0, now_serving: 0 };
        Arc::new(PixelBudget { total, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// All of its bytes, free or not.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The bytes that are free now.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.lock().free
    }

    /// Waits in line for `bytes`; `None`, at once, if they are more than the whole budget.
    ///
    /// A large request is not overtaken by small ones, so no thread waits for ever as long as none waits
    /// while it holds a [`Reservation`].
    #[must_use]
    pub fn acquire(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        if bytes > self.total {
            return None;
        }
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        while state.now_serving != ticket || state.free < bytes {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.now_serving += 1;
        state.free -= bytes;
        self.changed.notify_all();
        Some(Reservation { budget: Arc::clone(self), bytes })
    }

    fn release(&self, bytes: u64) {
        self.lock().free += bytes;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a [`PixelBudget`], given back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<PixelBudget>,
    bytes: u64,
}

impl Reservation {
    /// The bytes held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives back all but `bytes`; does nothing if fewer are held.
    pub fn shrink_to(&mut self, bytes: u64) {
        if bytes < self.bytes {
            self.budget.release(self.bytes - bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn more_than_the_whole_budget_is_refused_at_once() {
        let budget = PixelBudget::new(10);
        assert!(budget.acquire(11).is_none());
        assert_eq!(budget.acquire(10).map(|held| held.bytes()), Some(10));
    }

    #[test]
    fn dropping_and_shrinking_give_bytes_back() {
        let budget = PixelBudget::new(10);
        let mut held = budget.acquire(8).unwrap();
        assert_eq!(budget.free(), 2);
        held.shrink_to(9);
        assert_eq!((held.bytes(), budget.free()), (8, 2));
        held.shrink_to(3);
        assert_eq!((held.bytes(), budget.free()), (3, 7));
        drop(held);
        assert_eq!(budget.free(), 10);
    }

    #[test]
    fn a_waiting_thread_goes_on_once_bytes_are_free() {
        let budget = PixelBudget::new(10);
        let held = budget.acquire(5).unwrap();
        let (sender, receiver) = mpsc::channel();
        let waiter = {
            let budget = Arc::clone(&budget);
            thread::spawn(move || {
                let got = budget.acquire(6).unwrap();
                sender.send(got.bytes()).unwrap();
            })
        };
        while budget.lock().next_ticket < 2 {
            thread::yield_now();
        }
        // The ticket is drawn under the lock, which is released only by waiting or by leaving.
        assert_eq!(budget.lock().now_serving, 1, "six bytes were granted while only five were free");
        assert!(receiver.try_recv().is_err());
        drop(held);
        assert_eq!(receiver.recv().unwrap(), 6);
        waiter.join().unwrap();
        assert_eq!(budget.free(), 10);
    }

    #[test]
    fn many_threads_never_hold_more_than_the_total() {
        let budget = PixelBudget::new(100);
        let in_flight = AtomicU64::new(0);
        thread::scope(|scope| {
            for thread in 1..=8_u64 {
                let (budget, in_flight) = (&budget, &in_flight);
                scope.spawn(move || {
                    for turn in 0..200 {
                        let held = budget.acquire((thread * 13 + turn * 7) % 101).unwrap();
                        let now = in_flight.fetch_add(held.bytes(), Ordering::SeqCst) + held.bytes();
                        assert!(now <= 100, "{now} bytes in flight");
                        in_flight.fetch_sub(held.bytes(), Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(budget.free(), 100);
    }

    #[test]
    fn a_panicking_holder_gives_its_bytes_back() {
        let budget = PixelBudget::new(10);
        let theirs = Arc::clone(&budget);
        let joined = thread::spawn(move || {
            let _held = theirs.acquire(10).unwrap();
            std::panic::resume_unwind(Box::new("gone"));
        })
        .join();
        assert!(joined.is_err());
        assert_eq!(budget.free(), 10);
    }
}
