//! The program as `pip install` installs it: in an environment that is not activated, next to the engine.
//!
//! The wheel is packed from the binary of `cargo build`, with the metadata of the released wheel. Nothing is
//! downloaded: the engine's library is copied from the project's environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tagfleet_tests::command::{Ran, built, run};
use tagfleet_tests::project;
use tagfleet_tests::rows::rows;

const PACKAGES: &str = "lib/python3.11/site-packages";

/// Runs a program that a test needs. It must succeed.
fn done(command: &mut Command) -> String {
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{command:?}: {ran:?}");
    ran.stdout
}

fn python() -> PathBuf {
    project(".venv/bin/python")
}

/// A command in the environment of a user, without an activated environment.
fn plain(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
    command
}

/// The program without its symbols, which are most of its size.
fn stripped(folder: &Path) -> PathBuf {
    let program = folder.join("tagfleet");
    done(Command::new("strip").arg("-o").arg(&program).arg(built("tagfleet")));
    program
}

/// The folder of the engine's library in the project's environment.
fn engine() -> PathBuf {
    let path =
        done(Command::new(python()).args(["-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]));
    Path::new(path.trim()).join("onnxruntime/capi")
}

/// Copies the engine's library to its place in the engine's wheel. Returns the copy.
fn put_engine(packages: &Path) -> PathBuf {
    let capi = packages.join("onnxruntime/capi");
    fs::create_dir_all(&capi).unwrap();
    let entries = fs::read_dir(engine()).unwrap().map(|entry| entry.unwrap().path());
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        path.is_file() && name.starts_with("libonnxruntime.so")
    };
    let library = entries.into_iter().find(is_library).unwrap();
    let copy = capi.join(library.file_name().unwrap());
    fs::copy(library, &copy).unwrap();
    copy
}

/// An environment with the wheel and the engine.
struct Installed {
    folder: tempfile::TempDir,
    engine: PathBuf,
}

impl Installed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (environment, at) = (folder.path().join("env"), |name: &str| folder.path().join(name));
        fs::create_dir(at("built")).unwrap();
        let program = stripped(&at("built"));
        let wheel =
            done(Command::new(python()).arg(project("tests/wheel/pack.py")).args([&program, folder.path()]));
        done(Command::new(python()).args(["-m", "venv", "--without-pip"]).arg(&environment));
        let mut pip = Command::new(python());
        pip.args(["-m", "pip", "-q", "--disable-pip-version-check", "--python"])
            .arg(environment.join("bin/python"));
        done(pip.args(["install", "--no-index", "--no-deps"]).arg(wheel.trim()));
        fs::remove_dir_all(at("built")).unwrap();
        fs::remove_file(wheel.trim()).unwrap();
        let packages = environment.join("lib").join(python_folder(&environment)).join("site-packages");
        let engine = put_engine(&packages);
        Self { folder, engine }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }
}

/// The name of the only folder `python3.*` of an environment.
fn python_folder(environment: &Path) -> String {
    let entry = fs::read_dir(environment.join("lib")).unwrap().next().unwrap().unwrap();
    entry.file_name().into_string().unwrap()
}

