//! Executions of one day, over a bucket in memory and with a dollar for each GET.

use std::cell::Cell;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::rules::Rules;
use tagfleet_cost::usage::{FunctionUsage, RequestCount, Requests, USAGE_VERSION, UsageRecord};
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::run::StackKeys;

/// 2026-11-30 12:00 UTC.
const NOON: u64 = 1_796_040_000;

struct World {
    bucket: MemoryBucket,
    stack: Stack,
    pricing: Pricing,
}

impl World {
    async fn new() -> Self {
        let bucket = MemoryBucket::default();
        let book = json!({"version": 1, "date": "2026-11-01", "prices": [{
            "region": "us-east-1", "service": "S3", "item": "GET and all other", "unit": "1k requests", "usd": 1000.0,
            "source": "test", "date": "2026-11-01", "confidence": "A",
        }]});
        bucket.put(StackKeys::PRICES, book.to_string().into()).await.unwrap();
        let pricing = Pricing::load(&bucket, "us-east-1").await.unwrap();
        let opened: Arc<dyn Bucket> = Arc::new(bucket.clone());
        let own = opened.clone();
        let stack = Stack { bucket: own, name: "stack".to_owned(), open: Arc::new(move |_| opened.clone()) };
        Self { bucket, stack, pricing }
    }

    async fn fleet(&self, name: &str) -> FleetRun {
        let run = RunId::try_from(name.to_owned()).unwrap();
        let request = br#"{"version": 1, "input": ["s3://shop/a/"], "model": "s3://stack/models/m/"}"#;
        self.bucket.put(&StackKeys::run(&run), request.to_vec().into()).await.unwrap();
        self.stack.find(&run).await.unwrap()
    }

    /// From now on the run has spent this many dollars.
    async fn spend(&self, name: &str, dollars: u64) {
        let fleet = self.fleet(name).await;
        let count = RequestCount { calls: dollars, chunks: dollars, ..RequestCount::default() };
        let record = UsageRecord::Function(FunctionUsage {
            version: USAGE_VERSION,
            function: "reducer".to_owned(),
            action: "other".to_owned(),
            began: 1,
            milliseconds: 0,
            memory_mb: 1,
            requests: Requests([("s3:GetObject".to_owned(), count)].into()),
        });
        usage::put(fleet.output.as_ref(), &fleet.keys, "call-a", &record).await.unwrap();
    }

    fn day(&self, now: u64) -> Day<'_> {
        Day { stack: &self.stack, pricing: &self.pricing, max_usd: 20.0, now }
    }

    /// Reserves for an execution that has its run's name; `ended` lists the others that have ended.
    async fn starts(&self, name: &str, asked: Option<f64>, ended: &[(&str, u64)]) -> Result<f64, String> {
        self.starts_at(NOON, name, asked, ended).await
    }

    /// The answer is what the run may cost.
    async fn starts_at(
        &self,
        now: u64,
        name: &str,
        asked: Option<f64>,
        ended: &[(&str, u64)],
    ) -> Result<f64, String> {
        let fleet = self.fleet(name.split('@').next().unwrap()).await;
        let own = asked.map(|max_usd| RunLimit { max_usd, of: LimitOf::Request });
        let starting = Starting { fleet: &fleet, execution: name, own };
        let standing = async |execution: &str| {
            let known = ended.iter().find(|(name, _)| *name == execution);
            Ok::<_, FleetError>(known.map_or(Standing::Running, |(_, at)| Standing::Ended(*at)))
        };
        self.day(now).reserve(starting, standing).await.map_err(|error| error.to_string())?;
        let share = share(&self.bucket, &fleet.run).await.unwrap();
        Ok(share.or(own).unwrap().max_usd)
    }
}

/// To the cent: prices of functions and the like are in what is spent.
fn cents(usd: f64) -> i64 {
    (usd * 100.0).round() as i64
}

#[tokio::test]
async fn a_third_run_of_a_day_learns_when_it_can_start() {
    let world = World::new().await;
    assert_eq!(world.starts("a", Some(15.0), &[]).await, Ok(15.0));
    assert_eq!(world.starts("b", Some(15.0), &[]).await, Ok(5.0));
    let refused = world.starts("c", Some(1.0), &[]).await.unwrap_err();
    insta::assert_snapshot!(refused, @"nothing is left of the day: the runs of 2026-11-30 may cost $20 together (the stack's MaxUsdPerDay), of which $0.0000 is spent and $20.0000 is reserved by runs that have not ended (a, b): it can start from 2026-12-01 00:00 UTC, or once these have ended and left some of it");
    // A run that has ended leaves what it did not spend.
    world.spend("a", 3).await;
    assert_eq!(cents(world.starts("c", None, &[("a", NOON)]).await.unwrap()), 1200);
    world.spend("c", 12).await;
    let spent = world.starts("d", Some(1.0), &[("a", NOON), ("b", NOON), ("c", NOON)]).await;
    assert_eq!(spent, Ok(1.0), "b spent nothing");
    world.spend("b", 5).await;
    let refused = world.starts("e", None, &[("a", NOON), ("b", NOON), ("c", NOON), ("d", NOON)]).await;
    assert!(refused.is_err_and(|said| said.contains("$20.00") && !said.contains("reserved")));
}

