//! Runs with a limit in dollars or a deadline.

use serde_json::json;

use super::super::budget::{Limit, LimitOf, RunLimit};
use super::super::rules::Rules;
use super::*;
use tagfleet_cost::usage::{FunctionUsage, Usage};

/// A cent for a GET of a worker, nothing else.
fn a_cent_a_picture(usage: &Usage) -> Result<f64, String> {
    let gets = |requests: &Requests| requests.0.get("s3:GetObject").map_or(0, |count| count.calls);
    Ok(usage.requests.get("infer").map_or(0, gets) as f64 / 100.0)
}

fn of_request(max_usd: f64) -> RunLimit {
    RunLimit { max_usd, of: LimitOf::Request }
}

fn limit(max_usd: f64) -> Limit<'static> {
    Limit { limit: of_request(max_usd), price: &a_cent_a_picture, machines: &[], vcpus: 8 }
}

#[tokio::test]
async fn a_run_that_costs_more_than_its_limit_is_stopped_before_a_worker_starts() {
    let world = World::new(600).await;
    world.ask(json!({"max_usd": 5.99, "workers": 3})).await;
    world.split().await;
    let fleet = world.fleet().await;
    assert_eq!(world.stack.limit(&fleet, &Rules::default()).await.unwrap(), Some(of_request(5.99)));
    let checked = world.check_with(CheckInput { limit: Some(limit(5.99)), ..ASKED }).await;
    assert!(!checked.again && checked.share_usd.is_empty(), "{checked:?}");
    let stopped = checked.stopped.unwrap();
    let finished = world.finish(checked.groups, Some(&stopped)).await;
    assert_eq!((finished.state, finished.images, finished.tagged), (State::StoppedAtBudget, 600, 0));
    assert!(!fleet.output.exists(&fleet.keys.success()).await.unwrap());
    let summary = read_summary(&fleet).await.unwrap();
    assert_eq!(summary.missing_shards.len(), 3, "{:?}", summary.missing_shards);
    let problem = summary.problem.unwrap();
    assert!(problem.contains("to continue: tagfleet resume nightly-1 --max-usd N"), "{problem}");
    let checked = world.check_with(CheckInput { resumed: true, limit: Some(limit(6.0)), ..ASKED }).await;
    assert_eq!((checked.again, checked.share_usd.as_str()), (true, "2"), "three workers: {checked:?}");
    world.infer().await;
    let checked = world.check(1, true, None).await;
    assert_eq!(world.finish(checked.groups, None).await.state, State::Complete);
}

#[tokio::test]
async fn unspent_shares_are_divided_again_until_the_rounds_are_over() {
    let world = World::new(600).await;
    world.ask(json!({"workers": 1})).await;
    world.split().await;
    let fleet = world.fleet().await;
    let mut requests = Requests::default();
    (0..400).for_each(|_| requests.count("s3:GetObject"));
    let worker = WorkerUsage { ended: Some(WorkerEnd::BudgetShareSpent), requests, ..usage_of_a_worker() };
    let record = UsageRecord::Worker(worker);
    usage::put(fleet.output.as_ref(), &fleet.keys, "worker-a", &record).await.unwrap();
    let asked = |round, max_usd| CheckInput { round, before: Some(3), limit: Some(limit(max_usd)), ..ASKED };
    let checked = world.check_with(asked(1, 7.0)).await;
    assert_eq!((checked.again, checked.share_usd.as_str()), (true, "3"), "{checked:?}");
    let spent = world.check_with(asked(1, 4.0)).await;
    assert!(!spent.again && spent.stopped.unwrap().is_budget());
    let over = world.check_with(asked(3, 7.0)).await;
    assert!(!over.again && over.stopped.unwrap().cause.contains("in every round"));
}

#[tokio::test]
async fn a_price_that_disappears_ends_a_started_run_and_keeps_its_rows() {
    let world = World::new(600).await;
    world.ask(json!({"max_usd": 100})).await;
    world.split().await;
    world.infer().await;
    let fleet = world.fleet().await;
    // One of three shards is to be done again.
    let part = fleet.keys.part(tagfleet_pipeline::shard::ShardId { range: 0, number: 1 });
    world.own.delete(&part);
    let unknown = |_: &Usage| Err("no price of EC2 x9z.large spot in us-east-1".to_owned());
    let limit = Limit { limit: of_request(100.0), price: &unknown, machines: &[], vcpus: 8 };
    let checked =
        world.check_with(CheckInput { round: 1, before: Some(3), limit: Some(limit), ..ASKED }).await;
    let stopped = checked.stopped.clone().unwrap();
    assert!(!checked.again && stopped.is_price_unknown(), "{checked:?}");
    let finished = world.finish(checked.groups, Some(&stopped)).await;
    assert_eq!((finished.state, finished.missing), (State::Incomplete, 1));
    let summary = read_summary(&fleet).await.unwrap();
    let problem = summary.problem.clone().unwrap();
    assert!(problem.contains("x9z.large") && problem.contains("tagfleet resume nightly-1"), "{problem}");
    assert!(summary.text().contains(&format!("problem  {problem}")), "{}", summary.text());
    // Before anything has started the same is a wrong request.
    assert_eq!(limit.is_priced().unwrap_err().error_type(), ErrorType::BadRequest);
}

#[tokio::test]
async fn a_deadline_decides_how_many_workers_there_are() {
    let world = World::new(600).await;
    world.ask(json!({"deadline": "10m"})).await;
    world.split().await;
    let fleet = world.fleet().await;
    let plan = UsageRecord::Function(FunctionUsage {
        version: USAGE_VERSION,
        function: "splitter".to_owned(),
        action: "plan".to_owned(),
        began: 1000,
        milliseconds: 10,
        memory_mb: 2048,
        requests: Requests::default(),
    });
    usage::put(fleet.output.as_ref(), &fleet.keys, "call-a", &plan).await.unwrap();
    let workers = async |now| world.check_with(CheckInput { now, vcpus: 1, ..ASKED }).await.workers;
    // 600 images at 5 a second: in 360 s after boot, in 60 s, and when it is late.
    assert_eq!((workers(1000).await, workers(1300).await, workers(1599).await), (1, 2, 3));
    world.ask(json!({"deadline": "5m"})).await;
    assert_eq!(
        world.stack.find(&world.run).await.err().map(|error| error.error_type()),
        Some(ErrorType::BadRequest)
    );
}
