//! What the child may do: read its model, its engine and the system's libraries, compute, and talk through
//! its pipes.
//!
//! Decoders and engines are C and C++ that read bytes of strangers. A memory bug in one of them must not
//! reach the user's files, keys or network, so the child gives all of that up before it reads a model or a
//! picture: landlock leaves it the files that it needs, read-only; seccomp takes sockets, other programs and
//! other processes from it; limits bound its memory and its files. Once the model is loaded on a processor,
//! only the calls that computing takes are left.
//!
//! The rights are given up for good, so nothing here can be undone. It opens no file and judges no model. A
//! kernel that lacks one of the means leaves a note for people, never an error.

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod limits;

use super::setup::Setup;

/// What the parent leaves in the child's environment besides [`KEPT_PREFIXES`]; above all no credential.
const KEPT: [&str; 10] = [
    "VIRTUAL_ENV",
    "INTEL_OPENVINO_DIR",
    "PATH",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "TZ",
    "RUST_BACKTRACE",
    "MALLOC_ARENA_MAX",
    "GLIBC_TUNABLES",
];
/// Settings of the loader, of engines and of their drivers.
const KEPT_PREFIXES: [&str; 8] = ["LD_", "DYLD_", "OMP_", "KMP_", "ORT_", "OPENVINO_", "CUDA_", "NVIDIA_"];

/// True for a variable that the child needs.
pub(super) fn is_kept(name: &str) -> bool {
    KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Keeps other processes of the same user, the child above all, from reading this one's memory and
/// environment.
#[cfg(target_os = "linux")]
pub(super) fn close_parent() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn close_parent() -> std::io::Result<()> {
    Ok(())
}

/// Gives up, on the only thread there is yet, all that loading and tagging do not take. Returns notes for
/// people.
///
/// # Errors
/// If the system refuses a limit that it has.
#[cfg(target_os = "linux")]
pub(super) fn enter(setup: &Setup) -> Result<Vec<String>, String> {
    limits::set(setup).map_err(|error| format!("the model's process cannot be limited: {error}"))?;
    let mut missing = Vec::new();
    if !files::restrict(setup)? {
        missing.push("landlock");
    }
    if !calls::deny()? {
        missing.push("seccomp");
    }
    Ok(notes(&missing))
}

/// Leaves every thread only the calls that computing takes. A device's driver needs more, so with one nothing
/// changes.
///
/// # Errors
/// If the system refuses.
#[cfg(target_os = "linux")]
pub(super) fn narrow(setup: &Setup) -> Result<(), String> {
    match setup.engine.device {
        crate::engine::Device::Cuda => Ok(()),
        crate::engine::Device::Cpu | crate::engine::Device::Rehearsal => calls::allow_computing(),
    }
}

#[cfg(target_os = "linux")]
fn notes(missing: &[&str]) -> Vec<String> {
    if missing.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "the process that decodes and runs the model is only partly sandboxed: this kernel has no {}",
        missing.join(" and no ")
    )]
}

#[cfg(not(target_os = "linux"))]
pub(super) fn enter(_: &Setup) -> Result<Vec<String>, String> {
    Ok(vec![
        "the process that decodes and runs the model is not sandboxed: only Linux has the means".to_owned(),
    ])
}

#[cfg(not(target_os = "linux"))]
pub(super) fn narrow(_: &Setup) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_is_kept() {
        let secrets = [
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "HTTPS_PROXY",
            "HOME",
            "SSH_AUTH_SOCK",
            "HF_TOKEN",
        ];
        assert!(secrets.iter().all(|name| !is_kept(name)));
        for needed in ["LD_LIBRARY_PATH", "ORT_DISABLE_TELEMETRY", "OMP_NUM_THREADS", "TMPDIR"] {
            assert!(is_kept(needed), "{needed}");
        }
    }
}
