//! Where the description that was found is written, as a `tagfleet.toml`.
//!
//! An existing file is replaced only on demand, and then keeps its line of labels.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tagfleet_model::folder::{Description, Model, ModelSpec};
use tagfleet_model::preprocessing::Preprocessing;

use crate::args::FitOptions;
use crate::exit::{Failure, bad_input, broken};

const NAME: &str = "tagfleet.toml";

/// The file to write.
pub(super) struct Target {
    pub(super) path: PathBuf,
    /// A line of the model's present file that names its labels.
    labels: Option<String>,
}

impl Target {
    /// Chooses the file before anything is tried.
    ///
    /// # Errors
    /// If it exists and may not be replaced.
    pub(super) fn new(options: &FitOptions, model: &Model) -> Result<Self, Failure> {
        let present = model.root.join(NAME);
        let path = options.out.clone().unwrap_or_else(|| present.clone());
        let is_free = options.force || options.dry_run || !path.exists();
        if !is_free {
            return Err(bad_input(format!(
                "{} exists: --force replaces it, --out FILE writes another, --dry-run writes none",
                path.display()
            )));
        }
        Ok(Self { path, labels: labels(&present)? })
    }

    /// Writes the description of `steps`.
    pub(super) fn write(&self, spec: &ModelSpec, steps: &Preprocessing) -> Result<(), Failure> {
        let description = Description { preprocessing: steps, ..Description::of(spec) };
        let mut text = format!("# found by tagfleet fit {}\n", env!("CARGO_PKG_VERSION"));
        text.push_str(&description.toml());
        text.extend(self.labels.iter().map(|line| format!("{line}\n")));
        write_file(&self.path, &text)
    }
}

/// The line of labels of a `tagfleet.toml`, which was read without an error before.
fn labels(path: &Path) -> Result<Option<String>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(bad_input(format!("{}: {error}", path.display()))),
    };
    let is_labels = |line: &&str| line.split_once('=').is_some_and(|(key, _)| key.trim() == "labels");
    Ok(text.lines().find(is_labels).map(str::to_owned))
}

/// Writes a file, or replaces what it holds.
pub(super) fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| broken(format!("{}: cannot be written: {error}", path.display())))
}
