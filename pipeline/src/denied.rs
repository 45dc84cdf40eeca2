//! Denied images: how many of them a run takes as failed rows, and how many it has.
//!
//! A worker that finds denied images in a shard announces their number and adds up what all workers have
//! announced. It writes the rows only if the sum is within the limit; else it withdraws its announcement. If
//! several workers do so at the same time, the last one sees the announcements of all others, so that
//! together they never pass the limit. A shard that is not done has no denied rows, so a resumed run requests
//! these images again. Nothing in this module decides whether the image or the way to it is to blame.

use bytes::Bytes;
use thiserror::Error;

use crate::bucket::{Bucket, BucketError};
use crate::reduce::{self, ReduceError};
use crate::run::RunKeys;
use crate::shard::ShardId;

/// Images per denied image that a run takes as a failed row: more denials are a mistake in permissions.
const IMAGES_PER_DENIED: u64 = 100;
/// This many are taken in any case: a person can look at each.
const TAKEN_ANYWAY: u64 = 10;

/// More images of a run are denied than it takes as failed rows.
#[derive(Clone, Debug, Error)]
#[error(
    "at least {denied} of {images} images cannot be read, and a run accepts at most {most} such images as failed rows (1 % of its images, but {TAKEN_ANYWAY} in any case); \
     one of them: {example}"
)]
pub struct TooManyDenied {
    /// Those that were found so far.
    pub denied: u64,
    /// Images of the run.
    pub images: u64,
    /// As many as it takes.
    pub most: u64,
    /// The store's error for one of them.
    pub example: BucketError,
}

/// The denied images that a run of this many images takes as failed rows: 1 %, but 10 in any case.
#[must_use]
pub fn most(images: u64) -> u64 {
    (images / IMAGES_PER_DENIED).max(TAKEN_ANYWAY)
}

/// Records how many images of a shard are denied; 0 withdraws an earlier record.
///
/// # Errors
/// If it cannot be written.
pub async fn announce(
    output: &dyn Bucket,
    keys: &RunKeys,
    shard: ShardId,
    images: usize,
) -> Result<(), BucketError> {
    output.put(&keys.denied(shard), Bytes::from(vec![b'.'; images])).await
}

/// Denied images of the run, as announced.
///
/// # Errors
/// If they cannot be listed.
pub async fn announced(output: &dyn Bucket, keys: &RunKeys) -> Result<u64, ReduceError> {
    Ok(reduce::sizes(output, keys, &keys.all_denied()).await?.into_values().sum())
}

/// Withdraws announcements of shards that are not done: their workers died before they could. `missing` is in
/// order.
///
/// # Errors
/// If that cannot be listed or written.
pub async fn forget(output: &dyn Bucket, keys: &RunKeys, missing: &[ShardId]) -> Result<(), ReduceError> {
    for (shard, images) in reduce::sizes(output, keys, &keys.all_denied()).await? {
        if images > 0 && missing.binary_search(&shard).is_ok() {
            announce(output, keys, shard, 0).await?;
        }
    }
    Ok(())
}

/// Lets the run take any number of denied images as failed rows, from now on.
///
/// # Errors
/// If that cannot be written.
pub async fn accept(output: &dyn Bucket, keys: &RunKeys) -> Result<(), BucketError> {
    output.put_if_absent(&keys.denied_accepted(), Bytes::new()).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::Kind;
    use crate::bucket::memory::MemoryBucket;
    use crate::run::RunId;

    #[test]
    fn one_image_in_a_hundred_may_be_denied_and_ten_in_any_case() {
        let limits = [0, 5, 999, 1_000, 1_100, 50_000, 3_000_000_000].map(most);
        assert_eq!(limits, [10, 10, 10, 10, 11, 500, 30_000_000]);
    }

    #[test]
    fn an_error_names_the_limit() {
        let (kind, bucket, key) = (Kind::Denied, "s3://shop".to_owned(), "a.jpg".to_owned());
        let example = BucketError { kind, bucket, key, detail: "AccessDenied: Access Denied".to_owned() };
        let said = TooManyDenied { denied: 30, images: 300, most: most(300), example }.to_string();
        insta::assert_snapshot!(said, @r#"at least 30 of 300 images cannot be read, and a run accepts at most 10 such images as failed rows (1 % of its images, but 10 in any case); one of them: s3://shop: "a.jpg": AccessDenied: Access Denied"#);
    }

    #[tokio::test]
    async fn what_was_announced_of_a_shard_that_is_not_done_is_taken_back() {
        let (output, run) = (MemoryBucket::default(), RunId::try_from("run".to_owned()).unwrap());
        let keys = RunKeys::new("", &run);
        let shard = |number| ShardId { range: 0, number };
        for (number, images) in [(0, 3), (1, 4), (2, 0)] {
            announce(&output, &keys, shard(number), images).await.unwrap();
        }
        assert_eq!(announced(&output, &keys).await.unwrap(), 7);
        forget(&output, &keys, &[shard(1), shard(2), shard(5)]).await.unwrap();
        assert_eq!(announced(&output, &keys).await.unwrap(), 3);
    }
}
