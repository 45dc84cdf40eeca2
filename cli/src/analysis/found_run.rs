//! A run whose objects are read: the folder, the place in a bucket or the run of a fleet that a user named.
//!
//! It finds a run that has ended, complete or not, and reads no row.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tagfleet_analysis::Subject;
use tagfleet_aws::S3Bucket;
use tagfleet_fleet::address::Address;
use tagfleet_pipeline::bucket::{Bucket, DirBucket, Kind};
use tagfleet_pipeline::run::{RunId, RunKeys};
use tagfleet_report::Summary;

use crate::args::StackOptions;
use crate::connection;
use crate::exit::{Failure, bad_input, broken};
use crate::finished::{RunFolder, none_finished};
use crate::fleet::FleetStack;
use crate::place::Place;

/// More than any summary or page.
const MAX_BYTES: u64 = 64 << 20;

/// A run whose objects are read.
pub(crate) struct FoundRun {
    pub(crate) run: RunId,
    pub(crate) output: Arc<dyn Bucket>,
    pub(crate) keys: RunKeys,
    /// The page, if it is on this machine.
    pub(crate) path: Option<PathBuf>,
    /// The page, as people name it.
    pub(crate) page: String,
}

impl FoundRun {
    /// The run that is meant: a folder, a place in a bucket, or a run of the fleet.
    pub(crate) async fn find(run: &OsStr, options: &StackOptions) -> Result<Self, Failure> {
        match Place::parse(run)? {
            Place::S3 { bucket, prefix } => in_bucket(options, &bucket, &prefix).await,
            Place::Path(path) if path.exists() => in_folder(&path),
            Place::Path(path) => in_fleet(options, &path).await,
        }
    }

    /// Its summary.
    pub(crate) async fn summary(&self) -> Result<Summary, Failure> {
        let stored = self.get(&self.keys.summary(), "it is not finished").await?;
        serde_json::from_slice(&stored)
            .map_err(|error| bad_input(format!("run {}: its summary cannot be read: {error}", self.run)))
    }

    /// The parts of its request that an analysis needs.
    pub(crate) async fn subject(&self) -> Result<Subject, Failure> {
        let stored = self.get(&self.keys.request(), "it was never started").await?;
        Subject::parse(self.run.clone(), &stored)
            .map_err(|error| bad_input(format!("run {}: {error}", self.run)))
    }

    fn remote(run: RunId, output: Arc<dyn Bucket>, bucket: &str, keys: RunKeys) -> Self {
        let page = Address { bucket: bucket.to_owned(), prefix: keys.report() }.to_string();
        Self { run, output, keys, path: None, page }
    }

    /// An object of the run; if it is missing, `why` explains what that means.
    pub(crate) async fn get(&self, key: &str, why: &str) -> Result<Bytes, Failure> {
        match self.output.get(key, None, MAX_BYTES).await {
            Ok(stored) => Ok(stored.bytes),
            Err(error) if error.kind == Kind::Missing => {
                Err(bad_input(format!("run {}: {why}: there is no {key}", self.run)))
            }
            Err(error) => Err(broken(error)),
        }
    }
}

fn in_folder(path: &Path) -> Result<FoundRun, Failure> {
    let unreadable = |error: io::Error| bad_input(format!("{}: {error}", path.display()));
    let path = path.canonicalize().map_err(unreadable)?;
    let folder = if has_ended(&path) {
        path
    } else {
        let runs = fs::read_dir(&path).map_err(unreadable)?.flatten().map(|entry| entry.path());
        let latest = runs.filter(|run| has_ended(run)).max();
        latest.ok_or_else(|| bad_input(none_finished(&path)))?
    };
    let Some(RunFolder { out, run, keys }) = RunFolder::new(&folder) else {
        return Err(bad_input(format!("{}: not the folder of a run", folder.display())));
    };
    let path = out.join(keys.report());
    Ok(FoundRun {
        output: Arc::new(DirBucket::new(out)),
        page: path.display().to_string(),
        path: Some(path),
        keys,
        run,
    })
}

fn has_ended(folder: &Path) -> bool {
    RunFolder::new(folder).is_some_and(|folder| folder.has(&folder.keys.summary()))
}

async fn in_bucket(options: &StackOptions, bucket: &str, prefix: &str) -> Result<FoundRun, Failure> {
    let folder = prefix.trim_end_matches('/');
    let (above, run) = folder.rsplit_once('/').map_or(("", folder), |(above, run)| (above, run));
    let run = RunId::try_from(run.to_owned())
        .map_err(|error| bad_input(format!("s3://{bucket}/{prefix}: not the folder of a run: {error}")))?;
    let above = if above.is_empty() { String::new() } else { format!("{above}/") };
    let aws = connection::to_stack(&options.aws).await?;
    let keys = RunKeys::in_bucket(&above, &run);
    Ok(FoundRun::remote(run, Arc::new(S3Bucket::new(&aws, bucket)), bucket, keys))
}

async fn in_fleet(options: &StackOptions, path: &Path) -> Result<FoundRun, Failure> {
    let text = path.to_str().filter(|text| RunId::try_from((*text).to_owned()).is_ok());
    let text =
        text.ok_or_else(|| bad_input(format!("{} is neither a folder nor a run ID", path.display())))?;
    let stack = FleetStack::find(options).await.map_err(|failure| no_folder(text, &failure))?;
    let found = stack.run(text).await?;
    let fleet = found.fleet.ok_or_else(|| {
        bad_input(format!("run {}: its request is wrong, so nothing was started", found.run))
    })?;
    Ok(FoundRun::remote(found.run, fleet.output, &fleet.valid.output.bucket, fleet.keys))
}

/// A name that is not a folder may be a run of a fleet, but no stack was reached.
fn no_folder(name: &str, failure: &Failure) -> Failure {
    bad_input(format!(
        "there is no folder {name}, and no stack could be asked for a run of this name: {}",
        failure.message()
    ))
}
