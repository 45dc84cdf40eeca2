//! Plans of hand-made samples, against hand-computed figures.

use proptest::prelude::*;

use super::*;

fn machine(instance_type: &str, vcpus: u32, threads_per_core: u32) -> Machine {
    Machine {
        instance_type: instance_type.to_owned(),
        vcpus,
        threads_per_core,
        network_mbps: Some(2500),
        has: vec!["vnni".to_owned()],
        spot: (0.1, 0.2),
        on_demand: 0.4,
    }
}

fn way(engine: &str, cpu_ms: f64, agreement: Option<(u32, u32)>) -> EngineRate {
    EngineRate { engine: engine.to_owned(), flags: String::new(), cpu_ms, agreement, needs: None }
}

fn fixed() -> FixedCosts {
    let line = |service: &str, what: &str, usd| {
        let (service, what) = (service.to_owned(), what.to_owned());
        Fixed { service, what, usd }
    };
    FixedCosts {
        lines: vec![line("S3", "S3 GetObject (infer)", 1.2), line("Lambda", "Lambda calls (reduce)", 0.1)],
        requests: 3_000_434,
    }
}

fn question() -> Question {
    Question {
        images: 3_000_000,
        kept: 0,
        copies: 0.0,
        images_are: CountSource::Counted,
        mean_bytes: 100_000.0,
        prefixes: 1,
        deadline_seconds: None,
        region: "us-east-1".to_owned(),
        engine_rates: vec![
            way("onnxruntime 1.32.0 fp32", 10.0, None),
            way("openvino 2026.4.1 bf16", 6.0, Some((199, 200))),
        ],
        machines: vec![machine("c7a.2xlarge", 8, 1), machine("c7i.2xlarge", 8, 2)],
        fixed: fixed(),
        measured_on: None,
        gpus: vec![gpu("g6.xlarge", 4, (0.4, 0.6))],
        decode_ms: Some(2.0),
        ceiling: Ceiling { vcpus: 100_000, set_by: "nobody".to_owned() },
    }
}

#[test]
fn no_more_machines_are_planned_than_the_stack_may_hold() {
    let ceiling = |vcpus| Ceiling { vcpus, set_by: "the stack tagfleet".to_owned() };
    let asked =
        |vcpus| plan(Question { images: 300_000_000, prefixes: 100, ceiling: ceiling(vcpus), ..question() });
    let first =
        |plan: &Plan| plan.lines.iter().find(|line| line.instance_type == "c7a.2xlarge").cloned().unwrap();
    let (free, held) = (first(&asked(100_000)), first(&asked(256)));
    assert_eq!((free.instances, held.instances, held.limit), (100, 32, Bottleneck::MaxVcpus));
    // A plan that ignores the limit promises a third of the time.
    assert!(held.hours.low > free.hours.low * 2.9, "{held:?}");
    let plan = asked(256);
    assert!(
        plan.notes
            .iter()
            .any(|note| note.contains("at most 256 vCPUs at once, as the stack tagfleet has it"))
    );
    assert_eq!(first(&asked(4)).instances, 1, "Batch starts one machine even so");
}

fn gpu(instance_type: &str, vcpus: u32, spot: (f64, f64)) -> GpuMachine {
    GpuMachine {
        instance_type: instance_type.to_owned(),
        gpu: "NVIDIA L4".to_owned(),
        vcpus,
        threads_per_core: 2,
        network_mbps: Some(2500),
        spot,
        on_demand: 0.9,
    }
}

#[test]
fn a_gpu_has_only_bounds() {
    // Of 3,000,000 images: 10 ms on 8 cores of a machine are at most 3,125 images/s by its network.
    let asked = Question {
        prefixes: 100,
        gpus: vec![gpu("g6.xlarge", 4, (0.4, 0.6)), gpu("g6.24xlarge", 96, (0.4, 0.6))],
        ..question()
    };
    let plan = plan(asked);
    let [small, large] = plan.gpu_lines.as_slice() else { panic!("two lines") };
    // 4 vCPUs of 0.4 to 0.75 cores at 2 ms; 96 are bound by 2,500 Mbit/s at 100 kB.
    assert_eq!((small.decodes.low, small.decodes.high), (800.0, 1500.0));
    assert_eq!((large.decodes.low, large.decodes.high), (3125.0, 3125.0));
    // 3,000,000 / 1,500 * 1.08 / 3600 = 0.6 hours at $0.4, and 1.3 for the rest.
    assert!((small.spot_usd_at_least - 1.54).abs() < 1e-9, "{small:?}");
    assert!((small.on_demand_usd_at_least - 1.84).abs() < 1e-9, "{small:?}");
    // As dear as the recommended machines at R images/s: 3,000,000 * 1.08 / 3600 / R * $0.4.
    let of_machines = plan.estimate.unwrap().machines_usd.high;
    assert!((small.pays_from.unwrap() - 360.0 / of_machines).abs() < 1e-6, "{small:?}");
    assert!(small.infers.is_none());
    // If it cannot pay off, its lowest cost is above the highest cost of the recommendation.
    for line in &plan.gpu_lines {
        assert_eq!(line.may_pay(), line.spot_usd_at_least < of_machines + 1.3, "{line:?}");
    }
}

