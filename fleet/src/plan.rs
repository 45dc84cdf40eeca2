//! Plan: a request -> the run's stored request and its key ranges.
//!
//! Every fault of a request is found before anything starts; a run that is planned is never planned again. It
//! lists a few pages of the source and reads no image.

use std::collections::HashSet;

use futures::stream::TryStreamExt;

use super::earlier;
use super::manifest;
use super::model::{self, PublishedModel};
use super::{FleetError, FleetRun, Stack};
use crate::address::Address;
use tagfleet_pipeline::bucket::{Bucket, BucketError, KeyRange, Kind};
use tagfleet_pipeline::denied;
use tagfleet_pipeline::record;
use tagfleet_pipeline::run::{
    DECODER_VERSION, Input, ManifestRecord, REQUEST_VERSION, Ranges, RunKeys, RunRequest, StackKeys,
};
use tagfleet_pipeline::split::cut;

/// A planned run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many ranges there are to split.
    pub ranges: u32,
    /// True if an earlier call had planned it.
    pub resumed: bool,
}

/// Plans `fleet`, or finds that it is planned.
///
/// # Errors
/// If the request is wrong: nothing is written then.
pub async fn plan(stack: &Stack, fleet: &FleetRun) -> Result<Plan, FleetError> {
    let (output, keys) = (fleet.output.as_ref(), &fleet.keys);
    let is_planned = is_planned(fleet).await?;
    if !is_planned {
        apart_from_runs(stack, fleet).await?;
        let model = (stack.open)(&fleet.valid.model.bucket);
        let published = model::read(model.as_ref(), &fleet.valid.model).await?;
        let mut request = request(fleet, &published)?;
        request.since = earlier::find(fleet, &request).await?;
        let (listed, ranges) = inputs(stack, fleet, &request).await?;
        request.input.manifest = listed;
        record::create(output, &keys.ranges(), &Ranges { version: 1, ranges }).await?;
        // Last, and it never expires: where it is there without the ranges, these were there once.
        record::create(output, &keys.request(), &request).await?;
    }
    if stack.bucket.exists(&StackKeys::denied_accepted(&fleet.run)).await? {
        denied::accept(output, keys).await?;
    }
    // Of two calls at once the first one's ranges count.
    let ranges: Ranges = record::read(output, &keys.ranges()).await?;
    Ok(Plan { ranges: u32::try_from(ranges.ranges.len()).unwrap_or(u32::MAX), resumed: is_planned })
}

/// The ranges of what lists the inputs: the earlier run if they are those of that one, a manifest, which is
/// recorded, or the source.
async fn inputs(
    stack: &Stack,
    fleet: &FleetRun,
    request: &RunRequest,
) -> Result<(Option<ManifestRecord>, Vec<KeyRange>), FleetError> {
    if let Some(earlier) = fleet.earlier(request).filter(|earlier| earlier.only_failed) {
        return Ok((None, earlier::ranges(&earlier).await?));
    }
    if let Some(address) = &fleet.valid.manifest {
        let (record, ranges) = manifest::plan(stack, fleet, address).await?;
        return Ok((Some(record), ranges));
    }
    let source = (stack.open)(&fleet.valid.source);
    any_object(source.as_ref(), fleet).await?;
    let ranges = cut::cut(source.as_ref(), &fleet.valid.prefixes).await;
    Ok((None, ranges.map_err(|error| of_source(fleet, error))?))
}

/// Refuses results within another run of the stack: its rows would seem to have more files, its bill more
/// records.
async fn apart_from_runs(stack: &Stack, fleet: &FleetRun) -> Result<(), FleetError> {
    let output = &fleet.valid.output;
    if output.bucket != stack.name {
        return Ok(());
    }
    let folders = output.prefix.match_indices('/').map(|(end, _)| &output.prefix[..=end]);
    for folder in folders.filter(|folder| *folder != StackKeys::TAGS) {
        if stack.bucket.exists(&RunKeys::request_in(folder)).await? {
            return Err(FleetError::Unusable(format!(
                "output: {output} is within the run s3://{}/{folder}: choose another place",
                output.bucket
            )));
        }
    }
    Ok(())
}

