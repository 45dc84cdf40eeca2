//! The stored form of a day: `days/2026-11-30/000000.json` and so on, and next to an entry what its execution
//! spent.
//!
//! Entries are read by one listing and appended one at a time, each created only if there is none. Other
//! names are not read.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use crate::FleetError;
use crate::budget::utc;
use tagfleet_pipeline::bucket::{Bucket, KeyRange, Put};
use tagfleet_pipeline::record;
use tagfleet_pipeline::run::{RunId, StackKeys};

/// The version of the stored forms.
const VERSION: u32 = 1;
/// Entries that are fetched at once.
const FETCHES: usize = 32;

/// What an execution reserved. Dollars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    version: u32,
    pub(super) run: RunId,
    /// The execution's name.
    pub(super) execution: String,
    /// What the run had spent before.
    pub(super) spent_before: f64,
    /// What the execution may spend.
    pub(super) reserved: f64,
    /// Whether that is less than the run could have used.
    is_rest: bool,
}

impl Entry {
    /// `reserved` is what it may spend; `is_rest` is true if that is all that was left.
    pub(super) fn new(
        run: RunId,
        execution: String,
        spent_before: f64,
        reserved: f64,
        is_rest: bool,
    ) -> Self {
        Self { version: VERSION, run, execution, spent_before, reserved, is_rest }
    }
}

/// What an execution that has ended spent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spent {
    version: u32,
    usd: f64,
}

/// What the latest execution of a run was left of its day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Share {
    version: u32,
    run: RunId,
    /// Dollars that the run may cost, all its executions together; `None` if the day limits it no further.
    pub(super) max_usd: Option<f64>,
    /// When that day ends, in seconds since 1970, UTC.
    pub(super) day_ends: u64,
}

impl Share {
    pub(super) fn of(entry: &Entry, day_ends: u64) -> Self {
        let max_usd = entry.is_rest.then_some(entry.spent_before + entry.reserved);
        Self { version: VERSION, run: entry.run.clone(), max_usd, day_ends }
    }

    pub(super) async fn read(bucket: &dyn Bucket, run: &RunId) -> Result<Option<Self>, FleetError> {
        Ok(record::read_if_present(bucket, &StackKeys::share(run)).await?)
    }

    /// Replaces that of an earlier execution.
    pub(super) async fn put(&self, bucket: &dyn Bucket) -> Result<(), FleetError> {
        Ok(record::replace(bucket, &StackKeys::share(&self.run), self).await?)
    }
}

/// The entries of a day as they were read.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The folder of the day.
    folder: String,
    entries: BTreeMap<u32, Entry>,
    spent: BTreeMap<u32, f64>,
}

impl Ledger {
    /// Reads the day of this time, in seconds since 1970, UTC.
    pub(super) async fn read(bucket: &dyn Bucket, now: u64) -> Result<Self, FleetError> {
        let date = utc(now);
        let folder = StackKeys::day(date.split(' ').next().unwrap_or_default());
        let (mut entries, mut spent) = (Vec::new(), Vec::new());
        let mut pages = bucket.list(&KeyRange::prefix(&folder));
        while let Some(page) = pages.try_next().await? {
            for object in page {
                let name = object.key.strip_prefix(&folder).unwrap_or_default();
                match (number(name, ".spent.json"), number(name, ".json")) {
                    (Some(number), _) => spent.push((number, object.key)),
                    (None, Some(number)) => entries.push((number, object.key)),
                    (None, None) => {}
                }
            }
        }
        let entries = read_all::<Entry>(bucket, entries).await?;
        let spent = read_all::<Spent>(bucket, spent).await?;
        let spent = spent.into_iter().map(|(number, spent)| (number, spent.usd)).collect();
        Ok(Self { folder, entries, spent })
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (u32, &Entry)> {
        self.entries.iter().map(|(number, entry)| (*number, entry))
    }

    pub(super) fn of_execution(&self, execution: &str) -> Option<&Entry> {
        self.entries.values().find(|entry| entry.execution == execution)
    }

    /// What the execution of an entry spent, where that is final.
    pub(super) fn spent(&self, number: u32) -> Option<f64> {
        self.spent.get(&number).copied()
    }

    /// What a run had spent when its next execution behind this entry was planned.
    pub(super) fn spent_before_a_later_one(&self, number: u32, run: &RunId) -> Option<f64> {
        let mut later = self.entries.range(number.saturating_add(1)..);
        later.find(|(_, entry)| entry.run == *run).map(|(_, entry)| entry.spent_before)
    }

    /// Writes an entry behind all that were read, unless another was written there since.
    pub(super) async fn append(&self, bucket: &dyn Bucket, entry: &Entry) -> Result<Put, FleetError> {
        let number = self.entries.last_key_value().map_or(0, |(number, _)| number.saturating_add(1));
        let key = format!("{}{number:06}.json", self.folder);
        Ok(record::create(bucket, &key, entry).await?)
    }

    /// Keeps what the execution of an entry spent.
    pub(super) async fn keep_spent(
        &self,
        bucket: &dyn Bucket,
        number: u32,
        usd: f64,
    ) -> Result<(), FleetError> {
        let key = format!("{}{number:06}.spent.json", self.folder);
        Ok(record::replace(bucket, &key, &Spent { version: VERSION, usd }).await?)
    }
}

/// The number of a name such as `000007.json`.
fn number(name: &str, ending: &str) -> Option<u32> {
    let digits = name.strip_suffix(ending)?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

async fn read_all<T: for<'de> Deserialize<'de>>(
    bucket: &dyn Bucket,
    keys: Vec<(u32, String)>,
) -> Result<BTreeMap<u32, T>, FleetError> {
    let read = |(number, key): (u32, String)| async move {
        Ok::<_, FleetError>((number, record::read::<T>(bucket, &key).await?))
    };
    stream::iter(keys.into_iter().map(read)).buffer_unordered(FETCHES).try_collect().await
}
