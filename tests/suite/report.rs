//! The report of a real run: written beside its results, shown by `tagfleet report`, and looked at in a real browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tagfleet_pipeline::cost::Cost;
use tagfleet_pipeline::cost::planned::{Done, PlanBesideActual};
use tagfleet_pipeline::plan::Estimate;
use tagfleet_pipeline::report::mail::{Failure, Mail};
use tagfleet_pipeline::report::{State, Summary};
use tagfleet_pipeline::usage::Usage;
use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::project;
use tagfleet_tests::rows::runs;
use tempfile::TempDir;

/// Names of files that a page must survive.
const HOSTILE: [&str; 4] = [
    "<img src=x onerror=alert(1)>.jpg",
    "\" onmouseover=\"alert(1).jpg",
    "summer\u{202e}gpj.exe",
    "שלום 📷 &lt;b&gt;.jpg",
];

/// A run over the shipped pictures and some broken files with hostile names.
struct Tagged {
    out: TempDir,
    folder: PathBuf,
    ran: Ran,
}

impl Tagged {
    fn page(&self) -> PathBuf {
        self.folder.join("report.html")
    }
}

fn copy(from: &Path, to: &Path) {
    for file in tagfleet_tests::photos::files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

fn tag_demo() -> Tagged {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy(&project("demo/photos"), input.path());
    let picture = fs::read(tagfleet_tests::photos::files(&project("demo/photos")).remove(0)).unwrap();
    for (number, name) in HOSTILE.iter().enumerate() {
        let bytes = if number % 2 == 0 { b"not a picture".to_vec() } else { picture.clone() };
        fs::write(input.path().join(name), bytes).unwrap();
    }
    fs::write(input.path().join("empty.jpg"), "").unwrap();
    fs::write(input.path().join(format!("{}.jpg", "long".repeat(62))), "not one either").unwrap();
    let mut command = tagfleet(["run", "--model", "demo/model"]);
    let ran = run(command.arg(input.path()).arg("--out").arg(out.path()));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let folder = runs(out.path()).remove(0);
    Tagged { out, folder, ran }
}

#[test]
fn a_run_leaves_a_page_that_shows_its_pictures_and_failures() {
    let tagged = tag_demo();
    let page = fs::read_to_string(tagged.page()).unwrap();
    assert!(tagged.ran.stderr.contains(&format!("report: {}", tagged.page().display())), "{:?}", tagged.ran);
    assert!(page.matches("data:image/jpeg;base64,").count() > 20);
    for said in ["&lt;img src=x onerror=alert(1)&gt;.jpg", "summer\\u{202e}gpj.exe", "<code>empty</code>"] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("<img src=x"));
    assert!(page.len() < 2 << 20, "{} bytes", page.len());
    assert!(!tagged.folder.join("work").exists(), "thumbnails go with what only the stages need");
}

#[test]
fn a_run_is_told_again_and_its_page_copied_and_opened() {
    let tagged = tag_demo();
    let copy = tagged.out.path().join("copy.html");
    let browser = tempfile::tempdir().unwrap();
    let opened = browser.path().join("opened");
    stand_in(browser.path(), &opened);
    let mut command = tagfleet(["report", "--open", "--html"]);
    command.arg(&copy).arg(tagged.out.path()).env("PATH", browser.path());
    let ran = run(&mut command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with(tagged.ran.stdout.trim_end()), "{}", ran.stdout);
    let page = tagged.page().canonicalize().unwrap();
    assert!(ran.stdout.ends_with(&format!("report   {}\n", page.display())), "{}", ran.stdout);
    assert_eq!(fs::read(&copy).unwrap(), fs::read(&page).unwrap());
    assert_eq!(fs::read_to_string(opened).unwrap().trim_end(), page.display().to_string());
}

/// A program in place of the one that opens a browser, which notes what it should open.
fn stand_in(folder: &Path, opened: &Path) {
    for name in ["xdg-open", "open"] {
        let script = format!("#!/bin/sh\necho \"$1\" > '{}'\n", opened.display());
        let path = folder.join(name);
        fs::write(&path, script).unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        fs::set_permissions(&path, permissions).unwrap();
    }
}

