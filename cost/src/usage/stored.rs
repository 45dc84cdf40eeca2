//! The stored records: where they are, and which objects are records.
//!
//! A record is an object `usage/NAME.json` of its run. Anything else below `usage/` is counted and named, and
//! never read: another writer could otherwise stop a run, or add to its bill.

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::{Usage, UsageRecord, sum};
use tagfleet_pipeline::bucket::{Bucket, KeyRange};
use tagfleet_pipeline::format::visible;
use tagfleet_pipeline::record::{self, RecordError};
use tagfleet_pipeline::run::RunKeys;

/// Records that are fetched at once.
const FETCHES: usize = 32;
/// Foreign objects that are named.
const NAMED: usize = 3;

/// Objects among the records of a run that are not records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Foreign {
    /// How many there are.
    pub objects: u64,
    /// The keys of the first ones, at most three.
    pub keys: Vec<String>,
}

impl Foreign {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects == 0
    }

    fn add(&mut self, key: String) {
        self.objects += 1;
        if self.keys.len() < NAMED {
            self.keys.push(key);
        }
    }

    /// One sentence for people, on one line.
    #[must_use]
    pub fn in_words(&self) -> String {
        let named: Vec<String> = self.keys.iter().map(|key| visible(key)).collect();
        let more = match self.objects.saturating_sub(named.len() as u64) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("not records of this run, so not counted: {}{more}", named.join(", "))
    }
}

/// What is stored of a run's usage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// The records, in no order.
    pub records: Vec<UsageRecord>,
    /// What lies among them.
    pub foreign: Foreign,
}

impl Records {
    /// All of them, added up.
    #[must_use]
    pub fn sum(self) -> Usage {
        Usage { foreign: self.foreign, ..sum(self.records) }
    }
}

/// Writes a record; `name` is its own among the records of the run, and safe in a key.
///
/// # Errors
/// If it cannot be written.
pub async fn put(
    output: &dyn Bucket,
    keys: &RunKeys,
    name: &str,
    record: &UsageRecord,
) -> Result<(), RecordError> {
    let key = keys.usage(name);
    record::replace(output, &key, record).await
}

/// Reads and adds up all records of a run.
///
/// # Errors
/// If one cannot be read.
pub async fn total(output: &dyn Bucket, keys: &RunKeys) -> Result<Usage, RecordError> {
    Ok(records(output, keys).await?.sum())
}

/// Reads all records of a run.
///
/// # Errors
/// If one cannot be read. What is not a record by its name is never an error.
pub async fn records(output: &dyn Bucket, keys: &RunKeys) -> Result<Records, RecordError> {
    let mut found = Records::default();
    let mut pages = output.list(&KeyRange::prefix(&keys.usages()));
    while let Some(page) = pages.try_next().await? {
        let mut own = Vec::with_capacity(page.len());
        for object in page {
            if keys.is_usage(&object.key) {
                own.push(object.key);
            } else {
                found.foreign.add(object.key);
            }
        }
        let read = |key: String| async move { record::read::<UsageRecord>(output, &key).await };
        let mut records = stream::iter(own.into_iter().map(read)).buffer_unordered(FETCHES);
        while let Some(record) = records.try_next().await? {
            found.records.push(record);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::usage_of_a_worker;
    use tagfleet_pipeline::bucket::memory::MemoryBucket;
    use tagfleet_pipeline::run::RunId;

    /// Another run whose output is among the records: its request is not a record, and its true records are
    /// not this run's.
    #[tokio::test]
    async fn what_another_run_left_among_the_records_stops_no_run_and_adds_to_no_bill() {
        let bucket = MemoryBucket::default();
        let id = |text: &str| RunId::try_from(text.to_owned()).unwrap();
        let victim = RunKeys::in_bucket("tags/", &id("victim"));
        let mine = RunKeys::in_bucket(&victim.usages(), &id("mine"));
        let record = UsageRecord::Worker(usage_of_a_worker());
        put(&bucket, &victim, "worker-1", &record).await.unwrap();
        let quiet = total(&bucket, &victim).await.unwrap();
        for name in ["worker-1", "worker-2"] {
            put(&bucket, &mine, name, &record).await.unwrap();
        }
        for key in [mine.request(), victim.usage("deeper/worker"), format!("{}x.json.bak", victim.usages())] {
            bucket.put(&key, "{".into()).await.unwrap();
        }
        let found = total(&bucket, &victim).await.unwrap();
        assert_eq!((found.workers(), found.foreign.objects, found.foreign.keys.len()), (1, 5, 3));
        assert_eq!(Usage { foreign: Foreign::default(), ..found.clone() }, quiet);
        let said = found.foreign.in_words();
        assert!(said.contains(&mine.request()) && said.ends_with("and 2 more"), "{said}");
    }

    #[test]
    fn a_foreign_key_stays_on_its_line() {
        let mut foreign = Foreign::default();
        foreign.add("usage/a\nb\u{1b}[2J/c".to_owned());
        assert!(!foreign.in_words().contains(char::is_control), "{}", foreign.in_words());
    }
}