#[test]
fn more_prefixes_are_more_requests() {
    let rate = |prefixes| {
        let plan = plan(Question { prefixes, images: 3_000_000_000, ..question() });
        plan.lines.iter().map(|line| line.images_per_second.high).fold(0.0, f64::max)
    };
    assert_eq!((rate(0), rate(1), rate(3)), (5500.0, 5500.0, 16_500.0));
}

#[test]
fn in_words() {
    insta::assert_snapshot!(plan(question()).text());
}

#[test]
fn a_line_is_what_one_computes_by_hand() {
    let question = Question { measured_on: Some("c7a.2xlarge".to_owned()), ..question() };
    let plan = plan(question);
    let line = plan.lines.iter().find(|line| line.engine.contains("fp32") && !line.is_scaled).unwrap();
    // 3,000,000 / 50,000 = 60 workers of 8 vCPUs would be one per machine; but 8 * 0.95 * 1000 / 10 = 760
    // images/s each at least, so that 8 of them do S3's 5,500 for one prefix.
    assert_eq!(line.instances, 8);
    assert_eq!((line.images_per_second.low, line.limit), (5500.0, Bottleneck::S3Requests));
    // (3,000,000 / 5,500 * 1.08 + 240) / 3600 = 0.23030 hours; times 8 machines and 0.2 dollars, and 1.3 for
    // the rest.
    assert!((line.hours.high - 0.230_30).abs() < 1e-4, "{line:?}");
    assert!((line.spot_usd.high - (1.3 + 0.230_30 * 8.0 * 0.2)).abs() < 1e-2, "{line:?}");
}

#[test]
fn the_estimate_is_the_recommended_line_and_its_parts_add_up() {
    let plan = plan(question());
    let (line, estimate) = (&plan.lines[plan.recommended.unwrap()], plan.estimate.clone().unwrap());
    assert_eq!((estimate.usd, estimate.instance_hours), (line.spot_usd, line.instance_hours));
    assert_eq!((estimate.requests, estimate.requests_usd, estimate.rest_usd), (3_000_434, 1.2, 0.1));
    for (all, machines) in
        [(estimate.usd.low, estimate.machines_usd.low), (estimate.usd.high, estimate.machines_usd.high)]
    {
        assert!((machines + 1.3 - all).abs() < 1e-9, "{estimate:?}");
    }
    // 3,000,000 / 5,500 * 1.08 / 3600 hours: without the boot.
    assert!((estimate.tagging_hours.high - 0.163_636).abs() < 1e-5, "{estimate:?}");
    assert_eq!(estimate.problem(), None);
    let stored = serde_json::to_string(&estimate).unwrap();
    assert_eq!(serde_json::from_str::<Estimate>(&stored).unwrap(), estimate);
}

#[test]
fn an_absent_estimate_has_a_reason() {
    let estimate = plan(question()).estimate.unwrap();
    let upside_down = Range { low: 2.0, high: 1.0 };
    for (wrong, why) in [
        (Estimate { version: 7, ..estimate.clone() }, "version 7: this tagfleet reads 1"),
        (
            Estimate { usd: upside_down, ..estimate.clone() },
            "usd: give two figures above 0, the lower one first",
        ),
        (Estimate { images: 0, ..estimate.clone() }, "it has a figure that no plan can have"),
        (Estimate { spot_share: 1.5, ..estimate }, "it has a figure that no plan can have"),
    ] {
        assert_eq!(wrong.problem().as_deref(), Some(why));
    }
}

#[test]
fn a_deadline_decides_how_many_machines() {
    let deadline = |seconds| {
        let plan = plan(Question { deadline_seconds: Some(seconds), prefixes: 100, ..question() });
        let line = plan
            .lines
            .iter()
            .find(|line| line.instance_type == "c7a.2xlarge" && line.engine.contains("fp32"));
        let line = line.unwrap().clone();
        (line.instances, line.keeps_deadline)
    };
    // 8 * 0.7 * 1000 / 10 = 560 images/s; 3,000,000 * 1.08 / 560 = 5786 s of one machine.
    assert_eq!(deadline(6100), (1, true));
    assert_eq!(deadline(3600), (2, true));
}

#[test]
fn an_engine_that_disagrees_or_cannot_run_is_not_recommended() {
    let mut asked = question();
    asked.engine_rates[1].agreement = Some((190, 200));
    let unlike = plan(asked.clone());
    assert!(unlike.recommendation.contains("fp32"), "{}", unlike.recommendation);
    asked.engine_rates[1].needs = Some("amx_bf16".to_owned());
    assert!(plan(asked).lines.iter().all(|line| line.engine.contains("fp32")));
    let none = plan(Question { machines: vec![], ..question() });
    assert!(none.recommended.is_none() && none.recommendation.contains("refresh"));
}

proptest! {
    #[test]
    fn more_images_never_cost_less(images in 1_u64..1_000_000_000, more in 1_u64..1_000_000_000) {
        let cost = |images| {
            let plan = plan(Question { images, fixed: FixedCosts::default(), prefixes: 1000, ..question() });
            plan.lines.iter().find(|line| line.instance_type == "c7a.2xlarge" && line.engine.contains("fp32")).unwrap().instance_hours
        };
        let (less, more) = (cost(images), cost(images.saturating_add(more)));
        prop_assert!(less.low <= less.high && less.high <= more.high * 1.000_001);
    }
}
