//! The report of a run as one page: `report.html`, which needs no network, no script and no other file.
//!
//! Pure but for [`write()`], which fetches the pictures and stores the page. Keys, labels and messages come from users and
//! their objects: all of them go through `text`, and a policy in the page forbids everything but its own style and
//! pictures.

mod chart;
mod cost;
mod failures;
mod overview;
mod pictures;
mod table;
mod tags;
#[cfg(test)]
pub(crate) mod tests;
mod text;

use crate::bucket::Bucket;
use crate::reduce::{ReduceError, TagCounts};
use crate::report::Summary;
use crate::report::samples::{self, Samples};
use crate::report::throughput::Throughput;
use crate::run::{RunKeys, RunRequest};

/// What the page may do: show its own style and the pictures in it. Not even its own scripts, if it had any, would run.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
const STYLE: &str = include_str!("html/report.css");

/// What a page tells of a run.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// How it ended.
    pub summary: &'a Summary,
    /// What was asked for.
    pub request: &'a RunRequest,
    /// How often each label was given.
    pub tags: &'a TagCounts,
    /// How fast it was.
    pub throughput: &'a Throughput,
}

/// Chooses the pictures of a run and writes its page, replacing one of an earlier try.
///
/// # Errors
/// Where the bucket fails.
pub async fn write(output: &dyn Bucket, keys: &RunKeys, report: &Report<'_>) -> Result<(), ReduceError> {
    let samples = samples::collect(output, keys, report.tags).await?;
    Ok(output.put(&keys.report(), page(report, &samples).into()).await?)
}

/// The page.
#[must_use]
pub fn page(report: &Report<'_>, samples: &Samples) -> String {
    let Report { summary, request, tags, throughput } = report;
    let run = text::escape(&summary.run.to_string());
    let sections = [
        overview::figures(summary),
        overview::problem(summary),
        chart::section(throughput, summary.images_here, summary.device.as_ref()),
        tags::section(tags, summary.tagged),
        pictures::section(samples),
        failures::section(summary, samples),
        cost::section(summary.cost.as_ref()),
        overview::what_ran(summary, request),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>tagfleet run {run}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{header}<main>\n{main}</main>\n\
         <footer><p>Made by tagfleet. This file is all there is: it loads nothing and tells nobody.</p></footer>\n\
         </body>\n</html>\n",
        header = overview::header(summary),
        main = sections.concat(),
    )
}
