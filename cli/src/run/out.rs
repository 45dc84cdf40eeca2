//! The output folder: locked for one process, and searched for the run to go on with.
//!
//! It reads requests only, and begins a run by giving it a name; what a run has done is for the pipeline to find out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tagfleet_pipeline::bucket::DirBucket;
use tagfleet_pipeline::run::{RunId, RunKeys, RunRequest};

use crate::exit::{Failure, bad_input, broken};

/// Held while a process works below the folder; released by the system whatever ends the process.
const LOCK: &str = ".tagfleet-lock";

/// An output folder that this process alone works on.
pub(super) struct Out {
    path: PathBuf,
    _lock: File,
}

/// Refuses a folder whose results would be inputs of the next run.
pub(super) fn check_apart(out: &Path, input: &Path) -> Result<(), Failure> {
    let absolute =
        std::path::absolute(out).map_err(|error| bad_input(format!("--out {}: {error}", out.display())))?;
    // It need not exist yet: then what exists above it tells.
    let real = absolute.ancestors().find_map(|above| fs::canonicalize(above).ok());
    if real.is_some_and(|real| real.starts_with(input)) {
        let (out, input) = (out.display(), input.display());
        return Err(bad_input(format!(
            "--out {out}: is inside the input folder {input}, so results would be inputs of the next run: choose another"
        )));
    }
    Ok(())
}

impl Out {
    /// Makes the folder where it is not there, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let unwritable = |error| bad_input(format!("--out {}: cannot be written: {error}", path.display()));
        fs::create_dir_all(path).map_err(unwritable)?;
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.join(LOCK));
        let lock = options.map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(bad_input(format!(
                "--out {}: another tagfleet is working here: wait for it, or choose another folder",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(unwritable(error)),
        }
    }

    /// The latest unfinished run with this request, or a new one; and whether it is new.
    pub(super) fn find_or_begin(&self, request: &RunRequest, new: bool) -> Result<(RunId, bool), Failure> {
        let runs = self.runs()?;
        self.tidy(&runs)?;
        let unfinished = runs.into_iter().rev().find(|run| !new && self.can_go_on(run, request));
        match unfinished {
            Some(run) => Ok((run, false)),
            None => Ok((begin(request)?, true)),
        }
    }

    /// The runs below, oldest first.
    fn runs(&self) -> Result<Vec<RunId>, Failure> {
        let unreadable = |error| bad_input(format!("--out {}: {error}", self.path.display()));
        let mut runs = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name().into_string();
            runs.extend(name.ok().and_then(|name| RunId::try_from(name).ok()));
        }
        runs.sort_unstable();
        Ok(runs)
    }

    /// Removes what processes that were killed left behind: half-written files, and the stages' objects of runs that
    /// were complete.
    fn tidy(&self, runs: &[RunId]) -> Result<(), Failure> {
        let bucket = DirBucket::new(&self.path);
        bucket.remove_unfinished().map_err(broken)?;
        for keys in runs.iter().map(|run| RunKeys::new("", run)) {
            if self.path.join(keys.success()).exists() {
                bucket.remove_folder(&keys.work()).map_err(broken)?;
            }
        }
        Ok(())
    }

    /// A request that cannot be read is of another version of tagfleet, or none: that run is left alone.
    fn can_go_on(&self, run: &RunId, request: &RunRequest) -> bool {
        let keys = RunKeys::new("", run);
        if self.path.join(keys.success()).exists() {
            return false;
        }
        let stored = fs::read(self.path.join(keys.request())).ok();
        let stored = stored.and_then(|bytes| serde_json::from_slice::<RunRequest>(&bytes).ok());
        stored.is_some_and(|stored| stored == *request)
    }
}

/// Time first, so that runs sort by their beginning; a hash behind it, so that two of one second differ.
fn begin(request: &RunRequest) -> Result<RunId, Failure> {
    let now = Timestamp::now();
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(request).map_err(broken)?);
    hash.update(now.as_nanosecond().to_le_bytes());
    hash.update(std::process::id().to_le_bytes());
    let short: String = hash.finalize().iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    RunId::try_from(format!("{}-{short}", now.strftime("%Y%m%d-%H%M%S"))).map_err(broken)
}