#[test]
fn what_is_no_run_is_named() {
    let empty = tempfile::tempdir().unwrap();
    let ran = run(tagfleet(["report"]).arg(empty.path()));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("no run that has come to an end is here"), "{ran:?}");
    let ran = run(tagfleet(["report", "No Such Run"]).current_dir(empty.path()));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("no such folder, and no run's id"), "{ran:?}");
}

/// What a browser saw of a page: on a phone, on a desktop, in the dark, on paper. Pictures of it are left in `folder` for
/// people. None where there is no browser.
fn look_at(page: &Path, folder: &Path) -> Option<serde_json::Map<String, Value>> {
    let (chromium, tools) = (chromium()?, browser_tools()?);
    fs::create_dir_all(folder).unwrap();
    let look =
        Command::new("node").arg(tools.join("look.js")).args([&chromium, page, folder]).output().unwrap();
    assert!(look.status.success(), "{}", String::from_utf8_lossy(&look.stderr));
    let seen: Value = serde_json::from_slice(&look.stdout).unwrap();
    assert_eq!(seen["requests"], Value::Array(vec![]), "it asks nobody");
    assert_eq!(seen["errors"], Value::Array(vec![]));
    let views = seen["views"].as_object().unwrap();
    assert_eq!(views.len(), 4);
    for (name, view) in views {
        assert_eq!(view["violations"], Value::Array(vec![]), "{name}");
        assert_eq!(view["contentWidth"], view["width"], "{name} scrolls sideways");
        let picture = fs::read(folder.join(format!("{name}.png"))).unwrap();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "{name}: {} bytes", picture.len());
    }
    assert!(fs::read(folder.join("print.pdf")).unwrap().starts_with(b"%PDF"));
    Some(views.clone())
}

#[test]
fn a_browser_shows_it_on_a_phone_on_a_desktop_in_the_dark_and_on_paper() {
    let tagged = tag_demo();
    for (name, view) in look_at(&tagged.page(), &project("target/report")).unwrap_or_default() {
        assert!(view["rules"].as_u64().unwrap() > 15, "{name}: {view}");
        assert_eq!(view["brokenImages"], 0, "{name}");
        assert!(view["images"].as_u64().unwrap() > 20, "{name}");
    }
}

/// The bill of a run that was planned, and dearer than that.
fn bill() -> Cost {
    let line = |(stage, service, item, quantity, unit, unit_price): (&str, &str, &str, f64, &str, f64)| {
        json!({"stage": stage, "service": service, "item": item, "quantity": quantity, "unit": unit,
            "unit_price": unit_price, "usd": quantity * unit_price})
    };
    let lines = [
        ("split", "S3", "ListBucket", 300.0, "1k requests", 0.005),
        ("infer", "S3", "GetObject", 300_030.134, "1k requests", 0.0004),
        ("infer", "SQS", "ChangeMessageVisibility", 0.030_134, "1M requests", 0.4),
        ("infer", "EC2", "c7a.2xlarge spot us-east-1a", 83.25, "hours", 0.2919),
        ("infer", "EC2", "c7i.2xlarge on-demand us-east-1b, idle", 6.5, "hours", 0.357),
        ("reduce", "Lambda", "reducer compact", 17_625.0, "GB-s", 0.000_013_333_4),
        ("run", "Step Functions", "state transitions", 0.3, "1k transitions", 0.025),
    ];
    let usd: f64 = lines.iter().map(|line| line.3 * line.5).sum();
    let cost = json!({
        "version": 1, "region": "us-east-1", "prices_of": "2026-11-23", "lines": lines.map(line), "total_usd": usd,
        "usd_per_million": usd / 300.0, "spot_saved_usd": 9.87,
        "notes": ["list prices, without free tiers and discounts", "idle is boot, pauses, and vCPUs that no worker took"]
    });
    let mut cost: Cost = serde_json::from_value(cost).unwrap();
    let range = |low: f64, high: f64| json!({"low": low, "high": high});
    let planned: Estimate = serde_json::from_value(json!({
        "version": 1, "images": 280_000_000, "engine": "openvino 2026.4.1 bf16", "instance_type": "c7a.2xlarge",
        "instances": 24, "spot_share": 1.0, "images_per_second": range(13_000.0, 16_000.0),
        "tagging_hours": range(4.9, 6.0), "instance_hours": range(60.0, 74.0), "usd": range(130.0, 139.0),
        "machines_usd": range(14.0, 23.0), "requests": 280_900_000, "requests_usd": 115.5, "rest_usd": 0.5
    }))
    .unwrap();
    let machines = json!([
        {"machine": {"instance_type": "c7a.2xlarge", "life_cycle": "spot"}, "workers": 20, "seconds": 299_700,
            "vcpu_seconds": 2_397_600, "vcpus": 160, "images": 280_000_000,
            "time": {"machines": 20, "billed_ms": 299_700_000, "worked_ms": 290_000_000, "free_ms": 0}},
        {"machine": {"instance_type": "c7i.2xlarge", "life_cycle": "on-demand"}, "workers": 4, "seconds": 23_400,
            "vcpu_seconds": 187_200, "vcpus": 32, "images": 20_000_000,
            "time": {"machines": 4, "billed_ms": 23_400_000, "worked_ms": 0, "free_ms": 0}}
    ]);
    let usage: Usage =
        serde_json::from_value(json!({
        "machines": machines, "functions": {}, "infer_seconds": 26_000,
        "requests": {"infer": {"s3:GetObject": {"calls": 303_812_004, "bytes_out": 0, "bytes_in": 0, "chunks": 0}}}
    }))
            .unwrap();
    let done = Done { images: 300_000_000, not_done: 0, engine: "openvino 2026.4.1 bf16" };
    cost.plan = Some(PlanBesideActual::new(planned, &done, &usage, &cost));
    cost
}

