//! Hand-made usages against bills computed by hand, and what holds for any usage.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::prices::{Confidence, Price};
use crate::testing::usage_of_a_worker;
use crate::usage::{
    CallUsage, Gpu, Machine, MachineTime, RequestCount, Requests, UsageRecord, WorkerEnd, WorkerUsage, sum,
};

/// Round figures, so that a bill can be computed by hand.
fn book() -> PriceBook {
    let prices = [
        ("S3", "PUT, COPY, POST, LIST", "1k requests", 0.005),
        ("S3", "GET and all other", "1k requests", 0.0004),
        ("SQS", "standard queues", "1M requests", 0.4),
        ("Lambda", "duration on arm64", "GB-s", 0.00001),
        ("Lambda", "requests", "1M requests", 0.2),
        ("Step Functions", "state transitions", "1k transitions", 0.025),
        ("SES", "mails", "1k mails", 0.1),
        ("KMS", "requests", "10k requests", 0.03),
        ("CloudWatch", "log ingestion", "GB", 0.5),
        ("EC2", "gp3 storage", "GB-months", 0.073),
        ("EC2", "public IPv4 address", "hours", 0.005),
        ("EC2", "c7a.4xlarge on-demand", "hours", 0.8),
        ("EC2", "g6.12xlarge on-demand", "hours", 4.0),
        ("EC2", "c7a.4xlarge spot us-east-1a", "hours", 0.3),
        ("EC2", "c7a.4xlarge spot us-east-1b", "hours", 0.4),
    ];
    let price = |(service, item, unit, usd): (&str, &str, &str, f64)| Price {
        region: "us-east-1".to_owned(),
        service: service.to_owned(),
        item: item.to_owned(),
        unit: unit.to_owned(),
        usd,
        low_usd: None,
        source: "a test".to_owned(),
        date: "2026-11-23".to_owned(),
        confidence: Confidence::A,
    };
    PriceBook::new("2026-11-23", prices.into_iter().map(price).collect()).unwrap()
}

fn extras() -> Extras {
    Extras { region: "us-east-1".to_owned(), ..Extras::default() }
}

fn machine(life_cycle: Option<&str>, time: MachineTime) -> MachineUsage {
    let machine = Machine {
        instance_type: Some("c7a.4xlarge".to_owned()),
        zone: Some("us-east-1a".to_owned()),
        life_cycle: life_cycle.map(str::to_owned),
    };
    MachineUsage { machine, time, ..MachineUsage::default() }
}

fn time(billed_ms: u64, worked_ms: u64, free_ms: u64) -> MachineTime {
    MachineTime { machines: 1, billed_ms, worked_ms, free_ms }
}

fn on_machines(machines: Vec<MachineUsage>) -> Usage {
    Usage { machines, ..Usage::default() }
}

fn sent(stage: &str, operation: &str, calls: u64, chunks: u64) -> Usage {
    let count = RequestCount { calls, chunks, ..RequestCount::default() };
    let requests = Requests(BTreeMap::from([(operation.to_owned(), count)]));
    Usage { requests: BTreeMap::from([(stage.to_owned(), requests)]), ..Usage::default() }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1e-9)
}

#[track_caller]
fn assert_costs(usage: &Usage, expected: f64) -> Cost {
    let cost = bill(usage, &extras(), &book()).unwrap();
    assert!(close(cost.total_usd, expected), "{} is not {expected}: {cost:#?}", cost.total_usd);
    cost
}

#[test]
fn requests_are_billed_by_operation() {
    // 1,000,000 GETs at $0.0004 for a thousand.
    assert_costs(&sent("infer", "s3:GetObject", 1_000_000, 0), 0.4);
    // 2,000 PUTs at $0.005 for a thousand.
    assert_costs(&sent("infer", "s3:PutObject", 2_000, 0), 0.01);
    assert_costs(&sent("split", "s3:ListBucket", 1_000, 0), 0.005);
    // Neither deletions nor calls that manage services cost anything.
    assert!(assert_costs(&sent("reduce", "s3:DeleteObject", 1_000_000, 0), 0.0).lines.is_empty());
    assert!(assert_costs(&sent("run", "states:StartExecution", 1_000_000, 0), 0.0).lines.is_empty());
}

#[test]
fn queues_are_billed_by_chunks_of_64_kib() {
    // 1,000 messages of 200 KiB are 4 chunks each: 4,000 at $0.40 for a million.
    assert_costs(&sent("split", "sqs:SendMessage", 1_000, 4_000), 0.0016);
    // A call is one chunk at least, even if none was counted.
    assert_costs(&sent("infer", "sqs:ReceiveMessage", 1_000_000, 0), 0.4);
}

#[test]
fn on_demand_hours_are_split_in_worked_and_idle() {
    // Two hours, of which workers had half: 1 x 0.8 + 1 x 0.8. The disk: 2 h x 50 GB / 730 h = 0.136986
    // GB-months at $0.073 are $0.01. The address: 2 h x $0.005 = $0.01.
    let cost =
        assert_costs(&on_machines(vec![machine(Some("on-demand"), time(7_200_000, 3_600_000, 0))]), 1.62);
    let items: Vec<&str> = cost.lines.iter().map(|line| line.item.as_str()).collect();
    assert_eq!(
        items,
        [
            "c7a.4xlarge on-demand us-east-1a",
            "c7a.4xlarge on-demand us-east-1a, idle",
            "disks",
            "public IPv4 addresses"
        ]
    );
    assert_eq!(cost.spot_saved_usd, 0.0);
}

