//! The chaos test: whole runs on a virtual clock while everything goes wrong that can, one run for each seed.
//!
//! `TAGFLEET_STORM_SEEDS=FROM..TO` selects the seeds. A seed that fails names the command that repeats it.
//! The order in which threads encode Parquet does not follow from the seed; everything else does.

mod check;
mod earlier;
mod execution;
mod local;
mod steps;
mod worker;
mod world;

use std::ops::Range;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::timeout;

/// The default seeds.
const SEEDS: Range<u64> = 0..20;
/// A chaos phase and the time after it are shorter than this.
const LONGEST: Duration = Duration::from_hours(24 * 30);

fn seeds() -> Range<u64> {
    let Ok(asked) = std::env::var("TAGFLEET_STORM_SEEDS") else { return SEEDS };
    let parsed = asked.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    parsed.unwrap_or_else(|| panic!("TAGFLEET_STORM_SEEDS={asked}: give FROM..TO, as 0..500"))
}

/// Reports how to repeat a seed that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {0} failed; again: make storm SEEDS={0}..{1}", self.0, self.0 + 1);
        }
    }
}

fn on_a_virtual_clock<T>(run: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    // If all tasks wait for ever, the clock comes to this.
    runtime.block_on(async { timeout(LONGEST, run).await.expect("it hangs") })
}

#[test]
fn a_disturbed_fleet_has_the_rows_of_an_undisturbed_one() {
    let mut seen = execution::Seen::default();
    for seed in seeds() {
        let _seed = Seed(seed);
        seen.add(&on_a_virtual_clock(execution::storm(seed)));
    }
    println!("fleet, seeds {:?}: {seen:?}", seeds());
}

#[test]
fn a_disturbed_local_run_has_the_rows_of_an_undisturbed_one() {
    let mut processes = 0;
    for seed in seeds() {
        let _seed = Seed(seed);
        processes += on_a_virtual_clock(local::storm(seed));
    }
    println!("local, seeds {:?}: {processes} processes", seeds());
}
