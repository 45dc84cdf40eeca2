//! Finds the run to go on with: unfinished, below the same output folder, with an equal request.
//!
//! It reads requests only, and begins a run by giving it a name; what a run has done is for the pipeline to find out.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tagfleet_pipeline::run::{RunId, RunKeys, RunRequest};

use crate::exit::{Failure, bad_input, broken};

/// Makes sure that results can be written, and not to where images are read from.
pub(super) fn check_out(out: &Path, input: &Path) -> Result<(), Failure> {
    let unwritable =
        |error: std::io::Error| bad_input(format!("--out {}: cannot be written: {error}", out.display()));
    fs::create_dir_all(out).map_err(unwritable)?;
    let real = fs::canonicalize(out).map_err(unwritable)?;
    if real.starts_with(input) {
        let (out, input) = (out.display(), input.display());
        return Err(bad_input(format!(
            "--out {out}: is inside the input folder {input}, so results would be inputs of the next run: choose another"
        )));
    }
    let probe = real.join(".tagfleet-probe");
    fs::write(&probe, "").map_err(unwritable)?;
    fs::remove_file(&probe).map_err(unwritable)
}

/// The latest unfinished run with this request, or a new one; and whether it is new.
pub(super) fn find_or_begin(out: &Path, request: &RunRequest, new: bool) -> Result<(RunId, bool), Failure> {
    if !new && let Some(run) = unfinished(out, request)? {
        return Ok((run, false));
    }
    Ok((begin(request)?, true))
}

fn unfinished(out: &Path, request: &RunRequest) -> Result<Option<RunId>, Failure> {
    let entries =
        fs::read_dir(out).map_err(|error| bad_input(format!("--out {}: {error}", out.display())))?;
    let mut runs: Vec<RunId> = entries
        .flatten()
        .filter_map(|entry| RunId::try_from(entry.file_name().into_string().ok()?).ok())
        .collect();
    runs.sort_unstable();
    Ok(runs.into_iter().rev().find(|run| can_go_on(out, run, request)))
}

/// A request that cannot be read is of another version of tagfleet, or none: that run is left alone.
fn can_go_on(out: &Path, run: &RunId, request: &RunRequest) -> bool {
    let keys = RunKeys::new("", run);
    if out.join(keys.success()).exists() {
        return false;
    }
    let stored = fs::read(out.join(keys.request())).ok();
    let stored = stored.and_then(|bytes| serde_json::from_slice::<RunRequest>(&bytes).ok());
    stored.is_some_and(|stored| stored == *request)
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
