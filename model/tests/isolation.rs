//! A process that really dies under its parent: only the image that kills it is lost, and nothing is left
//! behind.
//!
//! The child is `isolation/dying_tagger.rs`, built as an example; each image holds the command that it obeys.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of the test functions")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use tagfleet_model::decode::Limits;
use tagfleet_model::engine::{EngineChoice, EngineOptions, resolve};
use tagfleet_model::folder::{Model, ModelOptions};
use tagfleet_model::isolation::{Isolation, Patience, Program, Setup, StartError};
use tagfleet_pipeline::run::TagOptions;
use tagfleet_pipeline::tagger::{Tagger, TaggerError};
use tagfleet_pipeline::tags::{Cause, Failure, Outcome};

/// Long enough for an idle child on a busy machine.
const SHORT: Duration = Duration::from_millis(500);

fn child() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples/dying-tagger")
}

fn start_with(
    path: PathBuf,
    mode: &str,
    threads: usize,
    patience: Patience,
) -> Result<Isolation, StartError> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/model");
    let model = Model::open(&model, &ModelOptions::default()).unwrap();
    let engine = resolve(&EngineOptions::of(EngineChoice::Tract), &model).unwrap().record;
    let options = TagOptions::new(5, 0.5);
    let setup = Setup { model, engine, options, limits: Limits::default(), threads };
    Isolation::start(Program { path, arguments: vec![mode.into()] }, &setup, patience)
}

fn start(mode: &str, threads: usize) -> Result<Isolation, StartError> {
    start_with(child(), mode, threads, Patience::default())
}

/// The taggers of an obedient child.
fn taggers(threads: usize) -> Vec<Box<dyn Tagger>> {
    start("obeys", threads).unwrap().taggers()
}

fn tag(tagger: &mut dyn Tagger, images: &[&str]) -> Result<Vec<Outcome>, TaggerError> {
    let images: Vec<&[u8]> = images.iter().map(|image| image.as_bytes()).collect();
    tagger.tag(&images)
}

/// Outcomes as text, because a vector may hold NaN, which equals nothing.
fn text(outcomes: &[Outcome]) -> Vec<String> {
    outcomes.iter().map(|outcome| format!("{outcome:?}")).collect()
}

/// The answers of a child that nothing kills.
fn quiet(images: &[&str]) -> Vec<String> {
    text(&tag(taggers(1)[0].as_mut(), images).unwrap())
}

fn failed(cause: Cause, detail: &str) -> String {
    format!("{:?}", Outcome::Failed(Failure::new(cause, detail)))
}

fn by_signal(signal: i32) -> String {
    failed(Cause::Crashed, &format!("signal {signal}"))
}

#[test]
fn the_killer_alone_is_lost_whatever_kills_and_wherever_it_stands() {
    let deaths = [
        ("segv", by_signal(11)),
        ("kill", by_signal(9)),
        ("abort", by_signal(6)),
        ("panic", by_signal(6)),
        ("exit", failed(Cause::Crashed, "exit code 7")),
    ];
    let mut tagger = taggers(1).remove(0);
    assert_eq!(tagger.batch_size(), 4);
    let peaceful = quiet(&["red", "green", "blue"]);
    for (killer, row) in deaths {
        for place in 0..4 {
            let (mut images, mut expected) = (vec!["red", "green", "blue"], peaceful.clone());
            images.insert(place, killer);
            expected.insert(place, row.clone());
            assert_eq!(text(&tag(tagger.as_mut(), &images).unwrap()), expected, "{killer} at {place}");
        }
    }
    assert_eq!(text(&tag(tagger.as_mut(), &["red"]).unwrap()), quiet(&["red"]));
}

#[test]
fn what_a_device_did_is_counted_over_all_children() {
    let mut tagger = start("counts", 1).unwrap().taggers().remove(0);
    let mut computed = |images: &[&str]| {
        tag(tagger.as_mut(), images).unwrap();
        tagger.device_time().map(|time| time.compute_milliseconds)
    };
    // Each child has tagged a built-in picture before; one that dies has reported nothing.
    assert_eq!(computed(&["red", "green"]), Some(3));
    assert_eq!(computed(&["kill"]), Some(3));
    assert_eq!(computed(&["blue"]), Some(5));
    assert_eq!(taggers(1)[0].device_time(), None);
}

