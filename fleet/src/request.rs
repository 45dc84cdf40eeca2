//! The request file: what a user asks of a fleet, written by hand or by `tagfleet submit`.
//!
//! It is validated as a whole before anything starts, and unknown fields are refused: a misspelt option must
//! not be ignored for hours. Nothing in this module makes a request to AWS.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::deadline;
use crate::address::Address;
use crate::earlier::Continued;
use tagfleet_cost::forecast::Estimate;
use tagfleet_pipeline::filter::Filter;
use tagfleet_pipeline::format::visible;
use tagfleet_pipeline::run::{StackKeys, TagOptions};

/// The version of the request file.
pub const FLEET_REQUEST_VERSION: u32 = 1;
/// The most bytes of a request file: 1 MiB, room for thousands of prefixes.
pub const MAX_REQUEST_BYTES: u64 = 1 << 20;
const MAX_PREFIXES: usize = 1000;
/// SES takes 50 recipients a mail.
pub(crate) const MAX_RECIPIENTS: usize = 50;
/// S3's keys have 1,024 bytes at most, and what a run writes below its output takes some of them.
const MAX_OUTPUT_BYTES: usize = 800;
/// AWS Batch's limit for an array job.
const MAX_WORKERS: u32 = 10_000;

/// A request file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FleetRequest {
    /// [`FLEET_REQUEST_VERSION`].
    pub version: u32,
    /// Prefixes of one bucket, `s3://shop/photos/`; none may be within another.
    pub input: Vec<String>,
    /// Globs; a key is an input if one of these matches, or if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Globs; a key that matches one of these is not an input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Whether to read files that are not meant as images: what systems leave behind, hidden files, plain
    /// text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_files: bool,
    /// A list of objects in place of a listing, `s3://lists/inventory/.../manifest.json`: only those that it
    /// has below `input` are inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The manifest's column of keys, or its number in CSV without a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_column: Option<String>,
    /// A published model, `s3://bucket/models/mobilenet-0a1b2c3d4e5f/`.
    pub model: String,
    /// Where results go; the stack's own bucket by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Keeps the rows of an earlier run with the same output for images that are the same: its id, or
    /// `latest` for the latest run that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The largest share of images whose tags may differ from those of `since`, from 0 to 1; above it, the
    /// mail warns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_flips: Option<f64>,
    /// Tags only the failed images of an earlier run with the same output again, and keeps its other rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
    /// Which tags a row keeps, where it is not what the model was published with.
    #[serde(default)]
    pub tags: TagOverrides,
    /// Device of the workers.
    #[serde(default)]
    pub device: Device,
    /// At most this many workers, 1 to 10,000; by default one for each 50,000 images, at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
    /// Dollars that the run may cost: it stops taking work before it costs more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_usd: Option<f64>,
    /// When the run is to be done, from its start: `6h`, `90m`. It decides how many workers there are, up to
    /// `workers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// Who gets a mail at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<String>,
    /// Whether the images may be in another region than the stack: each GET then pays for the transfer.
    #[serde(default)]
    pub any_region: bool,
    /// Whether the mail links to the report in the S3 console, which asks its reader to sign in.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub mail_link: bool,
    /// The AWS profile of the submitter, for the commands in the mail. It decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The command line that made this request, for the report. It decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What `tagfleet plan` expected the run to take and cost; the bill is compared with it. It decides
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Estimate>,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(flag: &bool) -> bool {
    *flag
}

/// The tags a request asks for; what is left out is as the model was published.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TagOverrides {
    /// See [`TagOptions::top_k`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// See [`TagOptions::threshold`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// See [`TagOptions::labels`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// See [`TagOptions::thresholds`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<BTreeMap<String, f32>>,
}

impl TagOverrides {
    /// What is asked for, over what the model was published with.
    #[must_use]
    pub fn over(&self, published: &TagOptions) -> TagOptions {
        TagOptions {
            top_k: self.top_k.unwrap_or(published.top_k),
            threshold: self.threshold.unwrap_or(published.threshold),
            labels: self.labels.clone().or_else(|| published.labels.clone()),
            thresholds: self.thresholds.clone().unwrap_or_else(|| published.thresholds.clone()),
        }
    }
}

/// What workers run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// CPU instances.
    #[default]
    Cpu,
    /// Instances with a GPU.
    Gpu,
}

/// The request is wrong, and why: one sentence that names the field and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the request is wrong: {0}")]
pub struct InvalidRequest(String);

/// The request's content in its error, on one line, because the error goes into a mail.
pub(super) fn invalid(why: impl Display) -> InvalidRequest {
    InvalidRequest(visible(&why.to_string()))
}

