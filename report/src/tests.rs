//! The summary as people and machines read it.

use super::*;
use tagfleet_cost::usage::Foreign;

fn label(label: &str, images: u64) -> LabelCount {
    LabelCount { label: label.to_owned(), images }
}

pub(super) fn summary() -> Summary {
    Summary {
        version: SUMMARY_VERSION,
        run: RunId::try_from("20261123-170000-0a1b2c".to_owned()).unwrap(),
        state: State::Complete,
        images: 1000,
        rows: 1000,
        tagged: 990,
        failed: BTreeMap::from([("corrupt".to_owned(), 8), ("empty".to_owned(), 2)]),
        tags: TopTags {
            counted: Counted::Best,
            labels: vec![label("pug", 400), label("tench, Tinca tinca", 250)],
            different: 7,
        },
        since: None,
        difference: None,
        flips: None,
        max_flips: None,
        skipped: Skipped::default(),
        second_decoder: 3,
        slowest: Slowest::default(),
        missing_shards: vec![],
        model: "mobilenet".to_owned(),
        model_sha256: "ab".repeat(32),
        warning: None,
        engine: "onnxruntime 1.32.0 fp32".to_owned(),
        threads: 2,
        batch_size: 1,
        images_here: 1000,
        seconds_here: 4.0,
        results: "tags/20261123-170000-0a1b2c/results".to_owned(),
        ended: 1_795_453_204,
        tagfleet: "0.1.0".to_owned(),
        command: Some("tagfleet run photos --model mobilenet --out tags".to_owned()),
        working_folder: Some("/home/me".to_owned()),
        retry: Some("tagfleet show tags/20261123-170000-0a1b2c --failed --keys-only > failed.txt".to_owned()),
        device: None,
        usage: None,
        cost: None,
        cost_problem: None,
        problem: None,
    }
}

#[test]
fn complete() {
    insta::assert_snapshot!(summary().text(), @r"
    run      20261123-170000-0a1b2c: complete
    images   1,000: 990 tagged, 10 failed
                   8 corrupt
                   2 empty
    decoder  3 damaged JPEGs were recovered
    tags     pug 400; tench, Tinca tinca 250; 5 more labels (images by best tag)
    model    mobilenet, onnxruntime 1.32.0 fp32
    speed    250.0 images/s: 1,000 in 4.0 s on 2 threads
    results  tags/20261123-170000-0a1b2c/results
    ");
}

#[test]
fn an_unknown_cost_has_a_reason() {
    let why = Some("no price of EC2 g6.xlarge spot in mars-1".to_owned());
    let text = Summary { cost_problem: why, ..summary() }.text();
    assert!(text.contains("cost     unknown: no price of EC2 g6.xlarge spot in mars-1\n"), "{text}");
}

#[test]
fn an_image_that_took_a_second_or_more_is_named() {
    let with = |milliseconds: u64| {
        let mut slowest = Slowest::default();
        slowest.offer("a.jpg", milliseconds);
        slowest.offer("b.jpg", 70);
        Summary { slowest, ..summary() }.text()
    };
    assert!(!with(999).contains("slowest"), "{}", with(999));
    assert!(with(7400).contains("\nslowest  a.jpg 7.4 s; b.jpg 0.1 s\n"), "{}", with(7400));
}

#[test]
fn foreign_objects_among_the_records_are_named() {
    let foreign = Foreign { objects: 2, keys: vec!["tags/work/r/usage/x/y.json".to_owned()] };
    let usage = Some(Usage { foreign, ..Usage::default() });
    let text = Summary { usage, ..summary() }.text();
    let line = "records  not records of this run, so not counted: tags/work/r/usage/x/y.json and 1 more\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn batches() {
    let text = Summary { batch_size: 4, ..summary() }.text();
    assert!(text.contains("on 2 threads, batch 4\n"), "{text}");
}

#[test]
fn incomplete() {
    let missing_shards = vec!["00000-0000001".to_owned(), "00000-0000003".to_owned()];
    let summary = Summary { state: State::Incomplete, rows: 488, tagged: 478, missing_shards, ..summary() };
    insta::assert_snapshot!(summary.text(), @"
    run      20261123-170000-0a1b2c: incomplete
    images   1,000: 478 tagged, 10 failed, 512 not done
                   8 corrupt
                   2 empty
    decoder  3 damaged JPEGs were recovered
    tags     pug 400; tench, Tinca tinca 250; 5 more labels (images by best tag)
    model    mobilenet, onnxruntime 1.32.0 fp32
    speed    250.0 images/s: 1,000 in 4.0 s on 2 threads
    missing  shards 00000-0000001, 00000-0000003
    results  tags/20261123-170000-0a1b2c/results (of what is done)
    ");
}

#[test]
fn stored_form() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&summary()).unwrap());
}

#[test]
fn a_night_with_too_many_flips_says_so_everywhere() {
    let since = Since { run: RunId::try_from("monday".to_owned()).unwrap(), only_failed: false };
    let night = |max_flips| Summary {
        since: Some(since.clone()),
        difference: Some(Difference { changed: 40, kept: 960, ..Difference::default() }),
        flips: Some(Flips { same: 985, flipped: 15 }),
        max_flips,
        ..summary()
    };
    let line = |max_flips| {
        let text = night(max_flips).text();
        text.lines().find(|line| line.starts_with("flips")).unwrap().replace('\u{a0}', " ")
    };
    assert_eq!(line(None), "flips    15 of 1,000 images tagged in both runs have other tags (1.5 %)");
    assert!(line(Some(0.02)).ends_with("(1.5 %), within the limit of 2.0 %"), "{}", line(Some(0.02)));
    assert!(line(Some(0.01)).ends_with("(1.5 %), more than the limit of 1.0 %"), "{}", line(Some(0.01)));
    let subject =
        |max_flips| mail::Mail::of_summary(&night(max_flips), &mail::Surroundings::default()).subject;
    assert!(subject(Some(0.01)).contains(", too many flips"), "{}", subject(Some(0.01)));
    assert!(!subject(Some(0.02)).contains("flips"), "{}", subject(Some(0.02)));
}
