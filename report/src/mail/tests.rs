//! Mails as people read them.

use super::*;
use crate::samples::Highlights;
use crate::tests::summary;
use tagfleet_cost::usage::{CallUsage, Machine, MachineTime, MachineUsage, Usage};
use tagfleet_cost::{COST_VERSION, Cost, CostLine};
use tagfleet_pipeline::tags::Tag;

fn around() -> Surroundings {
    let tag = Tag { label: "pug <b>".to_owned(), index: 0, score: 0.9 };
    let picture =
        Picture { key: "a.jpg".to_owned(), width: 4, height: 3, tags: vec![tag], jpeg: "/9g=".to_owned() };
    let link = Some(
        "https://eu-west-1.console.aws.amazon.com/s3/object/shop?region=eu-west-1&prefix=tags%2Fr".to_owned(),
    );
    let highlights = Highlights { pictures: vec![picture.clone(), Picture { tags: vec![], ..picture }] };
    Surroundings { link, highlights, ..Surroundings::of_stack("tagfleet", "eu-west-1", Some("my profile")) }
}

fn fleet() -> Summary {
    let machine = Machine {
        instance_type: Some("g6.xlarge".to_owned()),
        zone: Some("us-east-1a".to_owned()),
        life_cycle: Some("spot".to_owned()),
    };
    let time = MachineTime { machines: 2, billed_ms: 5_400_000, worked_ms: 5_000_000, free_ms: 0 };
    let used = MachineUsage {
        machine,
        workers: 2,
        seconds: 5400,
        vcpu_seconds: 21_600,
        vcpus: 8,
        images: 1000,
        time,
        gpu: None,
    };
    let calls = CallUsage { calls: 3, milliseconds: 2000, mb_milliseconds: 2000 * 2048 };
    let functions = [("splitter split".to_owned(), calls)].into();
    let usage = Usage { machines: vec![used], functions, infer_seconds: 2700, ..Usage::default() };
    Summary { usage: Some(usage), model: "<b>net</b>".to_owned(), ..summary() }
}

#[test]
fn complete() {
    let mail = Mail::of_summary(&fleet(), &around());
    insta::assert_snapshot!(format!("{}\n\n{}\n{}", mail.subject, mail.text, mail.html));
}

#[test]
fn what_it_cost() {
    let line = |item: &str, quantity: f64, unit_price: f64| CostLine {
        stage: "infer".to_owned(),
        service: "EC2".to_owned(),
        item: item.to_owned(),
        quantity,
        unit: "hours".to_owned(),
        unit_price,
        usd: quantity * unit_price,
    };
    let cost = Cost {
        version: COST_VERSION,
        region: "us-east-1".to_owned(),
        prices_of: "2026-11-23".to_owned(),
        lines: vec![line("g6.xlarge spot <us-east-1a>", 2.0, 0.5), line("disks", 0.25, 0.08)],
        total_usd: 1.02,
        usd_per_million: Some(1020.0),
        spot_saved_usd: 0.6,
        notes: vec!["list prices".to_owned()],
        plan: Some(tagfleet_cost::testing::variance::a_dear_run()),
    };
    let mail = Mail::of_summary(&Summary { cost: Some(cost), ..fleet() }, &around());
    assert!(!mail.html.contains("<us-east-1a>"));
    insta::assert_snapshot!(format!("{}\n\n{}\n{}", mail.subject, mail.text, mail.html));
}

#[test]
fn incomplete() {
    let problem = Some("tagfleet: no capacity for 30 minutes".to_owned());
    let missing_shards = (0..30).map(|number| format!("00000-{number:07}")).collect();
    let summary = Summary { state: State::Incomplete, rows: 0, missing_shards, problem, ..fleet() };
    insta::assert_snapshot!(Mail::of_summary(&summary, &around()).text);
}

#[test]
fn failed() {
    let run = RunId::try_from("nightly-0a1b2c".to_owned()).unwrap();
    let cause =
        r#"{"errorType":"BadRequest","errorMessage":"the request is wrong: input: <script>\nalert(1)"}"#;
    let failure =
        |error: &str| Failure { state: "Plan".to_owned(), error: error.to_owned(), cause: cause.to_owned() };
    let mail = Mail::of_failure(&run, &failure("BadRequest"), &around());
    insta::assert_snapshot!(format!("{}\n\n{}\n{}", mail.subject, mail.text, mail.html));
    let broken = Mail::of_failure(&run, &failure("Broken"), &around());
    assert!(
        broken.text.contains("tagfleet resume nightly-0a1b2c --stack tagfleet --region eu-west-1"),
        "{}",
        broken.text
    );
}

#[test]
fn a_mail_without_a_link_or_pictures_has_none() {
    let mail = Mail::of_summary(&fleet(), &Surroundings::of_stack("tagfleet", "eu-west-1", None));
    assert!(!mail.html.contains("<a ") && !mail.html.contains("<img") && mail.pictures.is_empty());
    assert!(!mail.text.contains("https://"), "{}", mail.text);
    assert!(mail.text.contains("--open --stack tagfleet --region eu-west-1\n"), "{}", mail.text);
}

/// A reader on a phone sees what matters in the first lines, and no internal term that needs an explanation.
#[test]
fn the_first_lines_have_the_result() {
    let mail = Mail::of_summary(&fleet(), &around());
    let first: Vec<&str> = mail.text.lines().take(2).collect();
    assert_eq!(first, ["Complete: 1,000 images, 10 failed (1.0\u{a0}%)", "4.0 s"]);
    for term in ["shard", "second decoder", "lambda", "GB-s", "vCPU"] {
        assert!(!mail.text.contains(term) && !mail.html.contains(term), "{term}: {}", mail.text);
    }
}