/// A request that was found valid, with its addresses parsed.
#[derive(Clone, Debug)]
pub struct ValidRequest {
    /// What was asked for.
    pub request: FleetRequest,
    /// The source bucket's name.
    pub source: String,
    /// What the inputs' keys start with, sorted.
    pub prefixes: Vec<String>,
    /// Which keys are inputs.
    pub filter: Filter,
    /// What lists them, if that is not the bucket itself.
    pub manifest: Option<Address>,
    /// The folder of the published model.
    pub model: Address,
    /// The folder that the run's results go to.
    pub output: Address,
    /// How long the run may take.
    pub deadline: Option<Duration>,
    /// The earlier run that it continues.
    pub continued: Option<Continued>,
}

impl ValidRequest {
    /// Reads a request file; `stack` is the name of the stack's bucket.
    ///
    /// # Errors
    /// If it is not a request of this version, or asks for what cannot be.
    pub fn parse(bytes: &[u8], stack: &str) -> Result<Self, InvalidRequest> {
        let request: FleetRequest = serde_json::from_slice(bytes)
            .map_err(|error| invalid(format!("not a request file of this tagfleet: {error}")))?;
        Self::new(request, stack)
    }

    /// The same of a request that was read already.
    ///
    /// # Errors
    /// If it asks for what cannot be.
    pub fn new(request: FleetRequest, stack: &str) -> Result<Self, InvalidRequest> {
        if request.version != FLEET_REQUEST_VERSION {
            let version = request.version;
            return Err(invalid(format!("version {version}: this tagfleet reads {FLEET_REQUEST_VERSION}")));
        }
        check_options(&request)?;
        let inputs = inputs(&request.input)?;
        let filter = Filter::new(&request.include, &request.exclude, request.all_files).map_err(invalid)?;
        let model =
            Address::parse(&request.model).map_err(|error| invalid(format!("model: {error}")))?.folder();
        check_model(&model, stack)?;
        let output = request.output.clone().unwrap_or_else(|| format!("s3://{stack}/{}", StackKeys::TAGS));
        let output = Address::parse(&output).map_err(|error| invalid(format!("output: {error}")))?.folder();
        check_output(&output, &inputs, stack)?;
        let manifest = manifest(&request, stack)?;
        let source = inputs[0].bucket.clone();
        let prefixes = inputs.into_iter().map(|input| input.prefix).collect();
        let deadline = request.deadline.as_deref().map(deadline::parse).transpose();
        let deadline = deadline.map_err(|why| invalid(format!("deadline: {why}")))?;
        let continued = continued(&request)?;
        Ok(Self { request, source, prefixes, filter, manifest, model, output, deadline, continued })
    }
}

/// The earlier run that the request names.
fn continued(request: &FleetRequest) -> Result<Option<Continued>, InvalidRequest> {
    if request.retry.is_some() && request.manifest.is_some() {
        return Err(invalid(
            "retry and manifest: give one of them, because a retry has the inputs of its run",
        ));
    }
    if request.max_flips.is_some_and(|share| request.since.is_none() || !(0.0..=1.0).contains(&share)) {
        return Err(invalid("max_flips: give a share from 0 to 1, and since, the run to compare with"));
    }
    let (field, text, only_failed) = match (&request.since, &request.retry) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(invalid("since and retry: give one of them")),
        (Some(since), None) => ("since", since, false),
        (None, Some(retry)) => ("retry", retry, true),
    };
    let choice = text.parse().map_err(|error| invalid(format!("{field}: {error}, or \"latest\"")))?;
    Ok(Some(Continued { choice, only_failed }))
}

/// The input prefixes, sorted: of one bucket, none within another.
fn inputs(texts: &[String]) -> Result<Vec<Address>, InvalidRequest> {
    if texts.is_empty() || texts.len() > MAX_PREFIXES {
        return Err(invalid(format!("input: give 1 to {MAX_PREFIXES} prefixes, not {}", texts.len())));
    }
    let mut inputs = Vec::with_capacity(texts.len());
    for text in texts {
        inputs.push(Address::parse(text).map_err(|error| invalid(format!("input: {error}")))?);
    }
    inputs.sort_by(|a, b| a.prefix.cmp(&b.prefix));
    for pair in inputs.windows(2) {
        if pair[0].bucket != pair[1].bucket {
            let (a, b) = (&pair[0], &pair[1]);
            return Err(invalid(format!(
                "input: {a} and {b} are of two buckets: give each a request of its own"
            )));
        }
        if pair[0].holds(&pair[1]) {
            let (outer, inner) = (&pair[0], &pair[1]);
            return Err(invalid(format!("input: {inner} is within {outer}: leave one of them out")));
        }
    }
    Ok(inputs)
}

