//! The claims of SECURITY.md about fuzzing and the supply chain. `docs` checks that the tests that it names
//! exist.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tagfleet_tests::photos::files;
use tagfleet_tests::{project, root};

fn read(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap()
}

/// The texts between backticks in SECURITY.md.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_fuzz_target_is_in_it_and_has_seeds() {
    let text = read("SECURITY.md");
    let targets = files(&project("fuzz/fuzz_targets"));
    assert!(targets.len() >= 5);
    for target in targets {
        let name = target.file_stem().unwrap().to_str().unwrap();
        assert!(quoted(&text).contains(&name), "{name} is not in SECURITY.md");
        assert!(!files(&project("fuzz/seeds").join(name)).is_empty(), "{name} has no seeds");
    }
    let bytes: u64 = files(&project("fuzz/seeds")).iter().map(|seed| seed.metadata().unwrap().len()).sum();
    assert!(bytes < 200_000, "the seeds have {bytes} bytes");
}

/// The lists of Python packages.
fn requirements() -> Vec<PathBuf> {
    let scripts = files(&project("scripts")).into_iter();
    let mut lists: Vec<PathBuf> =
        scripts.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect();
    for folder in ["", "demo", "bench", "tests", "tests/emulator"] {
        lists.push(project(folder).join("requirements.txt"));
    }
    lists.push(project("batch-worker/gpu.txt"));
    lists
}

/// A package, its version, and at least one hash: `a==1 \` and lines of `--hash=sha256:...`.
fn assert_pinned(list: &Path) {
    let text = fs::read_to_string(list).unwrap().replace("\\\n", " ");
    let packages = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for package in packages {
        let name = package.split_whitespace().next().unwrap();
        let is_pinned = name.contains("==") && package.contains("--hash=sha256:");
        assert!(is_pinned, "{}: {name}", list.display());
    }
}

#[test]
fn python_packages_are_pinned_by_hash() {
    let lists = requirements();
    for list in lists {
        assert_pinned(&list);
    }
    for path in ["scripts/setup.sh", "scripts/package.sh", "batch-worker/Dockerfile", "demo/make_demo.py"] {
        let installs = |line: &&str| line.contains("pip\" install") || line.contains("pip install -");
        for line in read(path).lines().filter(installs) {
            assert!(line.contains("--require-hashes"), "{path}: {line}");
        }
    }
}

#[test]
fn npm_packages_are_pinned_by_hash_and_cargos_tools_by_version() {
    for folder in ["infra/lint", "tests/browser"] {
        let lock: Value = serde_json::from_str(&read(&format!("{folder}/package-lock.json"))).unwrap();
        for (name, package) in lock["packages"].as_object().unwrap() {
            let is_pinned = package["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-"));
            assert!(is_pinned || name.is_empty(), "{folder}: {name}");
            assert!(package.get("resolved").is_none(), "{folder}: {name} names a host");
        }
    }
    let setup = read("scripts/setup.sh");
    assert!(!setup.contains("npm install") && setup.contains("npm ci"));
    assert!(setup.contains("cargo install --quiet --locked \"cargo-$1@$2\""));
}

#[test]
fn a_check_looks_at_licences_and_sources_and_advisories_have_a_command() {
    let makefile = read("Makefile");
    for line in [
        "\tcargo deny --workspace check bans licenses sources\n",
        "\tcargo deny --manifest-path fuzz/Cargo.toml check bans licenses sources\n",
        "\tcargo deny --workspace check advisories\n",
    ] {
        assert!(makefile.contains(line), "{line}");
    }
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock: toml::Table = fs::read_to_string(root().join(lock)).unwrap().parse().unwrap();
        for package in lock["package"].as_array().unwrap() {
            let (source, checksum) = (package.get("source"), package.get("checksum"));
            assert_eq!(source.is_some(), checksum.is_some(), "{package:?}");
        }
    }
}

/// Unlike a tag, the hash of a commit cannot be moved to other code.
#[test]
fn workflows_pin_each_action_by_commit_and_call_commands_that_exist() {
    let makefile = read("Makefile");
    let mut actions = 0;
    for workflow in files(&project(".github/workflows")) {
        let text = fs::read_to_string(&workflow).unwrap();
        for line in text.lines().map(|line| line.trim().trim_start_matches("- ")) {
            if let Some(action) = line.strip_prefix("uses: ") {
                let (commit, version) = action.split_once('@').unwrap().1.split_once(" # ").unwrap();
                let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
                assert!(is_commit && version.starts_with('v'), "{}: {action}", workflow.display());
                actions += 1;
            }
            let Some(command) = line.strip_prefix("run: ") else { continue };
            if let Some(target) = command.strip_prefix("make ") {
                assert!(makefile.contains(&format!("\n{target}:")), "{}: {command}", workflow.display());
            }
            let is_script = command.starts_with("scripts/");
            assert!(!is_script || project(command).exists(), "{}: {command}", workflow.display());
        }
    }
    assert!(actions >= 10, "{actions} actions");
}

#[test]
fn the_release_has_what_deploying_and_binstall_look_for() {
    let (release, archive) = (read(".github/workflows/release.yml"), read("scripts/archive.sh"));
    for file in ["template.yaml", "artifacts.yaml", "state-machine.asl.json"] {
        assert!(project("infra").join(file).exists() && release.contains(&format!("infra/{file}")), "{file}");
    }
    let dockerfile = read("batch-worker/Dockerfile");
    for target in ["cli", "cpu", "gpu"] {
        assert!(
            dockerfile.contains(&format!(" AS {target}\n"))
                && release.contains(&format!("target: {target},"))
        );
    }
    let manifest: toml::Table = read("cli/Cargo.toml").parse().unwrap();
    let binstall = &manifest["package"]["metadata"]["binstall"];
    assert!(binstall["pkg-url"].as_str().unwrap().ends_with("/v{ version }/{ name }-{ target }.tar.gz"));
    assert_eq!(binstall["bin-dir"].as_str(), Some("{ name }-{ target }/{ bin }"));
    assert!(archive.contains("name=tagfleet-$target\n") && archive.contains("\"$folder/tagfleet\""));
}
