//! The manifest of a fleet's run: opened once when the run is planned, then the same for every range.
//!
//! What is stored with the run pins its files, so that no call reads another list. It lists nothing.

use std::sync::Arc;

use tagfleet_pipeline::bucket::{BucketError, KeyRange, Kind};
use tagfleet_pipeline::manifest::{Listed, Manifest, Options, Store};
use tagfleet_pipeline::record;
use tagfleet_pipeline::run::ManifestRecord;
use tagfleet_pipeline::split::Source;

use super::{FleetError, FleetRun, Stack};
use crate::address::Address;

/// Lines of a manifest that is not sorted at most: one call of a function reads them twice, in about five
/// minutes.
pub const MOST_UNSORTED: u64 = 50_000_000;

/// Opens the manifest of a run and stores what was found, unless an earlier call has.
///
/// # Errors
/// If it cannot be read, or is not a manifest: another try finds it the same.
pub(super) async fn plan(
    stack: &Stack,
    fleet: &FleetRun,
    address: &Address,
) -> Result<(ManifestRecord, Vec<KeyRange>), FleetError> {
    let key_column = fleet.valid.request.key_column.clone();
    let options = Options {
        key_column: key_column.clone(),
        source: Some(format!("s3://{}", fleet.valid.source)),
        most_unsorted: MOST_UNSORTED,
    };
    let files = (stack.open)(&address.bucket);
    let store = store(fleet);
    let opened = Manifest::open(&files, &address.prefix, &options, &store).await;
    let opened = opened.map_err(|error| of_manifest(address, error))?;
    record::create(store.bucket.as_ref(), &store.record(), &opened).await?;
    // Of two calls at once the first one's list counts.
    let manifest: Manifest = record::read(store.bucket.as_ref(), &store.record()).await?;
    let prefix = if let [only] = fleet.valid.prefixes.as_slice() { only.as_str() } else { "" };
    let record = ManifestRecord { location: address.to_string(), sha256: manifest.sha256(), key_column };
    Ok((record, manifest.ranges(prefix)))
}

/// Where the images of a planned run come from.
///
/// # Errors
/// If its stored manifest cannot be read.
pub async fn source(stack: &Stack, fleet: &FleetRun) -> Result<Source, FleetError> {
    let filter = fleet.valid.filter.clone();
    let Some(address) = &fleet.valid.manifest else {
        return Ok(Source::Listed((stack.open)(&fleet.valid.source), filter));
    };
    let store = store(fleet);
    let manifest: Manifest = record::read(store.bucket.as_ref(), &store.record()).await?;
    Ok(Source::Manifest(Arc::new(Listed {
        manifest: Arc::new(manifest),
        files: (stack.open)(&address.bucket),
        store: Some(store),
        filter,
        prefixes: fleet.valid.prefixes.clone(),
    })))
}

fn store(fleet: &FleetRun) -> Store {
    Store { bucket: fleet.output.clone(), prefix: fleet.keys.manifest() }
}

fn of_manifest(address: &Address, error: BucketError) -> FleetError {
    match error.kind {
        Kind::Temporary => error.into(),
        Kind::Denied => FleetError::Unusable(format!(
            "manifest: {address} cannot be read ({error}): name its bucket in the stack's ManifestBuckets"
        )),
        Kind::Missing if error.key == address.prefix => FleetError::Unusable(format!(
            "manifest: there is no object {address}: the address of a folder ends in /"
        )),
        _ => FleetError::Unusable(format!("manifest: {error}")),
    }
}
