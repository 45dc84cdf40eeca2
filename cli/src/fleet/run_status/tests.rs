//! A snapshot of a run, and its status.

use tagfleet_cost::usage::WorkerEnd;

use super::*;

fn execution(status: &str, error: Option<&str>) -> Option<Execution> {
    Some(Execution {
        arn: "arn".to_owned(),
        name: "r".to_owned(),
        status: status.to_owned(),
        started: 1000,
        stopped: None,
        input: None,
        error: error.map(str::to_owned),
        cause: None,
    })
}

fn split(shard_images: &[u32]) -> RangeSplit {
    RangeSplit {
        version: 1,
        shards: u32::try_from(shard_images.len()).unwrap(),
        images: shard_images.iter().map(|images| u64::from(*images)).sum(),
        shard_images: shard_images.to_vec(),
        ..RangeSplit::default()
    }
}

fn worker(began: u64, ended: bool) -> WorkerUsage {
    WorkerUsage {
        version: 1,
        machine: Machine { instance_type: Some("c7a.2xlarge".to_owned()), ..Machine::default() },
        began,
        updated: began + 100,
        ended: ended.then_some(WorkerEnd::QueueEmpty),
        vcpus: 8,
        tagged: 190,
        failed: 10,
        ..WorkerUsage::default()
    }
}

/// Two ranges are split, two of three shards are done.
fn running() -> Snapshot {
    let part = |range, number| ShardId { range, number };
    Snapshot {
        execution: execution("RUNNING", None),
        is_planned: true,
        splits: Some(vec![split(&[256, 100]), split(&[244])]),
        parts: BTreeSet::from([part(0, 0), part(1, 0)]),
        workers: vec![worker(10, true), worker(1000, false), worker(1020, true)],
        ..Snapshot::default()
    }
}

fn stands(snapshot: &Snapshot) -> RunStatus {
    RunStatus::new(&RunId::try_from("r".to_owned()).unwrap(), snapshot)
}

#[test]
fn a_running_run_is_counted_by_its_parts() {
    let run_status = stands(&running());
    assert_eq!(run_status.state, RunState::Running);
    assert_eq!(run_status.shards, Some(Completion { done: 2, all: 3 }));
    assert_eq!(run_status.images, Some(Completion { done: 500, all: 600 }));
    assert_eq!(run_status.failed, 30);
}

#[test]
fn speed_is_that_of_this_executions_workers() {
    let run_status = stands(&running());
    // 400 images from 1000 to 1120; the worker that started at 10 was another execution's.
    assert_eq!(run_status.images_per_second, Some(400.0 / 120.0));
    assert_eq!(run_status.seconds_left, Some(30));
    assert_eq!((run_status.workers[0].running, run_status.workers[0].ended), (1, 1));
}

#[test]
fn what_is_done_so_far_tells_what_all_will_cost() {
    let cost = stands(&Snapshot { spent: Some(Ok(1.0)), max_usd: Some(2.0), ..running() }).cost.unwrap();
    // 500 of 600 images for a dollar.
    assert_eq!((cost.usd, cost.projected_usd, cost.max_usd), (Some(1.0), Some(600.0 / 500.0), Some(2.0)));
    let unknown = stands(&Snapshot { spent: Some(Err("no price".to_owned())), ..running() }).cost.unwrap();
    assert_eq!((unknown.usd, unknown.problem.as_deref()), (None, Some("no price")));
    assert_eq!(stands(&running()).cost, None, "nothing was read yet");
}

#[test]
fn states_of_a_running_execution() {
    let all = BTreeSet::from_iter((0..3).map(|number| ShardId { range: 0, number }));
    assert_eq!(stands(&Snapshot { is_planned: false, splits: None, ..running() }).state, RunState::Planning);
    assert_eq!(stands(&Snapshot { splits: None, ..running() }).state, RunState::Splitting);
    assert_eq!(stands(&Snapshot { parts: all, ..running() }).state, RunState::Reducing);
}

#[test]
fn states_of_an_execution_that_has_ended() {
    let ended = |status, error| stands(&Snapshot { execution: execution(status, error), ..running() }).state;
    assert_eq!(ended("SUCCEEDED", None), RunState::Complete);
    assert_eq!(ended("ABORTED", Some("Cancelled")), RunState::Cancelled);
    assert_eq!(ended("TIMED_OUT", None), RunState::Failed);
    assert_eq!(ended("FAILED", Some("BadRequest")), RunState::Failed);
    assert_eq!(ended("FAILED", Some("tagfleet.Incomplete")), RunState::Incomplete);
    assert_eq!(ended("FAILED", Some("tagfleet.StoppedAtBudget")), RunState::StoppedAtBudget);
    assert_eq!(ended("FAILED", Some("tagfleet.PriceUnknown")), RunState::PriceUnknown);
    assert_eq!(stands(&Snapshot { execution: None, ..running() }).state, RunState::Stopped);
    let starting = Snapshot { execution: None, is_starting: true, ..running() };
    assert_eq!(stands(&starting).state, RunState::Planning);
}