/// Pictures of them are left in `target/mail` for people.
#[test]
fn a_browser_shows_the_mails_too() {
    let summary = json!({
        "version": 1, "run": "20261126-020000-0a1b2c", "state": "complete", "images": 300_000_000,
        "rows": 300_000_000, "tagged": 299_812_345, "failed": {"corrupt": 180_000, "empty": 7_655},
        "second_decoder": 12, "model": "mobilenet", "model_sha256": "ab", "engine": "openvino 2026.4.1 bf16",
        "threads": 192, "images_here": 300_000_000, "seconds_here": 26_000.0,
        "results": "s3://tagfleet-data/tags/20261126-020000-0a1b2c/results/"
    });
    let summary = Summary { cost: Some(bill()), ..serde_json::from_value(summary).unwrap() };
    let run = summary.run.clone();
    let stopped = Summary {
        state: State::StoppedAtBudget,
        rows: 120_000_000,
        problem: Some(format!(
            "$40 of $40 is spent; to go on: tagfleet resume {run} --max-usd N, with N above 40"
        )),
        ..summary.clone()
    };
    let failure = Failure {
        state: "Plan".to_owned(),
        error: "BadRequest".to_owned(),
        cause: "the request is wrong: input: there is no bucket shop".to_owned(),
    };
    let mails = [
        ("complete", Mail::of_summary(&summary)),
        ("stopped", Mail::of_summary(&stopped)),
        ("failed", Mail::of_failure(&run, &failure)),
    ];
    for (name, mail) in mails {
        let folder = project("target/mail").join(name);
        fs::create_dir_all(&folder).unwrap();
        let page = folder.join("mail.html");
        fs::write(&page, mail.html).unwrap();
        let _ = look_at(&page, &folder);
    }
}

/// A Chromium in one of the usual places.
fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> =
        std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name))).collect();
    places.push(PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"));
    let found = places.into_iter().find(|place| place.exists());
    if found.is_none() {
        eprintln!(
            "SKIPPED: no Chromium is here, so nobody has looked at the report: run scripts/setup.sh test"
        );
    }
    found
}

/// What drives it.
fn browser_tools() -> Option<PathBuf> {
    let tools = project("tests/browser");
    if tools.join("node_modules/playwright-core").exists() {
        return Some(tools);
    }
    eprintln!(
        "SKIPPED: tests/browser is not installed, so nobody has looked at the report: run scripts/setup.sh test"
    );
    None
}
