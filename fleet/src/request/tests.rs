//! Requests that are wrong in each way, and the smallest that is right.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const STACK: &str = "tagfleet-data";

fn small() -> Value {
    json!({"version": 1, "input": ["s3://shop/photos/"], "model": "s3://tagfleet-data/models/m-0a1b2c3d4e5f/"})
}

fn with(field: &str, value: Value) -> Value {
    let mut request = small();
    request[field] = value;
    request
}

fn parse(request: &Value) -> Result<ValidRequest, InvalidRequest> {
    ValidRequest::parse(&serde_json::to_vec(request).unwrap(), STACK)
}

#[test]
fn the_smallest_request() {
    let valid = parse(&small()).unwrap();
    assert_eq!(
        (valid.source.as_str(), valid.prefixes.as_slice()),
        ("shop", ["photos/".to_owned()].as_slice())
    );
    assert_eq!(valid.output.to_string(), "s3://tagfleet-data/tags/");
    assert_eq!(valid.request.device, Device::Cpu);
}

/// A plan of no images.
fn without_images() -> Value {
    let range = json!({"low": 1.0, "high": 2.0});
    json!({
        "version": 1, "images": 0, "engine": "e", "instance_type": "t", "instances": 1, "spot_share": 1.0,
        "images_per_second": range, "tagging_hours": range, "instance_hours": range, "usd": range,
        "machines_usd": range, "requests": 1, "requests_usd": 0.1, "rest_usd": 0.1
    })
}

#[test]
fn a_plan_is_kept() {
    let mut plan = without_images();
    plan["images"] = json!(7);
    let valid = parse(&with("plan", plan)).unwrap();
    assert_eq!(valid.request.plan.map(|plan| plan.images), Some(7));
}

#[test]
fn prefixes_are_sorted() {
    let valid = parse(&with("input", json!(["s3://shop/b", "s3://shop/a"]))).unwrap();
    assert_eq!(valid.prefixes, ["a", "b"]);
}

#[test]
fn what_is_wrong_is_named() {
    let wrong = [
        with("version", json!(2)),
        with("inputs", json!([])),
        with("input", json!([])),
        with("input", json!(["photos"])),
        with("input", json!(["s3://shop/a", "s3://store/b"])),
        with("input", json!(["s3://shop/a/", "s3://shop/", "s3://shop/b/"])),
        with("input", json!(["s3://shop/a", "s3://shop/a"])),
        with("include", json!(["["])),
        with("model", json!("models/m")),
        with("output", json!("s3://shop/photos/tags")),
        with("output", json!("s3://tagfleet-data/requests/")),
        with("output", json!("s3://tagfleet-data")),
        with("output", json!("s3://tagfleet-data/tags/work/nightly-1/usage/")),
        with("model", json!("s3://tagfleet-data/requests/m/")),
        with("tags", json!({"top_k": 0})),
        with("tags", json!({"labels": []})),
        with("tags", json!({"topk": 3})),
        with("device", json!("tpu")),
        with("workers", json!(0)),
        with("max_usd", json!(0)),
        with("max_usd", json!(-2.5)),
        with("max_flips", json!(0.1)),
        with("max_flips", json!(1.5)),
        with("deadline", json!("6")),
        with("deadline", json!("5m")),
        with("workers", json!(10_001)),
        with("notify", json!(["a@example.com\nBcc: b@example.com"])),
        with("notify", json!(["<script>@example.com"])),
        with("plan", json!({"version": 1})),
        with("plan", without_images()),
        json!("hello"),
    ];
    let said: Vec<String> = wrong.iter().map(|request| parse(request).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_prefix_that_leaves_no_room_for_keys_is_refused() {
    let output =
        |bytes: usize| with("output", json!(format!("s3://tagfleet-data/tags/{}/", "p".repeat(bytes))));
    assert!(parse(&output(700)).is_ok());
    let error = parse(&output(1000)).unwrap_err();
    insta::assert_snapshot!(error, @"the request is wrong: output: its prefix has 1006 bytes, and S3 keys have at most 1,024 bytes: give at most 800");
}

#[test]
fn the_error_of_a_request_is_one_line() {
    for text in ["a\r\nBcc: b@example.com", "\u{202e}gpj", "\0", "\u{1b}[31m", "\u{2028}"] {
        let mut misspelt = small();
        misspelt[text] = json!(1);
        let place = format!("s3://shop/photos/{text}");
        for wrong in [
            misspelt,
            with("device", json!(text)),
            with("notify", json!([text])),
            with("include", json!([format!("[{text}")])),
            with("deadline", json!(text)),
            with("output", json!(place)),
            with("input", json!([place, place])),
        ] {
            let error = parse(&wrong).unwrap_err().to_string();
            let odd = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
            assert!(!error.contains(odd), "{error:?}");
        }
    }
}

proptest! {
    #[test]
    fn hostile_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(ValidRequest::parse(&bytes, STACK).is_err());
    }

    #[test]
    fn no_mail_address_carries_a_header(text in "\\PC{0,20}[\r\n ,;<>\"]\\PC{0,20}@example.com") {
        prop_assert!(!is_mail_address(&text));
    }
}