/// Whether an earlier call planned the run; an error where its working objects have expired since, for what
/// is left of them would be mixed with new ones.
async fn is_planned(fleet: &FleetRun) -> Result<bool, FleetError> {
    let (output, keys) = (fleet.output.as_ref(), &fleet.keys);
    let has_request = output.exists(&keys.request()).await.map_err(|error| of_output(fleet, error))?;
    let has_ranges = output.exists(&keys.ranges()).await?;
    if has_request && !has_ranges {
        let run = &fleet.run;
        return Err(FleetError::Unusable(format!(
            "run {run} cannot be resumed, because its working objects below {} have expired: submit it again",
            keys.work()
        )));
    }
    Ok(has_request && has_ranges)
}

/// What decides the rows: the published model and the request's tag options.
fn request(fleet: &FleetRun, published: &PublishedModel) -> Result<RunRequest, FleetError> {
    let valid = &fleet.valid;
    let tags = valid.request.tags.over(&published.tags);
    let named = tags.labels.iter().flatten().map(|label| ("labels", label));
    let named = named.chain(tags.thresholds.keys().map(|label| ("thresholds", label)));
    let known: HashSet<&String> = published.labels.iter().collect();
    if let Some((field, label)) = named.into_iter().find(|(_, label)| !known.contains(label)) {
        let model = &valid.model;
        return Err(FleetError::Unusable(format!("tags.{field}: the model {model} has no label {label:?}")));
    }
    let prefix = if let [only] = valid.prefixes.as_slice() { only.clone() } else { String::new() };
    let location = Address { bucket: valid.source.clone(), prefix }.to_string();
    let prefixes = if valid.prefixes.len() == 1 { vec![] } else { valid.prefixes.clone() };
    let (include, exclude) = (valid.request.include.clone(), valid.request.exclude.clone());
    Ok(RunRequest {
        version: REQUEST_VERSION,
        input: Input {
            location,
            prefixes,
            keys_sha256: None,
            manifest: None,
            include,
            exclude,
            all_files: valid.request.all_files,
        },
        model: published.model.clone(),
        engine: published.engine.clone(),
        tags,
        vector: published.vector.clone(),
        max_image_bytes: published.max_image_bytes,
        decoder: DECODER_VERSION,
        since: None,
    })
}

/// A prefix that is misspelt has no keys.
async fn any_object(source: &dyn Bucket, fleet: &FleetRun) -> Result<(), FleetError> {
    for prefix in &fleet.valid.prefixes {
        let mut pages = source.list(&KeyRange::prefix(prefix));
        let page = pages.try_next().await.map_err(|error| of_source(fleet, error))?;
        if page.is_none_or(|page| page.is_empty()) {
            let place = Address { bucket: fleet.valid.source.clone(), prefix: prefix.clone() };
            return Err(FleetError::Unusable(format!("input: {place} holds no objects: nothing to tag")));
        }
    }
    Ok(())
}

fn of_source(fleet: &FleetRun, error: BucketError) -> FleetError {
    let source = &fleet.valid.source;
    match error.kind {
        Kind::Temporary => error.into(),
        Kind::Denied => FleetError::Unusable(format!(
            "input: s3://{source} cannot be listed ({error}): name the bucket in the stack's SourceBuckets"
        )),
        _ => FleetError::Unusable(format!("input: {error}")),
    }
}

fn of_output(fleet: &FleetRun, error: BucketError) -> FleetError {
    let output = &fleet.valid.output;
    match error.kind {
        Kind::Temporary => error.into(),
        Kind::Denied => FleetError::Unusable(format!(
            "output: {output} cannot be used ({error}): name its bucket in the stack's OutputBuckets"
        )),
        _ => FleetError::Unusable(format!("output: {error}")),
    }
}