#[test]
fn what_a_child_says_of_how_the_model_runs_reaches_its_parent() {
    assert_eq!(start("notes", 2).unwrap().notes(), ["TopK runs on the processor"]);
    assert!(start("obeys", 1).unwrap().notes().is_empty());
    let error = start("notes-without-end", 1).err().unwrap().to_string();
    assert!(error.contains("1000 notes of up to 26 bytes"), "{error}");
}

#[test]
fn killers_in_a_row_are_rows() {
    let mut tagger = taggers(1).remove(0);
    let images = ["segv", "kill", "red", "abort"];
    let expected = [by_signal(11), by_signal(9), quiet(&["red"]).remove(0), by_signal(6)];
    assert_eq!(text(&tag(tagger.as_mut(), &images).unwrap()), expected);
    for _ in 0..5 {
        assert_eq!(text(&tag(tagger.as_mut(), &["kill"]).unwrap()), [by_signal(9)]);
    }
}

#[test]
fn two_threads_with_a_killer_each_keep_their_other_images() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("in flight");
    let hangs = format!("hang-once {}", mark.display());
    let mut taggers = taggers(2);
    let (mut second, mut first) = (taggers.remove(1), taggers.remove(0));
    let of_first = thread::spawn({
        let hangs = hangs.clone();
        move || text(&tag(first.as_mut(), &["red", &hangs, "segv"]).unwrap())
    });
    while !mark.exists() {
        thread::yield_now();
    }
    let of_second = text(&tag(second.as_mut(), &["abort", "blue"]).unwrap());
    assert_eq!(of_second, [by_signal(6), quiet(&["blue"]).remove(0)]);
    let mut expected = quiet(&["red", &hangs]);
    expected.push(by_signal(11));
    assert_eq!(of_first.join().unwrap(), expected);
}

