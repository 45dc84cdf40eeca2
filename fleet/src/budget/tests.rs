//! Budgets with round prices.

use super::*;
use crate::request::is_limit;

/// A dollar for a thousand GETs and for as many requests to KMS, ten cents for a minute of a machine, nothing
/// else.
fn price(usage: &Usage) -> Result<f64, String> {
    let of_infer = |operation| Some(usage.requests.get("infer")?.0.get(operation)?.calls);
    let calls = ["s3:GetObject", "kms:Decrypt"].map(|operation| of_infer(operation).unwrap_or(0));
    let mut usd = calls.iter().sum::<u64>() as f64 / 1000.0;
    for used in &usage.machines {
        if used.machine.instance_type.as_deref() == Some("unheard.of") {
            return Err("there is none of unheard.of".to_owned());
        }
        usd += used.seconds as f64 / 60.0 * 0.1;
    }
    // The reserve: half a dollar a group.
    let groups = usage.functions.get("reducer compact").map_or(0, |calls| calls.calls);
    Ok(usd + groups as f64 * 0.5)
}

fn machine(instance_type: &str) -> Machine {
    Machine { instance_type: Some(instance_type.to_owned()), ..Machine::default() }
}

fn run() -> RunId {
    RunId::try_from("r".to_owned()).unwrap()
}

fn work(images: u64) -> Work {
    Work { images, fewest: 256, all_images: 10_000, shards: 10, groups: 2 }
}

fn limit(max_usd: f64, of: LimitOf, machines: &[Machine]) -> Limit<'_> {
    Limit { limit: RunLimit { max_usd, of }, price: &price, machines, vcpus: 8 }
}

#[test]
fn the_owner_of_a_limit_decides_how_a_run_can_continue() {
    // 2026-12-01 00:00 UTC.
    let limits = [LimitOf::Request, LimitOf::Stack, LimitOf::Day { ends: 1_796_083_200 }];
    let mut said = Vec::new();
    for of in limits {
        said.push(limit(0.5, of, &[]).ended(&run(), &work(1), &Usage::default()).unwrap().cause);
    }
    insta::assert_snapshot!(said.join("\n"), @"
    $0.000000 of $0.5 is spent and $0.000000 is left for workers, but its workers stopped at their shares in every round; to continue: tagfleet resume r --max-usd N, with N above 0.5
    $0.000000 of $0.5 is spent and $0.000000 is left for workers, but its workers stopped at their shares in every round; the stack lets no run cost more (MaxUsdPerRun): to continue, deploy it with a higher one, then: tagfleet resume r
    $0.000000 of $0.5 is spent and $0.000000 is left for workers, but its workers stopped at their shares in every round; that is what was left of the day (the stack's MaxUsdPerDay): to continue, from 2026-12-01 00:00 UTC: tagfleet resume r
    ");
}

fn allowed(max_usd: f64, images: u64, workers: u32, spent: (&Usage, bool)) -> Allowed {
    let machines = [machine("c7a.2xlarge")];
    let limit = limit(max_usd, LimitOf::Request, &machines);
    limit.allows(&run(), &work(images), workers, spent.0, spent.1).unwrap()
}

#[test]
fn what_is_left_after_the_reserve_is_divided_equally() {
    // 12 - 1 for two groups = 11, for four workers.
    let nothing = Usage::default();
    assert_eq!(allowed(12.0, 10_000, 4, (&nothing, true)), Allowed::Workers(4, 2.75));
    // The next round divides the rest: 4 dollars of GETs are spent.
    let spent = of_fetches(4_000, 0.0);
    assert_eq!(allowed(12.0, 6_000, 2, (&spent, false)), Allowed::Workers(2, 3.5));
}

#[test]
fn images_still_to_be_fetched_ask_kms_as_often_as_those_that_were() {
    // For every other image: a worker needs a minute and a shard of 256 images at 1.5 for a thousand.
    let spent = of_fetches(2_000, 0.5);
    assert_eq!(spent.requests["infer"].0["kms:Decrypt"].calls, 1_000);
    let limit = 3.0 + 1.0 + 2.0 * (0.1 + 0.256 * 1.5);
    assert!(matches!(allowed(limit + 1e-9, 10_000, 9, (&spent, false)), Allowed::Workers(2, _)));
    assert!(matches!(allowed(limit - 1e-6, 10_000, 9, (&spent, false)), Allowed::Workers(1, _)));
}

#[test]
fn no_worker_starts_that_cannot_pay_for_a_shard() {
    // Each needs a minute, 0.10, and a shard, 0.256: 1.0 pays for two.
    let nothing = Usage::default();
    assert_eq!(allowed(2.0, 10_000, 40, (&nothing, false)), Allowed::Workers(2, 0.5));
}

#[test]
fn a_run_that_cannot_be_paid_does_not_start() {
    let Allowed::Nothing(problem) = allowed(10.5, 10_000, 4, (&Usage::default(), true)) else {
        panic!("it begins")
    };
    assert_eq!(problem.error, STOPPED_AT_BUDGET);
    assert_eq!(
        problem.cause,
        "$0.000000 of $10.5 is spent and $9.500000 is left for workers, but to fetch 10000 images costs $10.000000; \
         to continue: tagfleet resume r --max-usd N, with N above 10.5"
    );
    // In a later round this does not end the run: it does as much as it can pay for.
    assert!(matches!(allowed(10.5, 10_000, 4, (&Usage::default(), false)), Allowed::Workers(4, _)));
}

#[test]
fn a_run_that_has_spent_all_stops() {
    let spent = of_fetches(10_900, 0.0);
    let Allowed::Nothing(problem) = allowed(12.0, 300, 4, (&spent, false)) else { panic!("it goes on") };
    assert!(problem.cause.contains("a worker costs $0.356000 at least"), "{problem:?}");
}

#[test]
fn an_unknown_price_is_an_error_and_never_nothing() {
    let machines = [machine("c7a.2xlarge"), machine("unheard.of")];
    let limit = limit(5.0, LimitOf::Request, &machines);
    let error = limit.is_priced().unwrap_err().to_string();
    assert_eq!(
        error,
        "the request is wrong: max_usd: a limit needs every price, and there is none of unheard.of"
    );
}

#[test]
fn a_limit_is_an_amount_of_dollars() {
    assert!(is_limit(0.01) && is_limit(1e6));
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(!is_limit(wrong), "{wrong}");
    }
}

#[tokio::test]
async fn the_limit_given_last_counts() {
    let bucket = tagfleet_pipeline::bucket::memory::MemoryBucket::default();
    assert_eq!(limit_of(&bucket, &run(), Some(1.0)).await.unwrap(), Some(1.0));
    let higher = LimitOverride { version: LIMIT_VERSION, max_usd: 2.5 };
    let bytes = serde_json::to_vec(&higher).unwrap();
    bucket.put(&StackKeys::limit(&run()), bytes.into()).await.unwrap();
    assert_eq!(limit_of(&bucket, &run(), Some(1.0)).await.unwrap(), Some(2.5));
    assert_eq!(limit_of(&bucket, &run(), None).await.unwrap(), Some(2.5));
}
