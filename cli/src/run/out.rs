//! Where results go: a folder, locked for one process, or a bucket's prefix; searched for the run to resume.
//!
//! It reads requests only, and starts a run by giving it a name; the pipeline finds out what a run has done.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt;
use tagfleet_aws::{Aws, S3Bucket};
use tagfleet_pipeline::bucket::{Bucket, BucketError, DirBucket, KeyRange, Kind};
use tagfleet_pipeline::run::{RunId, RunKeys, RunRequest};

use super::unfinished;
use crate::exit::{Failure, bad_input, broken};
use crate::place::{Place, with_slash};
use crate::run_id::new_run_id;

/// Held while a process works below a folder; released by the system whatever ends the process.
const LOCK: &str = ".tagfleet-lock";
/// More than any request; its labels are the most of it.
const MAX_REQUEST_BYTES: u64 = 64 << 20;

/// Where results go. A folder is locked, because a complete run's intermediate objects are removed there; in
/// a bucket nothing is removed, and conditional writes are enough.
pub(super) struct Out {
    place: Place,
    /// What the pipeline writes to.
    pub(super) bucket: Arc<dyn Bucket>,
    /// Every key starts with this.
    pub(super) prefix: String,
    folder: Option<DirBucket>,
    _lock: Option<File>,
}

/// The run that a command works on.
pub(super) struct RunChoice {
    pub(super) run: RunId,
    pub(super) is_new: bool,
    /// A note about an unfinished run that is left alone.
    pub(super) left: Option<String>,
}

/// Refuses a place whose results would be inputs of the next run.
pub(super) fn check_apart(out: &Place, input: &Place) -> Result<(), Failure> {
    let is_inside = match (out, input) {
        (Place::Path(out), Place::Path(input)) => {
            let absolute = std::path::absolute(out)
                .map_err(|error| bad_input(format!("--out {}: {error}", out.display())))?;
            // If it does not exist yet, the nearest existing folder above it decides.
            let real = absolute.ancestors().find_map(|above| fs::canonicalize(above).ok());
            real.is_some_and(|real| real.starts_with(input))
        }
        (Place::S3 { bucket, prefix }, Place::S3 { bucket: source, prefix: listed }) => {
            bucket == source && with_slash(prefix).starts_with(listed)
        }
        _ => false,
    };
    if is_inside {
        return Err(bad_input(format!(
            "--out {out}: is inside the input {input}, so results would be inputs of the next run: choose another"
        )));
    }
    Ok(())
}

impl Out {
    /// Makes a folder if it does not exist, and locks it. `aws` is `Some` if `place` is in a bucket.
    pub(super) fn open(place: &Place, aws: Option<&Aws>) -> Result<Self, Failure> {
        match (place, aws) {
            (Place::Path(path), _) => Self::open_folder(path),
            (Place::S3 { .. }, None) => Err(broken(format!("{place}: no client for it"))),
            (Place::S3 { bucket, prefix }, Some(aws)) => {
                let (bucket, prefix) = (Arc::new(S3Bucket::new(aws, bucket)), with_slash(prefix));
                Ok(Self { place: place.clone(), bucket, prefix, folder: None, _lock: None })
            }
        }
    }