/// Of the stack's bucket, only what is published is a model: a user who may put a request may also put other
/// objects.
fn check_model(model: &Address, stack: &str) -> Result<(), InvalidRequest> {
    if model.bucket == stack && !model.prefix.starts_with(StackKeys::MODELS) {
        let models = StackKeys::MODELS;
        return Err(invalid(format!(
            "model: {model} is in the stack's bucket, but not below {models}, where published models are"
        )));
    }
    Ok(())
}

/// Of the stack's bucket, only lists and results are manifests: requests and ledgers never are.
fn manifest(request: &FleetRequest, stack: &str) -> Result<Option<Address>, InvalidRequest> {
    let Some(text) = &request.manifest else {
        return match &request.key_column {
            Some(_) => Err(invalid("key_column: it is a column of a manifest: give one, or leave it out")),
            None => Ok(None),
        };
    };
    if request.retry.is_some() {
        return Err(invalid("manifest and retry: a retry has the inputs of its run: leave one of them out"));
    }
    let manifest = Address::parse(text).map_err(|error| invalid(format!("manifest: {error}")))?;
    let [lists, tags] = [StackKeys::LISTS, StackKeys::TAGS];
    if manifest.bucket == stack && ![lists, tags].iter().any(|place| manifest.prefix.starts_with(place)) {
        return Err(invalid(format!(
            "manifest: {manifest} is in the stack's bucket, where lists are below {lists}, and results below {tags}: \
             copy it there"
        )));
    }
    Ok(Some(manifest))
}

/// Results must never be inputs of the next run, nor start one.
fn check_output(output: &Address, inputs: &[Address], stack: &str) -> Result<(), InvalidRequest> {
    if let Some(input) = inputs.iter().find(|input| input.holds(output)) {
        return Err(invalid(format!(
            "output: {output} is inside the input {input}, so results would be inputs of the next run: choose another"
        )));
    }
    if output.prefix.len() > MAX_OUTPUT_BYTES {
        let bytes = output.prefix.len();
        return Err(invalid(format!(
            "output: its prefix has {bytes} bytes, and S3 keys have at most 1,024 bytes: give at most {MAX_OUTPUT_BYTES}"
        )));
    }
    // The rest of the stack's bucket has another use: a result below requests/ would start a run.
    if output.bucket == stack && !output.prefix.starts_with(StackKeys::TAGS) {
        let tags = StackKeys::TAGS;
        return Err(invalid(format!(
            "output: {output} is in the stack's bucket, where results are below {tags}: choose a place there, or \
             another bucket that the stack knows"
        )));
    }
    if output.bucket == stack && output.prefix.starts_with(StackKeys::WORKING) {
        return Err(invalid(format!(
            "output: {output} is where runs keep their working objects, and would be deleted with them: choose another place"
        )));
    }
    Ok(())
}

fn check_options(request: &FleetRequest) -> Result<(), InvalidRequest> {
    if request.tags.top_k == Some(0) {
        return Err(invalid("tags.top_k: give at least 1"));
    }
    if request.tags.threshold.is_some_and(|threshold| !threshold.is_finite()) {
        return Err(invalid("tags.threshold: give a number"));
    }
    if request.tags.labels.as_ref().is_some_and(Vec::is_empty) {
        return Err(invalid("tags.labels: the list is empty: name a label, or leave it out to keep all"));
    }
    if request.tags.thresholds.iter().flatten().any(|(_, threshold)| !threshold.is_finite()) {
        return Err(invalid("tags.thresholds: give a number for each label"));
    }
    if request.workers.is_some_and(|workers| !(1..=MAX_WORKERS).contains(&workers)) {
        return Err(invalid(format!("workers: give 1 to {MAX_WORKERS}, or leave it out")));
    }
    if request.max_usd.is_some_and(|max_usd| !is_limit(max_usd)) {
        return Err(invalid("max_usd: give dollars, more than 0, or leave it out"));
    }
    if let Some(why) = request.plan.as_ref().and_then(Estimate::problem) {
        return Err(invalid(format!("plan: {why}: take what `tagfleet plan` writes, or leave it out")));
    }
    if request.notify.len() > MAX_RECIPIENTS {
        return Err(invalid(format!("notify: a mail has at most {MAX_RECIPIENTS} recipients")));
    }
    match request.notify.iter().find(|address| !is_mail_address(address)) {
        Some(address) => Err(invalid(format!("notify: {address:?} is not a mail address"))),
        None => Ok(()),
    }
}

/// Strict on purpose: nothing that a mail header could take for anything else.
#[must_use]
pub fn is_mail_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_plain = |text: &str, more: &[u8]| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    text.len() <= 254
        && is_plain(local, b".!#$%&'*+/=?^_`{|}~-")
        && is_plain(domain, b".-")
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
}

/// Whether dollars are a limit: a finite number above 0.
#[must_use]
pub fn is_limit(max_usd: f64) -> bool {
    max_usd.is_finite() && max_usd > 0.0
}

#[cfg(test)]
mod tests;
