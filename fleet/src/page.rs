//! Stores the page of a run, and a few pictures for its mail: `report` makes them, and this reads and writes.
//!
//! It decides nothing about what a page shows, and a run on a laptop calls it too.

use futures::stream::TryStreamExt;

use tagfleet_pipeline::bucket::{Bucket, BucketError, Kind};
use tagfleet_pipeline::record::{self, RecordError};
use tagfleet_pipeline::reduce::TagCounts;
use tagfleet_pipeline::run::{RunId, RunKeys};
use tagfleet_pipeline::thumbnails::MAX_BYTES;
use tagfleet_pipeline::thumbnails::stored::StoredThumbnails;
use tagfleet_report::chooser::Chooser;
use tagfleet_report::html::{self, Report};
use tagfleet_report::samples::{Highlights, Samples};

/// Chooses the pictures of a run and writes its page, replacing one of an earlier try.
///
/// # Errors
/// If the bucket fails.
pub async fn store(output: &dyn Bucket, keys: &RunKeys, report: &Report<'_>) -> Result<(), RecordError> {
    let samples = read_samples(output, &report.summary.run, keys, report.tags).await?;
    record::replace(output, &keys.highlights(), &samples.highlights()).await?;
    Ok(output.put(&keys.report(), html::page(report, &samples).into()).await?)
}

async fn read_samples(
    output: &dyn Bucket,
    run: &RunId,
    keys: &RunKeys,
    tags: &TagCounts,
) -> Result<Samples, BucketError> {
    let stored = StoredThumbnails::list(output, run, keys).await?;
    let mut chooser = Chooser::new(run, tags);
    let mut samples = stored.samples(output);
    while let Some(sample) = samples.try_next().await? {
        chooser.add(sample);
    }
    Ok(chooser.finish(stored.objects))
}

/// The pictures that a mail shows; none if they have expired or cannot be understood.
///
/// # Errors
/// If the bucket fails.
pub async fn highlights(output: &dyn Bucket, keys: &RunKeys) -> Result<Highlights, BucketError> {
    match output.get(&keys.highlights(), None, MAX_BYTES as u64).await {
        Ok(stored) => Ok(Highlights::from_stored(&stored.bytes)),
        Err(error) if matches!(error.kind, Kind::Missing | Kind::TooLarge) => Ok(Highlights::default()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
