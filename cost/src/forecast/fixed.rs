//! What a run pays whatever machines it takes: requests, functions and state transitions, which follow from
//! its images.
//!
//! It builds the usage that the stages would record, and bills it like any other. It looks at no image.

use serde::Serialize;

use crate::assumptions::{KEYS_A_PAGE, KEYS_PER_SECOND, REDUCER_MB, ROWS_PER_SECOND, SPLITTER_MB};
use crate::usage::{CallUsage, RequestCount, Requests, Usage};
use crate::{Extras, PriceBook, UnknownPrice, bill, billed_requests};
use tagfleet_pipeline::shard::ShardId;

/// Keys of a range that one call of the splitter takes.
const KEYS_PER_RANGE: u64 = 10_000_000;
/// Parts that one call of the reducer compacts.
const PARTS_PER_GROUP: u64 = 300;
/// Rows of a result file: 256 MB at 128 bytes each.
const ROWS_PER_GROUP: u64 = 2_000_000;
/// Rows of a row group of a result file.
const ROWS_PER_ROW_GROUP: u64 = 100_000;
/// Rows of an earlier run that a shard keeps at most.
const KEPT_PER_SHARD: u64 = 500_000;
/// Columns of a result that are compared with a listing: key, etag and error code. Each is one request.
const COMPARED_COLUMNS: u64 = 3;
/// All columns of a result, three of them for tags.
const ALL_COLUMNS: u64 = 14;
/// Transitions of a run, without those of its ranges and groups.
const TRANSITIONS: u64 = 20;

/// A cost that no machine changes.
#[derive(Clone, Debug, Serialize)]
pub struct Fixed {
    /// `S3`, `SQS`, `Lambda`
    pub service: String,
    /// `S3 GetObject (infer)`
    pub what: String,
    /// Dollars.
    pub usd: f64,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct FixedCosts {
    /// In the order of the stages.
    pub lines: Vec<Fixed>,
    /// Requests to S3, SQS and KMS among them.
    pub requests: u64,
}

/// What a run has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Images that it tags.
    pub images: u64,
    /// Rows that it keeps of an earlier run.
    pub kept: u64,
}

impl FixedCosts {
    /// What a run with this work pays in a region; for a share of `of_kms`, 0 to 1, S3 calls KMS.
    ///
    /// # Errors
    /// Names the price that is not known.
    pub fn of(work: &Work, of_kms: f64, region: &str, book: &PriceBook) -> Result<Self, UnknownPrice> {
        let images = work.images;
        let shards = shards(images) + work.kept.div_ceil(KEPT_PER_SHARD);
        let mut usage = usage(work, shards);
        // A whole number of images, as the share is at most 1.
        let asked = requests(&[("kms:Decrypt", (images as f64 * of_kms).round() as u64)]);
        usage.requests.entry("infer".to_owned()).or_default().add(&asked);
        let groups = groups(work, shards);
        let transitions = TRANSITIONS + (images + work.kept).div_ceil(KEYS_PER_RANGE) + groups;
        let extras = Extras { region: region.to_owned(), images, transitions, mails: 1, ..Extras::default() };
        let lines = bill(&usage, &extras, book)?.lines.into_iter().map(|line| Fixed {
            what: format!("{} {} ({})", line.service, line.item, line.stage),
            service: line.service,
            usd: line.usd,
        });
        Ok(Self { lines: lines.collect(), requests: billed_requests(&usage) })
    }

    /// Dollars of all lines of which that holds.
    pub(super) fn usd(&self, holds: impl Fn(&Fixed) -> bool) -> f64 {
        self.lines.iter().filter(|line| holds(line)).map(|line| line.usd).sum()
    }
}

/// Shards of a run of one range: the first ones are small.
fn shards(images: u64) -> u64 {
    let (mut left, mut shards) = (images, 0);
    loop {
        let number = u32::try_from(shards).unwrap_or(u32::MAX);
        let most = ShardId { range: 0, number }.max_images() as u64;
        if most == LARGEST || left <= most {
            return shards + left.div_ceil(most);
        }
        left -= most;
        shards += 1;
    }
}

/// Images of a shard, once shards have grown.
const LARGEST: u64 = 10_000;

/// As many as parts or rows need.
fn groups(work: &Work, shards: u64) -> u64 {
    shards.div_ceil(PARTS_PER_GROUP).max((work.images + work.kept).div_ceil(ROWS_PER_GROUP))
}