#[test]
fn many_threads_with_many_killers_lose_only_those() {
    let images: Vec<String> = (0..120)
        .map(|number| if number % 17 == 5 { "kill".to_owned() } else { format!("picture {number}") })
        .collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let peaceful: Vec<&str> = images.iter().copied().filter(|image| *image != "kill").collect();
    let mut rows = quiet(&peaceful).into_iter();
    let expected: Vec<String> = images
        .iter()
        .map(|image| if *image == "kill" { by_signal(9) } else { rows.next().unwrap() })
        .collect();
    let mut taggers = taggers(4);
    let found: Vec<String> = thread::scope(|scope| {
        let mut threads = Vec::new();
        for (tagger, images) in taggers.iter_mut().zip(images.chunks(30)) {
            threads.push(scope.spawn(move || {
                let batches = images.chunks(4).map(|batch| text(&tag(tagger.as_mut(), batch).unwrap()));
                batches.collect::<Vec<_>>().concat()
            }));
        }
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(found, expected);
}

#[test]
fn damage_done_by_another_image_is_not_blamed_on_one() {
    let mut tagger = taggers(1).remove(0);
    let found = text(&tag(tagger.as_mut(), &["kill", "poison", "red", "blue"]).unwrap());
    let mut expected = vec![by_signal(9)];
    expected.extend(["poison", "red", "blue"].map(|image| quiet(&[image]).remove(0)));
    assert_eq!(found, expected);
    assert_eq!(text(&tag(tagger.as_mut(), &["poison"]).unwrap()), quiet(&["poison"]));
    assert_eq!(text(&tag(tagger.as_mut(), &["red"]).unwrap()), quiet(&["red"]));
}

#[test]
fn an_image_that_never_ends_is_lost_alone() {
    let patience = Patience { tagging: SHORT, ..Patience::default() };
    let mut tagger = start_with(child(), "obeys", 2, patience).unwrap().taggers().remove(0);
    let found = text(&tag(tagger.as_mut(), &["red", "hang", "blue"]).unwrap());
    let lost = failed(Cause::Hung, "no answer within 0.5 s");
    let [red, blue] = ["red", "blue"].map(|image| quiet(&[image]).remove(0));
    assert_eq!(found, [red, lost, blue]);
}

#[test]
fn a_child_that_stops_reading_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("stopped");
    let patience = Patience { tagging: SHORT, ..Patience::default() };
    let mut taggers = start_with(child(), "obeys", 2, patience).unwrap().taggers();
    let (mut second, mut first) = (taggers.remove(1), taggers.remove(0));
    let stop = format!("stop {}", mark.display());
    let of_first = thread::spawn(move || text(&tag(first.as_mut(), &["red", &stop]).unwrap()));
    while !mark.exists() {
        thread::yield_now();
    }
    // More than a pipe holds.
    let large = "0123456789".repeat(1 << 20);
    let of_second = text(&tag(second.as_mut(), &[&large, "blue"]).unwrap());
    assert_eq!(of_second, quiet(&[&large, "blue"]));
    let lost = failed(Cause::Hung, "no answer within 0.5 s");
    assert_eq!(of_first.join().unwrap(), [quiet(&["red"]).remove(0), lost]);
}

#[test]
fn what_the_engine_reports_stays_an_error() {
    let mut tagger = taggers(1).remove(0);
    let error = tag(tagger.as_mut(), &["red", "fail"]).unwrap_err();
    insta::assert_snapshot!(error, @"the model could not be run: no such operator");
    assert_eq!(text(&tag(tagger.as_mut(), &["red"]).unwrap()), quiet(&["red"]));
}

/// A picture may have taken the process over: what it answers is checked before anything is done with it.
#[test]
fn a_child_that_lies_is_an_error_and_takes_no_memory() {
    for (mode, asks) in [("wants-too-many", usize::MAX), ("wants-none", 0)] {
        let error = start(mode, 1).err().unwrap().to_string();
        assert!(error.contains(&format!("asks for {asks} images at once")), "{error}");
    }
    let mut tagger = start("tells-too-much", 1).unwrap().taggers().remove(0);
    let error = tag(tagger.as_mut(), &["red", "blue"]).unwrap_err();
    insta::assert_snapshot!(error, @"the model could not be run: the model's process gave 3 outcomes for 2 images");
}

#[test]
fn what_an_engine_prints_is_no_answer() {
    let mut tagger = taggers(1).remove(0);
    assert_eq!(text(&tag(tagger.as_mut(), &["print", ""]).unwrap()), quiet(&["print", ""]));
}

#[test]
fn large_images_arrive_whole() {
    let image = "0123456789".repeat(3 << 20);
    assert_eq!(text(&tag(taggers(2)[1].as_mut(), &[&image, "red"]).unwrap())[0], quiet(&[&image])[0]);
}

#[test]
fn a_child_that_is_killed_while_it_rests_is_replaced_and_the_last_one_ends_with_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let ask = format!("pid {}", file.display());
    let mut tagger = taggers(1).remove(0);
    let mut process = || {
        tag(tagger.as_mut(), &[&ask]).unwrap();
        fs::read_to_string(&file).unwrap()
    };
    let first = process();
    assert!(Command::new("kill").args(["-KILL", &first]).status().unwrap().success());
    let last = process();
    assert_ne!(first, last);
    drop(tagger);
    for pid in [first, last] {
        assert!(!Path::new("/proc").join(&pid).exists(), "{pid} is neither alive nor a zombie");
    }
}

fn refusal(mode: &str, patience: Patience) -> String {
    start_with(child(), mode, 1, patience).err().unwrap().to_string()
}

#[test]
fn a_child_that_cannot_begin_is_an_error() {
    let patience = Patience { loading: SHORT, probe: SHORT, tagging: SHORT };
    insta::assert_snapshot!(refusal("refuses", patience), @"labels.txt: too few");
    insta::assert_snapshot!(refusal("dies-loading", patience), @"the process that decodes and runs the model died 3 times without an image in hand, at last with exit code 9");
    insta::assert_snapshot!(refusal("hangs-loading", patience), @"the process that decodes and runs the model died 3 times without an image in hand, at last with no answer within 0.5 s");
    insta::assert_snapshot!(refusal("hangs-on-every-picture", patience), @"the model has not finished one small picture in 0.5 s: it cannot be used on this machine");
    insta::assert_snapshot!(refusal("dies-on-every-picture", patience), @"the process that decodes and runs the model died 3 times without an image in hand, at last with signal 6");
    let error = start_with("/no/such/program".into(), "", 1, patience).err().unwrap();
    insta::assert_snapshot!(error, @"the process that decodes and runs the model cannot be started: No such file or directory (os error 2)");
}