#[test]
fn a_wheel_tags_pictures_with_its_engine_without_activation() {
    let installed = Installed::new();
    let program = installed.at("env/bin/tagfleet");
    let (photos, model, out) = (project("demo/photos"), project("demo/model"), installed.at("out"));
    let paths = [&photos, &model, &out].map(|path| path.to_str().unwrap());
    let ran = run(&mut plain(&program, &["run", paths[0], "--model", paths[1], "--out", paths[2]]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(rows(&out).len(), 60);
    assert!(
        ran.stderr.contains(installed.engine.canonicalize().unwrap().to_str().unwrap()),
        "{}",
        ran.stderr
    );
    // The way in which pipx and uv put a program on PATH.
    std::os::unix::fs::symlink(&program, installed.at("tagfleet")).unwrap();
    let version = run(&mut plain(&installed.at("tagfleet"), &["--version"]));
    assert_eq!(version.code, Some(0), "{version:?}");
    assert!(version.stdout.starts_with("tagfleet 0."), "{}", version.stdout);
    assert!(
        version.stdout.contains(installed.engine.canonicalize().unwrap().to_str().unwrap()),
        "{}",
        version.stdout
    );
}

#[test]
fn python_runs_opens_and_shows_results_and_the_notebook_works() {
    let installed = Installed::new();
    // The libraries that read rows come from the environment of the tests.
    let packages = installed.engine.ancestors().nth(3).unwrap();
    fs::write(packages.join("readers.pth"), engine().ancestors().nth(2).unwrap().to_str().unwrap()).unwrap();
    for name in ["photos", "model"] {
        std::os::unix::fs::symlink(project("demo").join(name), installed.at(name)).unwrap();
    }
    let here = installed.folder.path().canonicalize().unwrap();
    let mut python = plain(&installed.at("env/bin/python"), &[]);
    python.current_dir(&here).env("HF_HOME", here.join("cache")).env("HF_HUB_OFFLINE", "1");
    let shown = done(python.arg(project("tests/wheel/api.py")));
    insta::assert_snapshot!(shown);
    let mut python = plain(&installed.at("env/bin/python"), &[]);
    python.current_dir(&here).env("HF_HOME", here.join("cache")).env("HF_HUB_OFFLINE", "1");
    let shown = done(python.arg(project("tests/wheel/notebook.py")).arg(project("docs/notebook.ipynb")));
    for part in ["PAGE ", "'studio': 14", "error_code", "Dataset({", "num_rows: 60", "\n60\n"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

/// The engine that `inspect` prints, for a program that was copied elsewhere.
fn inspected(program: &Path) -> Ran {
    run(plain(program, &["inspect", "demo/model"]).current_dir(project(".")))
}

#[test]
fn a_library_next_to_the_program_must_be_safe_from_other_users() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().canonicalize().unwrap();
    fs::create_dir(here.join("bin")).unwrap();
    let program = stripped(&here.join("bin"));
    // The folder of the build has an engine, which must not be used.
    let none = inspected(&program).stdout;
    assert!(!none.contains(project(".venv").to_str().unwrap()), "{none}");
    assert!(none.contains("run `pip install onnxruntime`") && !none.contains("make setup"), "{none}");
    let doctor = run(&mut plain(&program, &["doctor", "--local"]));
    assert_eq!(doctor.code, Some(0), "models run on tract: {doctor:?}");
    assert!(doctor.stdout.contains("\nthis machine can run; "), "{doctor:?}");
    let warning = doctor.stdout.lines().skip_while(|line| !line.starts_with("WARN  onnxruntime")).nth(1);
    assert!(warning.is_some_and(|to_do| to_do.contains("-> `pip install onnxruntime`")), "{doctor:?}");
    let library = put_engine(&here.join(PACKAGES));
    let found = inspected(&program).stdout;
    assert!(found.contains(&format!("from {}", library.display())), "{found}");
    fs::set_permissions(&library, fs::Permissions::from_mode(0o666)).unwrap();
    let refused = inspected(&program).stdout;
    assert!(refused.contains("could be replaced by another user") && refused.contains("tract"), "{refused}");
}

/// The glibc of RHEL 8. That of Amazon Linux 2023 is 2.34.
const NEWEST_GLIBC: [u32; 2] = [2, 28];

/// The newest version of glibc that a program requires.
fn newest_glibc(program: &[u8]) -> Option<Vec<u32>> {
    let mut newest = None;
    for start in program.windows(6).enumerate().filter(|(_, it)| *it == b"GLIBC_").map(|(start, _)| start + 6)
    {
        let end = program[start..].iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.');
        let text = String::from_utf8_lossy(&program[start..start + end?]).into_owned();
        let version: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        newest = newest.max(version);
    }
    newest
}

#[test]
fn the_wheels_program_starts_with_an_old_glibc() {
    assert_eq!(newest_glibc(b"\0GLIBC_2.9\0GLIBC_2.17\0GLIBC_PRIVATE\0GLIBC_2.2.5\0"), Some(vec![2, 17]));
    let folder = project("target/wheels");
    let mut wheels = if folder.is_dir() { tagfleet_tests::photos::files(&folder) } else { Vec::new() };
    wheels.retain(|path| path.extension().is_some_and(|extension| extension == "whl"));
    if wheels.is_empty() {
        eprintln!(
            "SKIPPED: no wheel is in target/wheels, so no glibc was looked at: `make wheel` builds one"
        );
    }
    let read = "import sys, zipfile\n\
        names = [n for n in zipfile.ZipFile(sys.argv[1]).namelist() if n.endswith('/scripts/tagfleet')]\n\
        sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(names[0]))";
    for wheel in wheels {
        let program = Command::new(python()).args(["-c", read]).arg(&wheel).output().unwrap().stdout;
        let newest = newest_glibc(&program).unwrap();
        assert!(newest <= NEWEST_GLIBC.to_vec(), "{}: glibc {newest:?}", wheel.display());
    }
}
