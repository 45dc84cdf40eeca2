//! Runs against their plans, taken apart by hand; and what holds for any run.

use proptest::prelude::*;

use super::*;
use crate::testing::variance::{a_dear_run, bill, compare, estimate, machine, usage};

#[test]
fn each_part_of_the_difference_is_what_one_computes_by_hand() {
    let found = a_dear_run();
    assert!((found.difference_usd - 0.66).abs() < 1e-9, "{found:?}");
    let usd: Vec<f64> = found.causes.iter().map(|cause| (cause.usd * 1e6).round() / 1e6).collect();
    // The price of an hour: 1.2 - 3 * 0.3. Machine time: (3 - 1.2 * 2) * 0.3. Images: 0.75 * 0.2. Requests:
    // 0.15 - 1.2 * 0.1. The rest: 0.06 - 1.2 * 0.05 is none, but for what floats leave.
    assert_eq!(usd[..4], [0.3, 0.18, 0.15, 0.03]);
    assert!(usd[4..].iter().all(|usd| *usd == 0.0), "{usd:?}");
    insta::assert_snapshot!(format!("{}\n{}", found.table(), found.short()));
}

#[test]
fn a_run_as_planned_has_no_causes() {
    let machines = vec![machine("c7a.2xlarge", "spot", 1.5, 1000)];
    let found = compare(&usage(machines, 1100, 2700), &bill(0.4, 0.1, 0.05), 1000, 0);
    assert_eq!((found.difference_usd, found.causes.len()), (0.0, 0), "{found:?}");
    assert_eq!(found.short(), "planned  $0.35 to $0.75; the run cost what was planned\n");
}

#[test]
fn a_run_that_stopped_early_is_cheaper_for_its_images() {
    // Half of the images in a quarter of the machine hours.
    let machines = vec![machine("c7a.2xlarge", "spot", 0.25, 500)];
    let found = compare(&usage(machines, 600, 600), &bill(0.05, 0.05, 0.02), 500, 500);
    insta::assert_snapshot!(found.short());
}

#[test]
fn a_run_without_machines_or_images_is_compared() {
    let done = RunFacts { images: 0, not_done: 1000, engine: "tract 0.22.0 fp32" };
    let found = PlanVariance::new(estimate(), &done, &Usage::default(), &bill(0.0, 0.001, 0.002));
    let sum: f64 = found.causes.iter().map(|cause| cause.usd).sum();
    assert!((sum + 0.347).abs() < 1e-9, "{found:?}");
}

proptest! {
    #[test]
    fn the_causes_are_the_whole_difference(
        images in 0..10_000_u64,
        hours in 0.0..100.0_f64,
        dollars in (0.0..100.0_f64, 0.0..10.0_f64, 0.0..10.0_f64),
        requests in 0..1_000_000_u64,
        seconds in 0..1_000_000_u64,
        on_demand: bool,
    ) {
        let life_cycle = if on_demand { "on-demand" } else { "spot" };
        let used = usage(vec![machine("c7i.2xlarge", life_cycle, hours, images)], requests, seconds);
        let found = compare(&used, &bill(dollars.0, dollars.1, dollars.2), images, 3);
        let sum: f64 = found.causes.iter().map(|cause| cause.usd).sum();
        prop_assert!((sum - found.difference_usd).abs() < 1e-9 * found.actual.usd.max(1.0), "{found:?}");
        let text = format!("{}{}", found.table(), found.short());
        prop_assert!(!text.contains("NaN") && !text.contains("inf"), "{}", text);
        let stored = serde_json::to_string(&found).unwrap();
        prop_assert_eq!(serde_json::from_str::<PlanVariance>(&stored).unwrap(), found);
    }
}
