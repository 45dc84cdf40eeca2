//! tagfleet and the programs that a user would run instead, measured by the peers' harness on the same files.
//!
//! The harness takes a peer by name and program, so every one of them, and tagfleet, is a small script that
//! keeps its own log. A peer that is absent or fails has a row with the reason. Nothing is written into the
//! peers' folder.

pub(crate) mod as_peer;
mod competition;
mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::context::{Bench, Peers};
use crate::output::progress;
use crate::results::{Figures, Part, Rows};
use competition::{Competition, Competitor, Kind};
use harness::{Harness, Script};

/// The folder of a Pillow build with SIMD next to the peers.
const PILLOW_SIMD: &str = "pillow_simd";

/// Measures all competitors of a part.
pub(crate) fn measure(bench: &Bench, part: Part) -> Result<Figures> {
    let competition = Competition::new(bench, part);
    let mut rows = Rows::default();
    let Some(Peers { folder, python }) = &bench.peers else {
        for competitor in &competition.competitors {
            rows.fail(&competitor.name, "absent: no PEERS=dir was given");
        }
        return Ok(rows.into());
    };
    if !folder.join("bench.py").exists() {
        bail!(
            "{}: bench.py, the peers' harness, does not exist: give the folder of the peers",
            folder.display()
        );
    }
    let copy = copy(bench, folder)?;
    let mut present = Vec::new();
    for competitor in &competition.competitors {
        match absence(bench, competitor, &copy, python) {
            Some(why) => rows.fail(&competitor.name, why),
            None => present.push(competitor),
        }
    }
    if present.is_empty() {
        return Ok(rows.into());
    }
    progress(format!(
        "peers: {}",
        present.iter().map(|peer| peer.name.as_str()).collect::<Vec<_>>().join("; ")
    ));
    let mut scripts = Vec::new();
    for competitor in present {
        let path = script(bench, competitor, &copy, python)?;
        scripts.push(Script { competitor, path });
    }
    harness::run(bench, &competition, &scripts, &Harness { copy: &copy, python }, &mut rows)?;
    Ok(Figures { rows, versions: versions(python)? })
}

/// Copies the peers' scripts below `target/bench`, because the harness writes next to them.
fn copy(bench: &Bench, folder: &Path) -> Result<PathBuf> {
    let copy = bench.place.generated("peers");
    if copy.exists() {
        fs::remove_dir_all(&copy).with_context(|| copy.display().to_string())?;
    }
    fs::create_dir_all(copy.join("out")).with_context(|| copy.display().to_string())?;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        if let (Some("py"), Some(name)) = (path.extension().and_then(|it| it.to_str()), path.file_name()) {
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            fs::write(copy.join(name), bytes).with_context(|| copy.display().to_string())?;
        }
    }
    let simd = folder.join(PILLOW_SIMD);
    if simd.is_dir() {
        symlink(&simd, copy.join(PILLOW_SIMD)).with_context(|| simd.display().to_string())?;
    }
    Ok(copy)
}

/// Why a competitor cannot take part.
fn absence(bench: &Bench, competitor: &Competitor, copy: &Path, python: &Path) -> Option<String> {
    match &competitor.kind {
        Kind::Tagfleet { config, .. } => {
            let model = match bench.models.open(config.network, config.is_int8(), false) {
                Ok(model) => model,
                Err(error) => return Some(bench.publishable(&format!("absent: {error:#}"))),
            };
            let error = config.resolve(&model).err()?;
            Some(bench.publishable(&format!("absent: {error}")))
        }
        Kind::Peer { script, modules, .. } => {
            if !copy.join(script).exists() {
                return Some(format!("absent: the peers' folder has no {script}"));
            }
            missing_module(python, modules).map(|why| bench.publishable(&format!("absent: {why}")))
        }
    }
}

/// Why the peers' Python cannot import `modules`; `None` if it can.
fn missing_module(python: &Path, modules: &[&str]) -> Option<String> {
    let imports = modules.iter().map(|module| format!("import {module}")).collect::<Vec<_>>().join("\n");
    match Command::new(python).args(["-c", &imports]).output() {
        Err(error) => Some(format!("the peers' Python, {}: {error}", python.display())),
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            Some(text.lines().last().unwrap_or("its packages cannot be imported").to_owned())
        }
    }
}

