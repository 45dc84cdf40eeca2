//! `tagfleet report`: what a run did and what it cost, in full; and its page, to open or to keep.
//!
//! It reads what the run wrote, of this machine, of a bucket or of the fleet, and makes nothing up.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use tagfleet_aws::S3Bucket;
use tagfleet_cost::table::columns;
use tagfleet_cost::{Cost, CostLine};
use tagfleet_fleet::address::Address;
use tagfleet_pipeline::bucket::{Bucket, DirBucket, Kind};
use tagfleet_pipeline::run::{RunId, RunKeys};
use tagfleet_report::Summary;
use tokio::runtime::Builder;

use crate::args::ReportOptions;
use crate::connection;
use crate::exit::{Exit, Failure, bad_input, broken, print, print_json, tell};
use crate::finished::none_finished;
use crate::fleet::FleetStack;
use crate::place::Place;

/// More than any summary or page.
const MAX_BYTES: u64 = 64 << 20;

/// A run whose objects are read.
struct Found {
    run: RunId,
    output: Arc<dyn Bucket>,
    keys: RunKeys,
    /// The page, if it is on this machine.
    path: Option<PathBuf>,
    /// The page, as people name it.
    page: String,
}

pub(crate) fn report(options: &ReportOptions) -> Result<Exit, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(broken)?;
    runtime.block_on(show(options))
}

async fn show(options: &ReportOptions) -> Result<Exit, Failure> {
    let found = find(options).await?;
    let stored = found.get(&found.keys.summary(), "it is not finished").await?;
    let summary: Summary = serde_json::from_slice(&stored)
        .map_err(|error| bad_input(format!("run {}: its summary cannot be read: {error}", found.run)))?;
    if options.json {
        print_json(&serde_json::to_string_pretty(&summary).map_err(broken)?)?;
    } else {
        print(&text(&summary, &found.page))?;
    }
    if let Some(file) = &options.html {
        fs::write(file, found.page().await?)
            .map_err(|error| bad_input(format!("--html {}: cannot be written: {error}", file.display())))?;
    }
    if options.open {
        found.open().await?;
    }
    Ok(Exit::Finished)
}

/// The run that is meant: a folder, a place in a bucket, or a run of the fleet.
async fn find(options: &ReportOptions) -> Result<Found, Failure> {
    match Place::parse(&options.run)? {
        Place::S3 { bucket, prefix } => in_bucket(options, &bucket, &prefix).await,
        Place::Path(path) if path.exists() => in_folder(&path),
        Place::Path(path) => in_fleet(options, &path).await,
    }
}

fn in_folder(path: &Path) -> Result<Found, Failure> {
    let unreadable = |error: io::Error| bad_input(format!("{}: {error}", path.display()));
    let path = path.canonicalize().map_err(unreadable)?;
    let folder = if has_ended(&path) {
        path
    } else {
        let runs = fs::read_dir(&path).map_err(unreadable)?.flatten().map(|entry| entry.path());
        let latest = runs.filter(|run| has_ended(run)).max();
        latest.ok_or_else(|| bad_input(none_finished(&path)))?
    };
    let (Some(out), Some(run)) = (folder.parent(), run_of(&folder)) else {
        return Err(bad_input(format!("{}: not the folder of a run", folder.display())));
    };
    let keys = RunKeys::new("", &run);
    let path = out.join(keys.report());
    Ok(Found {
        output: Arc::new(DirBucket::new(out)),
        page: path.display().to_string(),
        path: Some(path),
        keys,
        run,
    })
}

fn run_of(folder: &Path) -> Option<RunId> {
    RunId::try_from(folder.file_name()?.to_str()?.to_owned()).ok()
}

fn has_ended(folder: &Path) -> bool {
    let keys = run_of(folder).map(|run| RunKeys::new("", &run));
    let (Some(keys), Some(out)) = (keys, folder.parent()) else { return false };
    out.join(keys.summary()).exists()
}

async fn in_bucket(options: &ReportOptions, bucket: &str, prefix: &str) -> Result<Found, Failure> {
    let folder = prefix.trim_end_matches('/');
    let (above, run) = folder.rsplit_once('/').map_or(("", folder), |(above, run)| (above, run));
    let run = RunId::try_from(run.to_owned())
        .map_err(|error| bad_input(format!("s3://{bucket}/{prefix}: not the folder of a run: {error}")))?;
    let above = if above.is_empty() { String::new() } else { format!("{above}/") };
    let aws = connection::to_stack(&options.stack.aws).await?;
    let keys = RunKeys::in_bucket(&above, &run);
    Ok(Found::remote(run, Arc::new(S3Bucket::new(&aws, bucket)), bucket, keys))
}

