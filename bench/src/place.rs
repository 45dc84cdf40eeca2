//! The paths of what is committed, and of what is generated below `target/bench`.
//!
//! Names only; nothing is made here.

use std::path::{Path, PathBuf};

/// The folders and files of the benchmark, below the project's root.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Of the project.
    pub(crate) root: PathBuf,
    quick: bool,
}

impl Place {
    /// Of the project that this program was built in.
    pub(crate) fn new(quick: bool) -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self { root: package.parent().unwrap_or(package).to_owned(), quick }
    }

    /// Of a project elsewhere.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), quick: true }
    }

    /// What is generated: `target/bench/NAME`.
    pub(crate) fn generated(&self, name: &str) -> PathBuf {
        self.root.join("target/bench").join(name)
    }

    /// The stored figures.
    pub(crate) fn results(&self) -> PathBuf {
        self.root.join(if self.quick { "target/bench/quick.json" } else { "bench/results.json" })
    }

    /// The stored figures of a machine with a GPU.
    pub(crate) fn gpu_results(&self) -> PathBuf {
        self.root.join(if self.quick { "target/bench/quick-gpu.json" } else { "bench/gpu.json" })
    }

    /// The figures for people.
    pub(crate) fn benchmarks(&self) -> PathBuf {
        if self.quick { self.generated("quick.md") } else { self.root.join("BENCHMARKS.md") }
    }
}