    fn open_folder(path: &Path) -> Result<Self, Failure> {
        let unwritable = |error| bad_input(format!("--out {}: cannot be written: {error}", path.display()));
        fs::create_dir_all(path).map_err(unwritable)?;
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.join(LOCK));
        let lock = options.map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(bad_input(format!(
                    "--out {}: another tagfleet uses this folder: wait for it, or choose another folder",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(unwritable(error)),
        }
        let folder = DirBucket::new(path);
        Ok(Self {
            place: Place::Path(path.to_owned()),
            bucket: Arc::new(folder.clone()),
            prefix: String::new(),
            folder: Some(folder),
            _lock: Some(lock),
        })
    }

    /// The place as the user named it.
    pub(super) fn name(&self) -> String {
        format!("--out {}", self.place)
    }

    /// The latest unfinished run with this request, or a new one.
    pub(super) async fn find_or_start(&self, request: &RunRequest, new: bool) -> Result<RunChoice, Failure> {
        let runs = self.runs().await?;
        self.tidy(&runs)?;
        let mut left = None;
        for run in runs.into_iter().rev().filter(|_| !new) {
            match self.unfinished_request(&run).await? {
                Some(stored) if stored == *request => {
                    return Ok(RunChoice { run, is_new: false, left: None });
                }
                Some(stored) if left.is_none() => left = Some(unfinished::note(&run, &stored, request)),
                _ => {}
            }
        }
        Ok(RunChoice { run: new_run_id(request)?, is_new: true, left })
    }

    /// The keys of a run in this output. In a bucket all that a lifecycle rule may expire is below one
    /// prefix; in a folder each run removes its own.
    pub(super) fn keys(&self, run: &RunId) -> RunKeys {
        match self.place {
            Place::Path(_) => RunKeys::new(&self.prefix, run),
            Place::S3 { .. } => RunKeys::in_bucket(&self.prefix, run),
        }
    }

    /// The runs below, oldest first.
    async fn runs(&self) -> Result<Vec<RunId>, Failure> {
        let mut runs = BTreeSet::new();
        if let Place::Path(path) = &self.place {
            let unreadable = |error| bad_input(format!("--out {}: {error}", path.display()));
            for entry in fs::read_dir(path).map_err(unreadable)? {
                let name = entry.map_err(unreadable)?.file_name().into_string();
                runs.extend(name.ok().and_then(|name| RunId::try_from(name).ok()));
            }
            return Ok(runs.into_iter().collect());
        }
        let mut pages = self.bucket.list(&KeyRange::prefix(&self.prefix));
        while let Some(page) = pages.try_next().await.map_err(bad_input)? {
            for object in page {
                let name = object.key.strip_prefix(&self.prefix).and_then(|rest| rest.split('/').next());
                let run = name.and_then(|name| RunId::try_from(name.to_owned()).ok());
                // Other folders may be next to the runs.
                runs.extend(run.filter(|run| self.keys(run).request() == object.key));
            }
        }
        Ok(runs.into_iter().collect())
    }

    /// Removes what processes that were killed left behind in a folder: half-written files, and the stages'
    /// objects of runs that were complete.
    fn tidy(&self, runs: &[RunId]) -> Result<(), Failure> {
        let (Some(folder), Place::Path(path)) = (&self.folder, &self.place) else { return Ok(()) };
        folder.remove_unfinished().map_err(broken)?;
        for keys in runs.iter().map(|run| RunKeys::new("", run)) {
            if path.join(keys.success()).exists() {
                folder.remove_folder(&keys.work()).map_err(broken)?;
            }
        }
        Ok(())
    }

    /// Removes what only the stages of a complete run needed; in a bucket a lifecycle rule does.
    pub(super) fn remove_work(&self, keys: &RunKeys) -> Result<(), BucketError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        folder.remove_folder(&keys.work())?;
        folder.remove_unfinished()
    }

    /// The request of a run that is not complete. A request that cannot be read is of another version of
    /// tagfleet or not a request: that run is left alone.
    async fn unfinished_request(&self, run: &RunId) -> Result<Option<RunRequest>, Failure> {
        let keys = self.keys(run);
        if self.bucket.exists(&keys.success()).await.map_err(bad_input)? {
            return Ok(None);
        }
        match self.bucket.get(&keys.request(), None, MAX_REQUEST_BYTES).await {
            Ok(stored) => Ok(serde_json::from_slice(&stored.bytes).ok()),
            Err(error) if error.kind == Kind::Missing => Ok(None),
            Err(error) => Err(bad_input(error)),
        }
    }

    /// Where people find the results of a run.
    pub(super) fn results(&self, keys: &RunKeys) -> String {
        let key = keys.results();
        match &self.place {
            Place::Path(path) => path.join(key.trim_end_matches('/')).display().to_string(),
            Place::S3 { bucket, .. } => format!("s3://{bucket}/{key}"),
        }
    }

    /// Where people find its report.
    pub(super) fn report(&self, keys: &RunKeys) -> String {
        match &self.place {
            Place::Path(path) => path.join(keys.report()).display().to_string(),
            Place::S3 { bucket, .. } => format!("s3://{bucket}/{}", keys.report()),
        }
    }
}
