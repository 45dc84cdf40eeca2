//! The whole run on the emulator in storms that are drawn from seeds: whatever happens, it comes to the rows of a quiet day,
//! and it says what it used and what is missing.
//!
//! `TAGFLEET_FLEET_STORM_SEEDS=FROM..TO` says which storms; two if it says nothing.

mod chaos_stack;
mod checks;
mod process;
mod proxy;
mod schedule;

use std::ops::Range;

use chaos_stack::ChaosStack;
use proxy::Proxy;

const SEEDS: &str = "TAGFLEET_FLEET_STORM_SEEDS";

fn seeds() -> Range<u64> {
    let Ok(seeds) = std::env::var(SEEDS) else { return 0..2 };
    let (from, to) = seeds.split_once("..").unwrap();
    from.parse().unwrap()..to.parse().unwrap()
}

/// Says how to have the storm again where it ends badly.
struct Seed<'a> {
    seed: u64,
    proxy: &'a Proxy,
}

impl Drop for Seed<'_> {
    fn drop(&mut self) {
        for fault in self.proxy.happened() {
            eprintln!("    {fault}");
        }
        if std::thread::panicking() {
            let (seed, next) = (self.seed, self.seed + 1);
            eprintln!(
                "this storm again: {SEEDS}={seed}..{next} cargo nextest run --workspace -E 'test(storm::)'"
            );
        }
    }
}

#[test]
fn a_disturbed_run_has_the_rows_of_an_undisturbed_one() {
    let chaos_stack = ChaosStack::deploy();
    let quiet = chaos_stack.quiet();
    for seed in seeds() {
        eprintln!("storm {seed}");
        let _said = Seed { seed, proxy: &chaos_stack.proxy };
        chaos_stack.storm(seed, &quiet);
    }
}