/// The program that the harness starts for a competitor: becomes the real one, with its output in a log of
/// its own.
fn script(bench: &Bench, competitor: &Competitor, copy: &Path, python: &Path) -> Result<PathBuf> {
    let log = quoted(&log(copy, competitor));
    let command = match &competitor.kind {
        Kind::Peer { script, arguments, .. } => {
            let mut words = vec![quoted(python), quoted(&copy.join(script)), "\"$@\"".to_owned()];
            words.extend(arguments.iter().map(|&argument| argument.to_owned()));
            if copy.join(PILLOW_SIMD).exists() && competitor.takes_decoder() {
                words.extend(["--decoder".to_owned(), "simplejpeg-simd".to_owned()]);
            }
            words.join(" ")
        }
        Kind::Tagfleet { config, .. } => {
            let this = std::env::current_exe().context("this program's own path")?;
            let model = bench.models.folder(config.network, config.is_int8());
            let start =
                [quoted(&this), "as-peer".to_owned(), "--tagfleet".to_owned(), quoted(&bench.tagfleet)];
            let instead = ["--instead".to_owned(), quoted(&model), "\"$@\"".to_owned(), "--".to_owned()];
            [start.join(" "), instead.join(" "), competitor.tagfleet_flags().join(" ")].join(" ")
        }
    };
    let path = copy.join(&competitor.id);
    let root = quoted(&bench.place.root);
    let text = format!("#!/bin/sh\ncd {root} || exit 1\nexec {command} >{log} 2>&1\n");
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .with_context(|| path.display().to_string())?;
    Ok(path)
}

/// What a competitor printed in its last run.
fn log(copy: &Path, competitor: &Competitor) -> PathBuf {
    copy.join("out").join(format!("{}.log", competitor.id))
}

/// A path as one word of the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// Of the packages that peers are made of, those that are installed.
fn versions(python: &Path) -> Result<BTreeMap<String, String>> {
    const PROGRAM: &str = "\
import importlib.metadata, json, platform
found = {'Python': platform.python_version()}
for name in ('onnxruntime', 'openvino', 'pyspark', 'ray', 'daft', 'torch', 'nvidia-dali-cuda120', 'simplejpeg', 'pillow'):
    try:
        found[name + ' (peers)'] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))";
    let output = Command::new(python).args(["-c", PROGRAM]).output();
    let output = output.with_context(|| python.display().to_string())?;
    serde_json::from_slice(&output.stdout).context("the versions of the peers' packages")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::models::Models;
    use crate::pictures::{Counts, Folder, Pair, Pictures};
    use crate::place::Place;

    #[test]
    fn a_python_that_lacks_a_module_says_which() {
        let python = Path::new("python3");
        assert_eq!(missing_module(python, &["json"]), None);
        let why = missing_module(python, &["json", "no_such_module_at_all"]).unwrap();
        assert!(why.contains("no_such_module_at_all"), "{why}");
        let why = missing_module(Path::new("/no/python"), &["json"]).unwrap();
        assert!(why.contains("/no/python"), "{why}");
    }

    /// A bench without models, with these peers.
    fn bench(root: &Path, peers: Option<Peers>) -> Bench {
        let folder = Folder { path: root.to_owned(), images: 1 };
        let pair = Pair { short: folder.clone(), long: folder.clone() };
        let pictures =
            Pictures { single: folder, ordinary: pair.clone(), large: pair, description: "none".to_owned() };
        Bench {
            place: Place::at(root),
            machine: Machine::here(),
            counts: Counts::new(true),
            pictures,
            models: Models::at(root),
            tagfleet: root.join("tagfleet"),
            peers,
            repetitions: 1,
        }
    }

    fn problems(bench: &Bench) -> Vec<String> {
        let Rows(rows) = measure(bench, Part::PeersMobilenet).unwrap().rows;
        assert!(rows.iter().all(|row| row.figures.is_empty()));
        rows.into_iter().map(|row| format!("{}: {}", row.name, row.problem.unwrap())).collect()
    }

    #[test]
    fn peers_that_are_absent_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let nobody = problems(&bench(folder.path(), None));
        assert_eq!(nobody.len(), 10);
        assert!(
            nobody.iter().all(|problem| problem.ends_with("absent: no PEERS=dir was given")),
            "{nobody:?}"
        );

        let peers = folder.path().join("peers");
        fs::create_dir(&peers).unwrap();
        let with_peers = bench(
            folder.path(),
            Some(Peers { folder: peers.clone(), python: PathBuf::from("/no/venv/bin/python") }),
        );
        let error = measure(&with_peers, Part::PeersMobilenet).unwrap_err().to_string();
        assert!(error.contains("bench.py"), "{error}");
        fs::write(peers.join("bench.py"), "").unwrap();
        fs::write(peers.join("peer_pool.py"), "").unwrap();
        let problems = problems(&with_peers);
        assert_eq!(problems.len(), 10);
        let of = |name: &str| problems.iter().find(|problem| problem.starts_with(name)).unwrap();
        assert!(of("PySpark").contains("the peers' folder has no peer_spark.py"));
        assert!(of("hand-written").contains("VENV/bin/python"), "{}", of("hand-written"));
    }

    #[test]
    fn paths_are_one_word() {
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
