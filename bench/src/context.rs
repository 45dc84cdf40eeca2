//! The context of every part: machine, pictures, models and programs.
//!
//! It knows no part.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::engines::EngineConfig;
use crate::machine::Machine;
use crate::models::Models;
use crate::pictures::{Counts, Pictures};
use crate::place::Place;

/// A prepared measurement.
pub(crate) struct Bench {
    pub(crate) place: Place,
    pub(crate) machine: Machine,
    pub(crate) counts: Counts,
    pub(crate) pictures: Pictures,
    pub(crate) models: Models,
    pub(crate) tagfleet: PathBuf,
    pub(crate) peers: Option<Peers>,
    pub(crate) repetitions: u32,
}

/// Where the peers are.
pub(crate) struct Peers {
    pub(crate) folder: PathBuf,
    /// The Python that has their packages.
    pub(crate) python: PathBuf,
}

impl Bench {
    /// The versions of tagfleet and of the engines that can be loaded.
    pub(crate) fn versions(&self) -> BTreeMap<String, String> {
        let mut versions = BTreeMap::from([("tagfleet".to_owned(), self.version())]);
        for config in EngineConfig::all().into_iter().filter(|config| !config.is_int8()) {
            let Ok(model) = self.models.open(config.network, false, false) else { continue };
            if let Ok(record) = config.resolve(&model) {
                versions.insert(config.engine.shown().to_owned(), record.version);
            }
        }
        versions
    }

    pub(crate) fn version(&self) -> String {
        let commit = self.git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "no commit".to_owned());
        format!("{} ({commit})", env!("CARGO_PKG_VERSION"))
    }

    fn git(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("git").current_dir(&self.place.root).args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    }

    /// A message without this machine's paths, for a file that is committed.
    pub(crate) fn publishable(&self, message: &str) -> String {
        let mut text = message.replace(&self.place.root.display().to_string(), ".");
        if let Some(Peers { folder, python }) = &self.peers {
            let environment = python.parent().and_then(|folder| folder.parent()).unwrap_or(python);
            text = text.replace(&environment.display().to_string(), "VENV");
            text = text.replace(&folder.display().to_string(), "PEERS");
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(400).collect()
    }
}