#[test]
fn spot_hours_cost_what_their_zone_does_and_say_what_they_saved() {
    // 1 h at $0.3 in us-east-1a, $0.005 for the disk and as much for the address; on demand it were $0.8.
    let cost = assert_costs(&on_machines(vec![machine(Some("spot"), time(3_600_000, 3_600_000, 0))]), 0.31);
    assert!(close(cost.spot_saved_usd, 0.5), "{}", cost.spot_saved_usd);
    // A zone that the book does not know costs what the dearest does.
    let mut elsewhere = machine(Some("spot"), time(3_600_000, 3_600_000, 0));
    elsewhere.machine.zone = Some("us-east-1f".to_owned());
    assert_costs(&on_machines(vec![elsewhere]), 0.41);
}

#[test]
fn a_host_reclaimed_in_its_first_hour_costs_disk_and_address_only() {
    // Half an hour: 0.5 x $0.005 for each.
    let cost = assert_costs(&on_machines(vec![machine(Some("spot"), time(0, 0, 1_800_000))]), 0.005);
    assert!(cost.notes.iter().any(|note| note.contains("are free")), "{:?}", cost.notes);
    // What it would have cost on demand.
    assert!(close(cost.spot_saved_usd, 0.4), "{}", cost.spot_saved_usd);
}

#[test]
fn a_machine_with_four_gpus_and_two_workers_is_half_idle() {
    // For an hour each has one of 4 GPUs, and 4 of 48 vCPUs: 2 x 0.25 h at $4 are worked, 0.5 h at $4 are
    // idle, and the disk and the address are $0.005 each.
    let life_cycle = Some("on-demand".to_owned());
    let worker = WorkerUsage {
        machine: Machine { instance_type: Some("g6.12xlarge".to_owned()), zone: None, life_cycle },
        instance: Some("i-1".to_owned()),
        machine_vcpus: Some(48),
        launched: Some(3600),
        began: 3600,
        updated: 7200,
        ended: Some(WorkerEnd::QueueEmpty),
        vcpus: 4,
        gpu: Some(Gpu { name: "NVIDIA L4".to_owned(), count: 1 }),
        ..usage_of_a_worker()
    };
    let usage = sum([worker.clone(), worker].map(UsageRecord::Worker).to_vec());
    let cost = assert_costs(&usage, 4.01);
    let hours: Vec<_> = cost.lines.iter().map(|line| (line.item.as_str(), line.quantity)).collect();
    assert_eq!(hours[..2], [("g6.12xlarge on-demand", 0.5), ("g6.12xlarge on-demand, idle", 0.5)]);
    assert!(cost.notes.iter().any(|note| note.contains("whichever is larger")), "{:?}", cost.notes);
}

#[test]
fn machines_of_unknown_life_cycle_are_counted_on_demand() {
    let cost = assert_costs(&on_machines(vec![machine(None, time(3_600_000, 3_600_000, 0))]), 0.81);
    assert!(cost.notes.iter().any(|note| note.contains("unknown purchase type")), "{:?}", cost.notes);
}

#[test]
fn functions_are_billed_by_time_and_calls() {
    // 10 calls of 100 s with 2 GB: 2,000 GB-s at $0.00001, and 10 calls at $0.20 for a million.
    let calls = CallUsage { calls: 10, milliseconds: 1_000_000, mb_milliseconds: 1_000_000 * 2048 };
    let functions = BTreeMap::from([("splitter split".to_owned(), calls)]);
    let cost = assert_costs(&Usage { functions, ..Usage::default() }, 0.020_002);
    assert!(cost.lines.iter().all(|line| line.stage == "split"), "{:?}", cost.lines);
}

#[test]
fn usage_outside_the_stages_is_billed() {
    // 40 transitions at $0.025 for a thousand, 2 mails at $0.10 for a thousand, 1 MB of logs at $0.50 for a
    // GB.
    let extras = Extras { transitions: 40, mails: 2, log_bytes: 1_000_000, images: 500_000, ..extras() };
    let cost = bill(&Usage::default(), &extras, &book()).unwrap();
    assert!(close(cost.total_usd, 0.001 + 0.0002 + 0.0005), "{}", cost.total_usd);
    // Half a million images: a million costs twice as much.
    assert!(close(cost.usd_per_million.unwrap(), 0.0034), "{:?}", cost.usd_per_million);
}