#[tokio::test]
async fn the_limit_of_the_day_applies_if_it_is_the_lowest() {
    let world = World::new().await;
    let rules = Rules { max_usd_per_day: Some(20.0), ..Rules::default() };
    let limit = async |name: &str| {
        let fleet = world.fleet(name).await;
        world.stack.limit(&fleet, &rules).await.unwrap()
    };
    world.starts("a", Some(15.0), &[]).await.unwrap();
    assert_eq!(limit("a").await, None, "its request names none in this test, and the day leaves all of it");
    world.starts("b", None, &[]).await.unwrap();
    assert_eq!(limit("b").await, Some(RunLimit { max_usd: 5.0, of: LimitOf::Day { ends: NOON + 43_200 } }));
    assert_eq!(world.stack.limit(&world.fleet("b").await, &Rules::default()).await.unwrap(), None);
}

#[tokio::test]
async fn a_second_try_of_an_execution_reserves_nothing_more() {
    let world = World::new().await;
    for _ in 0..3 {
        assert_eq!(world.starts("a", Some(15.0), &[]).await, Ok(15.0));
    }
    assert_eq!(world.starts("b", None, &[]).await, Ok(5.0));
    assert_eq!(world.starts("b", None, &[]).await, Ok(5.0));
    // The share may be missing if the first try died in between.
    world.bucket.delete("days/runs/b.json");
    assert_eq!(world.starts("b", None, &[]).await, Ok(5.0));
}

#[tokio::test]
async fn a_resumed_run_counts_once() {
    let world = World::new().await;
    assert_eq!(world.starts("a", Some(10.0), &[]).await, Ok(10.0));
    world.spend("a", 4).await;
    let twice = world.starts("a@2", Some(18.0), &[]).await.unwrap_err();
    assert!(twice.contains("run a is running already, as the execution a:"), "{twice}");
    assert_eq!(world.starts("a@2", Some(18.0), &[("a", NOON)]).await, Ok(18.0));
    // 4 spent, 14 reserved.
    assert_eq!(cents(world.starts("b", None, &[]).await.unwrap()), 200);
    world.spend("a", 6).await;
    assert_eq!(cents(world.starts("c", None, &[("a@2", NOON)]).await.unwrap()), 1200);
}

#[tokio::test]
async fn a_day_ends_at_midnight_utc() {
    let world = World::new().await;
    world.starts("a", None, &[]).await.unwrap();
    assert!(world.starts_at(NOON + 43_199, "b", None, &[]).await.is_err());
    assert_eq!(world.starts_at(NOON + 43_200, "b", None, &[]).await, Ok(20.0));
}

#[tokio::test]
async fn what_an_execution_spent_is_final_a_quarter_of_an_hour_after_its_end() {
    let world = World::new().await;
    world.starts("a", Some(19.0), &[]).await.unwrap();
    world.spend("a", 1).await;
    world.starts("b", Some(1.0), &[("a", NOON - 899)]).await.unwrap();
    assert!(!world.bucket.exists("days/2026-11-30/000000.spent.json").await.unwrap());
    // Its workers continued to record.
    world.spend("a", 2).await;
    world.starts("c", Some(1.0), &[("a", NOON - 900)]).await.unwrap();
    assert!(world.bucket.exists("days/2026-11-30/000000.spent.json").await.unwrap());
    world.spend("a", 19).await;
    assert_eq!(cents(world.starts("d", None, &[]).await.unwrap()), 1600, "20 - 2 - 1 - 1");
}

/// Between what the first one reads and what it writes, the second one comes and goes.
#[tokio::test]
async fn two_runs_that_start_at_once_never_reserve_the_same_dollars() {
    let world = World::new().await;
    world.starts("running", Some(5.0), &[]).await.unwrap();
    let (first, came) = (world.fleet("first").await, Cell::new(false));
    let standing = async |_: &str| {
        if !came.replace(true) {
            assert_eq!(world.starts("second", Some(10.0), &[]).await, Ok(10.0));
        }
        Ok::<_, FleetError>(Standing::Running)
    };
    let starting = Starting { fleet: &first, execution: "first", own: None };
    world.day(NOON).reserve(starting, standing).await.unwrap();
    let share = share(&world.bucket, &first.run).await.unwrap().unwrap();
    assert_eq!(share.max_usd, 5.0);
}

#[tokio::test]
async fn foreign_objects_of_a_day_are_not_read() {
    let world = World::new().await;
    for name in ["note.txt", "x.json", "1/2.json", "-1.json", ".spent.json", "99999999999.json"] {
        world.bucket.put(&format!("days/2026-11-30/{name}"), "{".into()).await.unwrap();
    }
    assert_eq!(world.starts("a", None, &[]).await, Ok(20.0));
}

#[test]
fn a_day_never_costs_more_whatever_runs_ask_for_and_spend() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let run = (prop::option::of(0..40_u32), 0..100_u64, any::<bool>());
    proptest!(ProptestConfig::with_cases(40), |(runs in prop::collection::vec(run, 1..8))| {
        runtime.block_on(async {
            let world = World::new().await;
            let (mut ended, mut spent) = (Vec::new(), 0.0);
            let names: Vec<String> = (0..runs.len()).map(|number| format!("r{number}")).collect();
            let mut reserved = 0.0;
            for (name, (asked, part, has_ended)) in names.iter().zip(runs) {
                let Ok(limit) = world.starts(name, asked.map(f64::from), &ended).await else { continue };
                let used = (limit * part as f64 / 100.0).floor();
                world.spend(name, used as u64).await;
                if has_ended {
                    ended.push((name.as_str(), NOON));
                    spent += used;
                } else {
                    reserved += limit;
                }
                prop_assert!(spent + reserved <= 20.0 + 1e-6, "{spent} and {reserved}");
            }
            Ok(())
        })?;
    });
}
