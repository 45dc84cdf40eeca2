//! Gives the program the commit and the target that it is built from, for `tagfleet --version`.
//!
//! Only optimised builds name the commit: debug builds would be linked again after each one.
//! `TAGFLEET_COMMIT` names it for builds without git, such as those of images. The repository that happens to
//! be above an unpacked archive never counts.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that names the commit if git cannot.
const GIVEN: &str = "TAGFLEET_COMMIT";
/// Digits of the commit's hash that are shown.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={GIVEN}");
    let target = env::var("TARGET").unwrap_or_default();
    let build = match commit() {
        Some(commit) => format!("{commit}, {target}"),
        None => target,
    };
    println!("cargo::rustc-env=TAGFLEET_BUILD={build}");
}

/// The commit's first digits.
fn commit() -> Option<String> {
    let given = env::var(GIVEN).ok().filter(|commit| !commit.is_empty());
    let commit = match given {
        Some(commit) => commit,
        None if env::var("PROFILE").is_ok_and(|profile| profile == "release") => of_checkout()?,
        None => return None,
    };
    let is_hash = commit.len() >= DIGITS && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| commit.chars().take(DIGITS).collect())
}

/// The commit that is checked out, if this is a checkout of the project.
fn of_checkout() -> Option<String> {
    let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).parent()?.canonicalize().ok()?;
    let top = PathBuf::from(git(&root, &["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != root {
        return None;
    }
    // Git writes the second with every commit and checkout. A path that is not there would run this script
    // each time.
    for name in ["HEAD", "logs/HEAD"] {
        let path = root.join(git(&root, &["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(&root, &["rev-parse", "HEAD"])
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