#[test]
fn an_absent_price_leaves_no_bill() {
    let mut usage = on_machines(vec![machine(Some("spot"), time(3_600_000, 0, 0))]);
    usage.machines[0].machine.instance_type = Some("g6.xlarge".to_owned());
    let error = bill(&usage, &extras(), &book()).unwrap_err();
    assert!(error.to_string().starts_with("no price of EC2 g6.xlarge spot in us-east-1"), "{error}");
    usage.machines[0].machine.instance_type = None;
    let error = bill(&usage, &extras(), &book()).unwrap_err();
    assert!(error.to_string().contains("could not read their instance type"), "{error}");
    let elsewhere = Extras { region: "mars-1".to_owned(), ..extras() };
    let error = bill(&sent("infer", "s3:GetObject", 1, 0), &elsewhere, &book()).unwrap_err();
    assert!(error.to_string().contains("in mars-1"), "{error}");
}

#[test]
fn a_run_of_300_million_images_costs_what_the_plan_says() {
    // 300M GETs are $120; 30,000 parts are $0.15.
    let mut usage = sent("infer", "s3:GetObject", 300_000_000, 0);
    let parts = RequestCount { calls: 30_000, ..RequestCount::default() };
    usage.requests.get_mut("infer").unwrap().0.insert("s3:PutObject".to_owned(), parts);
    let cost = assert_costs(&usage, 120.15);
    insta::assert_snapshot!(cost.short());
    insta::assert_snapshot!(cost.table());
}

prop_compose! {
    fn any_machine()(
        spot in proptest::option::of(any::<bool>()),
        billed_ms in 0..1_000_000_000_u64,
        worked in 0.0..1.0_f64,
        free_ms in 0..10_000_000_u64,
    ) -> MachineUsage {
        let worked_ms = (billed_ms as f64 * worked) as u64;
        let life_cycle = spot.map(|spot| if spot { "spot" } else { "on-demand" });
        machine(life_cycle, time(billed_ms, worked_ms, free_ms))
    }
}

fn any_requests() -> impl Strategy<Value = BTreeMap<String, Requests>> {
    let stage = prop_oneof![Just("split"), Just("infer"), Just("reduce"), Just("other")];
    let operation = prop_oneof![
        Just("s3:GetObject"),
        Just("s3:PutObject"),
        Just("sqs:SendMessage"),
        Just("s3:DeleteObject"),
        Just("sts:GetCallerIdentity")
    ];
    let count = (0..1_000_000_000_u64, 0..1_000_000_000_u64).prop_map(|(calls, chunks)| RequestCount {
        calls,
        chunks,
        ..RequestCount::default()
    });
    let of_stage = proptest::collection::btree_map(operation.prop_map(str::to_owned), count, 0..5);
    proptest::collection::btree_map(stage.prop_map(str::to_owned), of_stage.prop_map(Requests), 0..4)
}

prop_compose! {
    fn any_usage()(
        machines in proptest::collection::vec(any_machine(), 0..4),
        requests in any_requests(),
        calls in 0..1_000_000_u64,
        milliseconds in 0..1_000_000_000_u64,
    ) -> Usage {
        let used = CallUsage { calls, milliseconds, mb_milliseconds: milliseconds * 3008 };
        let functions = BTreeMap::from([("reducer compact".to_owned(), used)]);
        Usage { machines, requests, functions, ..Usage::default() }
    }
}

proptest! {
    #[test]
    fn the_total_is_the_sum_of_the_lines(usage in any_usage(), images in 0..1_000_000_000_u64, transitions in 0..1_000_000_u64) {
        let extras = Extras { images, transitions, mails: 3, ..extras() };
        let cost = bill(&usage, &extras, &book()).unwrap();
        let mut sum = 0.0;
        for line in &cost.lines {
            prop_assert_eq!(line.usd, line.quantity * line.unit_price);
            prop_assert!(line.usd > 0.0 || line.quantity < 1e-9, "{:?}", line);
            sum += line.usd;
        }
        prop_assert_eq!(sum, cost.total_usd);
        prop_assert!(cost.total_usd >= 0.0);
        // The stored form keeps it to the bit.
        let stored: Cost = serde_json::from_str(&serde_json::to_string(&cost).unwrap()).unwrap();
        prop_assert_eq!(stored, cost);
    }

    #[test]
    fn more_use_never_costs_less(usage in any_usage(), more in any_machine(), calls in 1..1_000_000_u64) {
        let before = bill(&usage, &extras(), &book()).unwrap().total_usd;
        let mut after = usage.clone();
        after.machines.push(more);
        let gets = Requests(BTreeMap::from([("s3:GetObject".to_owned(), RequestCount { calls, ..RequestCount::default() })]));
        after.requests.entry("infer".to_owned()).or_default().add(&gets);
        let after = bill(&after, &extras(), &book()).unwrap().total_usd;
        prop_assert!(after >= before * (1.0 - 1e-12), "{after} < {before}");
    }
}

#[test]
fn requests_to_kms_are_a_line_of_their_own() {
    // 300 million images without a Bucket Key: $0.03 for 10,000.
    let cost = assert_costs(&sent("infer", "kms:Decrypt", 300_000_000, 300_000_000), 900.0);
    let line = &cost.lines[0];
    assert_eq!(
        (line.service.as_str(), line.item.as_str(), line.unit.as_str()),
        ("KMS", "Decrypt", "10k requests")
    );
    assert!(cost.notes.iter().any(|note| note.contains("no S3 Bucket Key")), "{:?}", cost.notes);
}
