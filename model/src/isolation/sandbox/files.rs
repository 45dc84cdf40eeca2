//! Which files the child may read; it may write none.
//!
//! Its model's files one by one, because a model's folder may be the user's home; the engine's library and
//! the files next to it; the system's libraries; and the kernel's files about this machine and this process.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::super::setup::Setup;
use crate::engine::Device;

/// The newest version whose rights are asked for; an older kernel enforces those that it knows.
const NEWEST: ABI = ABI::V6;

/// Libraries, and the files that lead the loader to them.
const SYSTEM: [&str; 15] = [
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/run/opengl-driver",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/OpenCL",
    // The users of a library's group show who else may write it.
    "/etc/passwd",
    "/etc/group",
];
/// The kernel's files about the machine and this process, never about another one.
const KERNEL: [&str; 11] = [
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys",
    "/sys/devices",
    "/sys/fs/cgroup",
    "/dev/null",
    "/dev/zero",
    "/dev/urandom",
    "/dev/random",
];
/// What a GPU's driver opens, reads and writes.
const DEVICES: [&str; 4] = ["/dev", "/proc/driver", "/proc/devices", "/sys"];

/// Leaves this thread, and those that it starts, the files of `setup`. False if the kernel has no landlock.
pub(super) fn restrict(setup: &Setup) -> Result<bool, String> {
    enforce(setup).map_err(|error| format!("landlock refuses: {error}"))
}

fn enforce(setup: &Setup) -> Result<bool, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let libraries = setup.engine.libraries();
    for path in readable(setup, &libraries) {
        rules = allow(rules, &path, read)?;
    }
    for path in listable(&libraries) {
        rules = allow(rules, &path, AccessFs::ReadDir.into())?;
    }
    if setup.engine.device == Device::Cuda {
        for path in DEVICES {
            rules = allow(rules, Path::new(path), AccessFs::from_all(NEWEST))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

/// A path that is not there needs no rule. Rights of folders mean nothing for a file, and the kernel refuses
/// them.
fn allow(
    rules: landlock::RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<landlock::RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else { return Ok(rules) };
    let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(NEWEST) };
    rules.add_rule(PathBeneath::new(opened, rights))
}

fn readable(setup: &Setup, libraries: &[PathBuf]) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = SYSTEM.iter().chain(&KERNEL).map(PathBuf::from).collect();
    let model = &setup.model;
    paths.extend(model.spec.files.iter().map(|file| model.root.join(&file.name)));
    paths.extend(libraries.iter().flat_map(|library| around(library)));
    let listed = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    paths.extend(std::env::split_paths(&listed).filter(|folder| folder.is_absolute()));
    paths
}

/// Folders whose names alone are read: in a Python environment's `lib` the search for an engine finds the
/// version's folder.
fn listable(libraries: &[PathBuf]) -> Vec<PathBuf> {
    let wheels = libraries.iter().filter_map(|library| wheels(library));
    wheels.filter_map(|wheels| Some(wheels.parent()?.parent()?.to_owned())).collect()
}

/// The folder of a library, and that of the Python environment's libraries it may need: CUDA's are wheels of
/// their own.
fn around(library: &Path) -> Vec<PathBuf> {
    let real = library.canonicalize().unwrap_or_else(|_| library.to_owned());
    let folders = [library, &real].map(Path::parent);
    folders.into_iter().chain([wheels(&real)]).flatten().map(Path::to_owned).collect()
}

/// The folder of a Python environment's packages, if the library is in one.
fn wheels(library: &Path) -> Option<&Path> {
    library.ancestors().find(|above| above.ends_with("site-packages"))
}
