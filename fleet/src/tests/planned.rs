//! A run that was planned: its bill has the plan next to it.

use super::*;

fn plan() -> Value {
    let range = |low: f64, high: f64| json!({"low": low, "high": high});
    json!({
        "version": 1, "images": 10, "engine": "length 1 fp32", "instance_type": "c7a.2xlarge", "instances": 1,
        "spot_share": 1.0, "images_per_second": range(1.0, 2.0), "tagging_hours": range(0.1, 0.2),
        "instance_hours": range(0.1, 0.2), "usd": range(0.01, 0.02), "machines_usd": range(0.009, 0.019),
        "requests": 12, "requests_usd": 0.0005, "rest_usd": 0.0005
    })
}

#[tokio::test]
async fn a_bill_has_the_plan_and_the_causes_of_the_difference() {
    let world = World::new(20).await;
    world.ask(json!({"plan": plan()})).await;
    world.split().await;
    world.infer().await;
    let checked = world.check(1, false, None).await;
    world.finish(checked.groups, None).await;
    let fleet = world.fleet().await;
    let cost = read_summary(&fleet).await.unwrap().cost.unwrap();
    let stored: tagfleet_cost::Cost =
        tagfleet_pipeline::record::read(fleet.output.as_ref(), &fleet.keys.cost()).await.unwrap();
    assert_eq!(stored, cost);
    let beside = cost.plan.unwrap();
    assert_eq!((beside.planned.images, beside.actual.images, beside.actual.not_done), (10, 20, 0));
    let sum: f64 = beside.causes.iter().map(|cause| cause.usd).sum();
    assert!(beside.difference_usd < 0.0 && (sum - beside.difference_usd).abs() < 1e-12, "{beside:#?}");
    let page = fleet.output.get(&fleet.keys.report(), None, 1 << 20).await.unwrap();
    assert!(String::from_utf8_lossy(&page.bytes).contains("<caption>Plan and actual</caption>"));
}

#[tokio::test]
async fn a_run_without_a_plan_reports_none() {
    let world = World::new(2).await;
    world.ask(json!({})).await;
    world.split().await;
    world.infer().await;
    let checked = world.check(1, false, None).await;
    world.finish(checked.groups, None).await;
    let fleet = world.fleet().await;
    let summary = read_summary(&fleet).await.unwrap();
    assert!(summary.cost.is_some() && !summary.text().contains("planned"), "{}", summary.text());
    let page = fleet.output.get(&fleet.keys.report(), None, 1 << 20).await.unwrap();
    assert!(!String::from_utf8_lossy(&page.bytes).contains("Plan and actual"));
}
