//! Panics of libraries on hostile files: caught, and if the program wishes, silent.
//!
//! It never hides a panic from anywhere else, and installs nothing unless asked to: the hook belongs to the
//! program.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Lets panics that decoding catches, and makes failed rows of, write nothing to stderr. For `main`, once;
/// all other panics go to the hook that was there before.
pub fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CAUGHT.try_with(Cell::get).unwrap_or(false) {
                previous(info);
            }
        }));
    });
}

/// What `work` returns; `None` if it panics.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Option<T> {
    let outer = CAUGHT.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(outer);
    outcome.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static HEARD: Cell<u32> = const { Cell::new(0) };
    }

    #[test]
    fn only_caught_panics_are_silent() {
        panic::set_hook(Box::new(|_| HEARD.set(HEARD.get() + 1)));
        quiet_panics();
        quiet_panics();
        assert_eq!(catch(|| catch(|| panic!("inner")).unwrap_or(1)), Some(1));
        assert_eq!(catch(|| panic!("a bug in a decoder")).unwrap_or(2), 2);
        assert_eq!(HEARD.get(), 0);
        assert!(panic::catch_unwind(|| panic!("not ours to catch")).is_err());
        assert_eq!(HEARD.get(), 1);
    }
}
