//! The chaos test on the emulator: whole runs with faults that are drawn from seeds. Each run must have the
//! rows of an undisturbed run, and report its usage and its missing shards exactly.
//!
//! `TAGFLEET_FLEET_STORM_SEEDS=FROM..TO` selects the seeds; the default is two of them.

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

/// Prints how to repeat the seed if the test fails.
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
                "to repeat this seed: {SEEDS}={seed}..{next} cargo nextest run --workspace -E 'test(storm::)'"
            );
        }
    }
}

#[test]
fn a_disturbed_run_has_the_rows_of_an_undisturbed_one() {
    let chaos_stack = ChaosStack::deploy();
    let baseline = chaos_stack.baseline();
    for seed in seeds() {
        eprintln!("seed {seed}");
        let _reporter = Seed { seed, proxy: &chaos_stack.proxy };
        chaos_stack.disturbed_run(seed, &baseline);
    }
}