fn usage(work: &Work, shards: u64) -> Usage {
    let (images, keys) = (work.images, work.images + work.kept);
    let (groups, ranges) = (groups(work, shards), keys.div_ceil(KEYS_PER_RANGE));
    // The results of the earlier run: a footer for each file and reader, and the columns of each row group.
    let footers = work.kept.div_ceil(ROWS_PER_GROUP) * (ranges + groups);
    let earlier = |columns: u64| work.kept.div_ceil(ROWS_PER_ROW_GROUP) * columns;
    let split = requests(&[
        ("s3:GetObject", if work.kept > 0 { footers + earlier(COMPARED_COLUMNS) } else { 0 }),
        ("s3:ListBucket", keys.div_ceil(KEYS_A_PAGE)),
        ("s3:PutObject", shards),
        ("sqs:SendMessage", shards.div_ceil(10)),
    ]);
    let infer = requests(&[
        // The part is asked for, then the shard and its checkpoint.
        ("s3:GetObject", images + 3 * shards),
        ("s3:PutObject", shards),
        ("sqs:ReceiveMessage", shards),
        ("sqs:DeleteMessage", shards),
        ("sqs:ChangeMessageVisibility", shards),
    ]);
    let reduce = requests(&[
        ("s3:GetObject", shards + earlier(ALL_COLUMNS)),
        ("s3:ListBucket", 6 * shards.div_ceil(KEYS_A_PAGE)),
    ]);
    let split_seconds = keys.div_ceil(KEYS_PER_SECOND);
    let compact_seconds = keys.div_ceil(ROWS_PER_SECOND);
    let functions = [
        ("splitter split", calls(ranges, split_seconds, SPLITTER_MB)),
        ("reducer compact", calls(groups, compact_seconds, REDUCER_MB)),
    ];
    Usage {
        requests: [("split", split), ("infer", infer), ("reduce", reduce)]
            .map(|(stage, of_stage)| (stage.to_owned(), of_stage))
            .into(),
        functions: functions.map(|(name, calls)| (name.to_owned(), calls)).into(),
        ..Usage::default()
    }
}

fn requests(counts: &[(&str, u64)]) -> Requests {
    let count = |calls| RequestCount { calls, chunks: calls, ..RequestCount::default() };
    Requests(counts.iter().map(|(name, calls)| ((*name).to_owned(), count(*calls))).collect())
}

fn calls(calls: u64, seconds: u64, memory_mb: u64) -> CallUsage {
    let milliseconds = seconds * 1000;
    CallUsage { calls, milliseconds, mb_milliseconds: milliseconds * memory_mb }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(images: u64) -> Work {
        Work { images, kept: 0 }
    }

    /// Half a per cent of 300 million is new: $1.50 for LIST, $0.60 for GET, and the rest.
    #[test]
    fn a_night_over_three_hundred_million_images_costs_less_than_two_sixty_without_machines() {
        let book = PriceBook::built_in().unwrap();
        let night = Work { images: 1_500_000, kept: 298_500_000 };
        let fixed = FixedCosts::of(&night, 0.0, "us-east-1", &book).unwrap();
        let of = |what: &str| fixed.usd(|line| line.what.contains(what));
        assert!((of("ListBucket (split)") - 1.5).abs() < 1e-6, "{fixed:?}");
        assert!((of("GetObject (infer)") - 0.6).abs() < 0.01, "{fixed:?}");
        assert!(fixed.usd(|_| true) < 2.6, "{fixed:?}");
    }

    #[test]
    fn shards_are_small_first() {
        // 32 of 256, 128 of 2,000, then of 10,000.
        let counted = [0, 1, 256, 257, 8192, 264_192, 264_193, 300_000_000].map(shards);
        assert_eq!(counted, [0, 1, 1, 2, 32, 160, 161, 160 + 29_974]);
    }

    #[test]
    fn getting_three_hundred_million_images_costs_what_the_price_list_says() {
        let book = PriceBook::built_in().unwrap();
        let fixed = FixedCosts::of(&work(300_000_000), 0.0, "us-east-1", &book).unwrap();
        let of = |what: &str| fixed.usd(|line| line.what.contains(what));
        // 300,090,402 GETs at $0.40 a million, 300,000 pages at $5 a million.
        assert!((of("GetObject (infer)") - 120.036_161).abs() < 1e-6, "{fixed:?}");
        assert!((of("ListBucket (split)") - 1.5).abs() < 1e-6);
        assert!(fixed.usd(|_| true) < 124.0, "{fixed:?}");
    }

    #[test]
    fn kms_is_paid_for_each_image_that_it_is_asked_for() {
        let book = PriceBook::built_in().unwrap();
        let fixed = FixedCosts::of(&work(300_000_000), 0.5, "us-east-1", &book).unwrap();
        // 150 million requests at $0.03 for 10,000.
        assert!((fixed.usd(|line| line.service == "KMS") - 450.0).abs() < 1e-6, "{fixed:?}");
        assert!(fixed.usd(|line| line.service != "KMS") < 124.0, "{fixed:?}");
    }

    #[test]
    fn requests_are_those_that_are_billed() {
        let book = PriceBook::built_in().unwrap();
        let fixed = FixedCosts::of(&work(1000), 0.0, "us-east-1", &book).unwrap();
        // Four shards: split 1 + 4 + 1, infer 1,012 + 4 and 4 each of three, reduce 4 + 6.
        assert_eq!(fixed.requests, 6 + 1016 + 12 + 10);
    }
}
