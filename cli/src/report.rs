//! `tagfleet report`: what a run did and what it cost, in full; and its page, to open or to keep.
//!
//! It only shows what the run wrote: on this machine, in a bucket or in a fleet.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bytes::Bytes;
use tagfleet_cost::table::columns;
use tagfleet_cost::{Cost, CostLine};
use tagfleet_report::Summary;

use crate::analysis::found_run::FoundRun;
use crate::args::ReportOptions;
use crate::exit::{Exit, Failure, bad_input, broken, print, print_json, tell};
use crate::runtime::block_on;

pub(crate) fn report(options: &ReportOptions) -> Result<Exit, Failure> {
    block_on(show(options))
}

async fn show(options: &ReportOptions) -> Result<Exit, Failure> {
    let found = FoundRun::find(&options.run, &options.stack).await?;
    let summary = found.summary().await?;
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

impl FoundRun {
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
