//! What `tagfleet --version` prints: the version, the commit and the target, then the engines of this
//! machine.
//!
//! Only `--version` loads engines to describe them; `-V` and all other commands do not.

use std::ffi::OsStr;

use tagfleet_model::engine;

/// The version with the commit, if it is known, and the target.
pub(crate) const SHORT: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("TAGFLEET_BUILD"), ")");

/// Whether the arguments ask for it in long form.
pub(super) fn is_asked(mut arguments: impl Iterator<Item = impl AsRef<OsStr>>) -> bool {
    arguments.any(|argument| argument.as_ref() == "--version")
}

/// The short form, and a line for each engine.
pub(super) fn long() -> String {
    let engines = engine::found().into_iter().map(|found| match found.library {
        Ok(library) => format!("  {:<13} {}", found.name, library),
        Err(error) => format!("  {:<13} none: {error}", found.name),
    });
    let lines: Vec<String> = std::iter::once(SHORT.to_owned()).chain(engines).collect();
    lines.join("\n")
}
