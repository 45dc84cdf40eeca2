//! The report of a real run: written beside its results, shown by `tagfleet report`, and looked at in a real browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
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

/// Pictures of it are left in `target/report` for people.
#[test]
fn a_browser_shows_it_on_a_phone_on_a_desktop_in_the_dark_and_on_paper() {
    let (Some(chromium), Some(tools)) = (chromium(), browser_tools()) else { return };
    let tagged = tag_demo();
    let pictures = project("target/report");
    fs::create_dir_all(&pictures).unwrap();
    let look = Command::new("node")
        .arg(tools.join("look.js"))
        .args([&chromium, &tagged.page(), &pictures])
        .output()
        .unwrap();
    assert!(look.status.success(), "{}", String::from_utf8_lossy(&look.stderr));
    let seen: Value = serde_json::from_slice(&look.stdout).unwrap();
    assert_eq!(seen["requests"], Value::Array(vec![]), "it asks nobody");
    assert_eq!(seen["errors"], Value::Array(vec![]));
    let views = seen["views"].as_object().unwrap();
    assert_eq!(views.len(), 4);
    for (name, view) in views {
        assert_eq!(view["violations"], Value::Array(vec![]), "{name}");
        assert!(view["rules"].as_u64().unwrap() > 15, "{name}: {view}");
        assert_eq!(view["contentWidth"], view["width"], "{name} scrolls sideways");
        assert_eq!(view["brokenImages"], 0, "{name}");
        assert!(view["images"].as_u64().unwrap() > 20, "{name}");
        let picture = fs::read(pictures.join(format!("{name}.png"))).unwrap();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000, "{name}: {} bytes", picture.len());
    }
    assert!(fs::read(pictures.join("print.pdf")).unwrap().starts_with(b"%PDF"));
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
