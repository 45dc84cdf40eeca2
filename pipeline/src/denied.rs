//! Denied images: how many of them a run takes as failed rows, and how many it has.
//!
//! A worker that has found denied images in a shard announces their number, then adds up what all workers have announced, and
//! writes the rows only if that is within the limit; else it takes its announcement back. Of workers that do so at the same
//! time, whoever adds up last sees what all others have announced, so that together they never pass the limit. A shard that is
//! not done has no denied rows, so that a resumed run asks for these images again. Nothing here decides whether an image
//! or the way to it is to blame.

use bytes::Bytes;
use thiserror::Error;

use crate::bucket::{Bucket, BucketError};
use crate::reduce::{self, ReduceError};
use crate::run::RunKeys;
use crate::shard::ShardId;

/// A run takes one denied image in so many as a failed row: more of them are a mistake in permissions.
const IMAGES_PER_DENIED: u64 = 100;
/// So many are taken in any case: a person can look at each.
const TAKEN_ANYWAY: u64 = 10;
/// What an error says that is a [`TooManyDenied`], whoever hands it on.
const MARK: &str = "images cannot be read, and a run accepts at most";

/// More images of a run are denied than it takes as failed rows.
#[derive(Clone, Debug, Error)]
#[error(
    "at least {denied} of {images} {MARK} {most} such images as failed rows (1 % of its images, but {TAKEN_ANYWAY} in any case); \
     one of them: {example}"
)]
pub struct TooManyDenied {
    /// Those that were found so far.
    pub denied: u64,
    /// Images of the run.
    pub images: u64,
    /// As many as it takes.
    pub most: u64,
    /// What the store says of one of them.
    pub example: BucketError,
}

/// As many denied images as a run of so many images takes as failed rows: 1 %, but 10 in any case.
#[must_use]
pub fn most(images: u64) -> u64 {
    (images / IMAGES_PER_DENIED).max(TAKEN_ANYWAY)
}

/// Whether an error that was handed on as text is a [`TooManyDenied`].
#[must_use]
pub fn is_too_many(text: &str) -> bool {
    text.contains(MARK)
}

/// Says how many images of a shard are denied; 0 takes back what was said before.
///
/// # Errors
/// Where it cannot be written.
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
/// Where they cannot be listed.
pub async fn announced(output: &dyn Bucket, keys: &RunKeys) -> Result<u64, ReduceError> {
    Ok(reduce::sizes(output, keys, &keys.all_denied()).await?.into_values().sum())
}

/// Takes back what was announced of shards that are not done: whoever did so died before he could. `missing` is in order.
///
/// # Errors
/// Where that cannot be listed or written.
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
/// Where that cannot be written.
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
    fn an_error_says_what_the_limit_is_and_is_known_as_text() {
        let (kind, bucket, key) = (Kind::Denied, "s3://shop".to_owned(), "a.jpg".to_owned());
        let example = BucketError { kind, bucket, key, detail: "AccessDenied: Access Denied".to_owned() };
        let said = TooManyDenied { denied: 30, images: 300, most: most(300), example }.to_string();
        insta::assert_snapshot!(said, @r#"at least 30 of 300 images cannot be read, and a run accepts at most 10 such images as failed rows (1 % of its images, but 10 in any case); one of them: s3://shop: "a.jpg": AccessDenied: Access Denied"#);
        assert!(is_too_many(&format!("failed: {said}")) && !is_too_many("AccessDenied: Access Denied"));
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