async fn in_fleet(options: &ReportOptions, path: &Path) -> Result<Found, Failure> {
    let text = path.to_str().filter(|text| RunId::try_from((*text).to_owned()).is_ok());
    let text =
        text.ok_or_else(|| bad_input(format!("{} is neither a folder nor a run ID", path.display())))?;
    let stack = FleetStack::find(&options.stack).await.map_err(|failure| no_folder(text, &failure))?;
    let found = stack.run(text).await?;
    let fleet = found.fleet.ok_or_else(|| {
        bad_input(format!("run {}: its request is wrong, so nothing was started", found.run))
    })?;
    Ok(Found::remote(found.run, fleet.output, &fleet.valid.output.bucket, fleet.keys))
}

/// A name that is not a folder may be a run of the fleet, which could not be asked.
fn no_folder(name: &str, failure: &Failure) -> Failure {
    bad_input(format!(
        "there is no folder {name}, and no stack could be asked for a run of this name: {}",
        failure.message()
    ))
}

impl Found {
    fn remote(run: RunId, output: Arc<dyn Bucket>, bucket: &str, keys: RunKeys) -> Self {
        let page = Address { bucket: bucket.to_owned(), prefix: keys.report() }.to_string();
        Self { run, output, keys, path: None, page }
    }

    /// An object of the run; if it is missing, `why` explains what that means.
    async fn get(&self, key: &str, why: &str) -> Result<Bytes, Failure> {
        match self.output.get(key, None, MAX_BYTES).await {
            Ok(stored) => Ok(stored.bytes),
            Err(error) if error.kind == Kind::Missing => {
                Err(bad_input(format!("run {}: {why}: there is no {key}", self.run)))
            }
            Err(error) => Err(broken(error)),
        }
    }

    async fn page(&self) -> Result<Bytes, Failure> {
        self.get(&self.keys.report(), "an earlier version of tagfleet wrote no page for it").await
    }

    /// Shows the page in the user's browser; without one, prints where the page is.
    async fn open(&self) -> Result<(), Failure> {
        let path = match &self.path {
            Some(path) => path.clone(),
            None => self.download().await?,
        };
        let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
        let mut command = Command::new(program);
        command.arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let problem = match command.status() {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        tell(&format!(
            "warning: no browser could be opened ({program}: {problem}): open file://{}",
            path.display()
        ));
        Ok(())
    }

    /// The page in a file of its own, which stays for the browser.
    async fn download(&self) -> Result<PathBuf, Failure> {
        let page = self.page().await?;
        let prefix = format!("tagfleet-{}-", self.run);
        let file = tempfile::Builder::new().prefix(&prefix).suffix(".html").tempfile().map_err(broken)?;
        let (_, path) = file.keep().map_err(broken)?;
        fs::write(&path, page).map_err(|error| broken(format!("{}: {error}", path.display())))?;
        tell(&format!("note: {} is a copy of {}", path.display(), self.page));
        Ok(path)
    }
}

fn text(summary: &Summary, page: &str) -> String {
    let mut text = summary.text();
    // Writing to a String cannot fail.
    if let Some(cost) = &summary.cost {
        text.push('\n');
        text.push_str(&bill(cost));
        if let Some(plan) = &cost.plan {
            let _ = write!(text, "\n{}", plan.table());
        }
    }
    let _ = writeln!(text, "\nreport   {page}");
    text
}

/// Every line of the bill, in columns.
fn bill(cost: &Cost) -> String {
    let head = ["stage", "service", "item", "quantity", "unit", "unit price", "usd"];
    let cells = |line: &CostLine| {
        let [stage, service, item, _, unit, _, _] = line.cells();
        let (quantity, price) = (format!("{:.3}", line.quantity), line.unit_price.to_string());
        [stage, service, item, quantity, unit, price, format!("{:.4}", line.usd)]
    };
    columns(head, cost.lines.iter().map(cells), format!("{:.4}", cost.total_usd))
}

#[cfg(test)]
mod tests {
    use tagfleet_cost::COST_VERSION;

    use super::*;

    #[test]
    fn a_bill_in_columns() {
        let line = |stage: &str, item: &str, quantity, unit_price: f64| CostLine {
            stage: stage.to_owned(),
            service: "S3".to_owned(),
            item: item.to_owned(),
            quantity,
            unit: "1k requests".to_owned(),
            unit_price,
            usd: quantity * unit_price,
        };
        let cost = Cost {
            version: COST_VERSION,
            region: "us-east-1".to_owned(),
            prices_of: "2026-11-23".to_owned(),
            lines: vec![
                line("split", "ListObjectsV2", 12.0, 0.005),
                line("infer", "GetObject", 1000.0, 0.0004),
            ],
            total_usd: 0.46,
            usd_per_million: None,
            spot_saved_usd: 0.0,
            notes: vec![],
            plan: None,
        };
        insta::assert_snapshot!(bill(&cost), @r"
        stage  service  item           quantity  unit         unit price     usd
        split  S3       ListObjectsV2    12.000  1k requests       0.005  0.0600
        infer  S3       GetObject      1000.000  1k requests      0.0004  0.4000
        total                                                             0.4600
        ");
    }
}
