//! The texts that people read, of runs in several states.

use std::collections::BTreeMap;

use tagfleet_pipeline::run::RunId;

use super::super::jobs::Jobs;
use super::super::run_status::Completion;
use super::*;

const STARTED: u64 = 1_795_453_200;
const RESUME: &str = "tagfleet resume 20261123-170000-0a1b2c";

fn running() -> RunStatus {
    let machine = |instance_type: &str| Machine {
        instance_type: Some(instance_type.to_owned()),
        zone: Some("us-east-1a".to_owned()),
        life_cycle: Some("spot".to_owned()),
    };
    RunStatus {
        run: RunId::try_from("20261123-170000-0a1b2c".to_owned()).unwrap(),
        state: RunState::Running,
        execution: Some("20261123-170000-0a1b2c".to_owned()),
        started: Some(STARTED),
        stopped: None,
        shards: Some(Completion { done: 120, all: 400 }),
        images: Some(Completion { done: 240_000, all: 800_000 }),
        shards_so_far: 0,
        skipped: Default::default(),
        difference: None,
        failed: 12,
        images_per_second: Some(1250.04),
        seconds_left: Some(448),
        workers: vec![
            Workers { machine: machine("c7a.2xlarge"), running: 12, ended: 3 },
            Workers { machine: Machine::default(), running: 1, ended: 0 },
        ],
        jobs: Some(Jobs {
            workers: BTreeMap::from([("RUNNABLE".to_owned(), 88), ("RUNNING".to_owned(), 12)]),
            reasons: vec!["CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - no capacity".to_owned()],
            problem: None,
        }),
        cost: Some(RunCost {
            usd: Some(0.1234),
            projected_usd: Some(0.41133),
            max_usd: Some(0.5),
            problem: None,
        }),
        error: None,
        cause: None,
        results: Some("s3://tagfleet-data/tags/20261123-170000-0a1b2c/results/".to_owned()),
    }
}

#[test]
fn a_running_run() {
    insta::assert_snapshot!(text(&running(), RESUME, STARTED + 3725), @r"
    run      20261123-170000-0a1b2c: running for 1:02:05
    shards   120 of 400 done
    images   240,000 of 800,000 done, 12 failed
    speed    1250.0 images/s, 7:28 left
    workers  12 c7a.2xlarge spot us-east-1a, 3 ended
             1 of an unknown machine
    batch    88 waiting for a machine, 12 running: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - no capacity
    cost     $0.1234 so far, about $0.4113 in the end, of at most $0.5
    ");
    insta::assert_snapshot!(line(&running()), @"running: 120/400 shards, 240,000/800,000 images (30 %), 12 failed, 1250.0 images/s, 7:28 left, $0.1234 so far, about $0.4113 in the end, of at most $0.5");
}

#[test]
fn a_run_that_is_split() {
    let run_status = RunStatus {
        state: RunState::Splitting,
        shards: None,
        images: None,
        shards_so_far: 31,
        images_per_second: None,
        workers: vec![],
        cost: None,
        execution: Some("20261123-170000-0a1b2c-2".to_owned()),
        ..running()
    };
    insta::assert_snapshot!(text(&run_status, RESUME, STARTED + 5), @r"
    run      20261123-170000-0a1b2c: splitting for 0:05 (execution 20261123-170000-0a1b2c-2)
    shards   31 so far
    ");
    insta::assert_snapshot!(line(&run_status), @"splitting: 31 shards so far");
}

#[test]
fn a_run_that_failed() {
    let run_status = RunStatus {
        state: RunState::Failed,
        stopped: Some(STARTED + 60),
        error: Some("Temporary".to_owned()),
        cause: Some("run 20261123-170000-0a1b2c failed in Check: s3://shop: SlowDown".to_owned()),
        seconds_left: None,
        workers: vec![],
        cost: None,
        ..running()
    };
    insta::assert_snapshot!(text(&run_status, RESUME, STARTED + 9999), @r"
    run      20261123-170000-0a1b2c: failed after 1:00
    shards   120 of 400 done
    images   240,000 of 800,000 done, 12 failed
    speed    1250.0 images/s
    cause    Temporary: run 20261123-170000-0a1b2c failed in Check: s3://shop: SlowDown
    resume   tagfleet resume 20261123-170000-0a1b2c
    ");
}

#[test]
fn a_run_that_stopped_at_its_budget() {
    let cost = RunCost { usd: Some(0.4991), projected_usd: None, max_usd: Some(0.5), problem: None };
    let run_status = RunStatus {
        state: RunState::StoppedAtBudget,
        stopped: Some(STARTED + 60),
        error: Some("tagfleet.StoppedAtBudget".to_owned()),
        cause: Some("280 shards have no part".to_owned()),
        seconds_left: None,
        workers: vec![],
        cost: Some(cost),
        ..running()
    };
    insta::assert_snapshot!(text(&run_status, RESUME, STARTED + 9999), @r"
    run      20261123-170000-0a1b2c: stopped at budget after 1:00
    shards   120 of 400 done
    images   240,000 of 800,000 done, 12 failed
    speed    1250.0 images/s
    cost     $0.4991, of at most $0.5
    cause    280 shards have no part
    resume   tagfleet resume 20261123-170000-0a1b2c --max-usd N
    ");
}

#[test]
fn a_cost_that_is_not_known_is_said() {
    let problem = Some("no price of x1.large".to_owned());
    let cost = RunCost { usd: None, projected_usd: None, max_usd: None, problem };
    assert_eq!(of_cost(&cost), "not known: no price of x1.large");
}
