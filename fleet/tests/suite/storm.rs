//! The storm: whole runs on a virtual clock while everything goes wrong that can, one run for each seed.
//!
//! `TAGFLEET_STORM_SEEDS=FROM..TO` says which seeds. A seed that fails names the command that repeats it. The order in
//! which threads encode Parquet is not the seed's; everything else is.

mod check;
mod execution;
mod local;
mod steps;
mod worker;
mod world;

use std::ops::Range;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::timeout;

/// Seeds where nothing else is asked for.
const SEEDS: Range<u64> = 0..20;
/// No storm and what comes after it lasts so long.
const LONGEST: Duration = Duration::from_hours(24 * 30);

fn seeds() -> Range<u64> {
    let Ok(asked) = std::env::var("TAGFLEET_STORM_SEEDS") else { return SEEDS };
    let parsed = asked.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    parsed.unwrap_or_else(|| panic!("TAGFLEET_STORM_SEEDS={asked}: give FROM..TO, as 0..500"))
}

/// Says how to repeat a seed that fails.
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
    // Where everybody waits for ever, the clock comes to this.
    runtime.block_on(async { timeout(LONGEST, run).await.expect("it hangs") })
}

#[test]
fn a_fleet_in_a_storm_comes_to_the_rows_of_a_quiet_one() {
    let mut seen = execution::Seen::default();
    for seed in seeds() {
        let _seed = Seed(seed);
        seen.add(&on_a_virtual_clock(execution::storm(seed)));
    }
    println!("fleet, seeds {:?}: {seen:?}", seeds());
}

#[test]
fn a_local_run_in_a_storm_comes_to_the_rows_of_a_quiet_one() {
    let mut processes = 0;
    for seed in seeds() {
        let _seed = Seed(seed);
        processes += on_a_virtual_clock(local::storm(seed));
    }
    println!("local, seeds {:?}: {processes} processes", seeds());
}
