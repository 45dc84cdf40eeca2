//! The name of every object.
//!
//! With [`stack_keys`](super::stack_keys), the only place that spells an object key. Everything people read
//! of a run is below `<output>/<run id>/`. What only stages read is below a `work/`, and may expire once the
//! run is complete.

use super::RunId;
use crate::shard::ShardId;

/// The keys of one run's objects, below `<prefix><run id>/`, and of its stages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunKeys {
    runs: String,
    root: String,
    work: String,
}

impl RunKeys {
    /// The keys of run `id` in a folder, below `prefix`, which is empty or ends in `/`: the run has one place
    /// for all.
    #[must_use]
    pub fn new(prefix: &str, id: &RunId) -> Self {
        let work = format!("{prefix}{id}/work/");
        Self { runs: prefix.to_owned(), root: format!("{prefix}{id}/"), work }
    }

    /// The same in a bucket: what only stages read has one prefix for all runs, because lifecycle rules
    /// select by prefix.
    #[must_use]
    pub fn in_bucket(prefix: &str, id: &RunId) -> Self {
        let work = format!("{prefix}work/{id}/");
        Self { runs: prefix.to_owned(), root: format!("{prefix}{id}/"), work }
    }

    /// The keys of another run in the same place.
    #[must_use]
    pub fn of_run(&self, id: &RunId) -> Self {
        let is_in_folder = self.work.starts_with(&self.root);
        if is_in_folder { Self::new(&self.runs, id) } else { Self::in_bucket(&self.runs, id) }
    }

    /// Prefix of all runs.
    #[must_use]
    pub fn runs(&self) -> String {
        self.runs.clone()
    }

    /// What was asked for: a [`RunRequest`](super::RunRequest).
    #[must_use]
    pub fn request(&self) -> String {
        Self::request_in(&self.root)
    }

    /// The same of the run in `folder`, which ends in `/`: if this object exists, the folder is a run.
    #[must_use]
    pub fn request_in(folder: &str) -> String {
        format!("{folder}request.json")
    }

    /// Prefix of what only stages read.
    #[must_use]
    pub fn work(&self) -> String {
        self.work.clone()
    }

    /// The key ranges: [`Ranges`](super::Ranges).
    #[must_use]
    pub fn ranges(&self) -> String {
        format!("{}ranges.json", self.work)
    }

    /// Prefix of what is kept of the run's manifest: a [`Store`](crate::manifest::Store).
    #[must_use]
    pub fn manifest(&self) -> String {
        format!("{}manifest/", self.work)
    }

    /// Records that a range is split, and into how many shards.
    #[must_use]
    pub fn range_split(&self, range: u32) -> String {
        format!("{}split/{range:05}.json", self.work)
    }

    /// Prefix of all [`RunKeys::range_split`].
    #[must_use]
    pub fn ranges_split(&self) -> String {
        format!("{}split/", self.work)
    }

    /// How far a stopped call came in a range.
    #[must_use]
    pub fn range_cursor(&self, range: u32) -> String {
        format!("{}cursors/{range:05}.json", self.work)
    }

    /// A shard: its inputs in key order.
    #[must_use]
    pub fn shard(&self, id: ShardId) -> String {
        format!("{}{id}.jsonl.zst", self.shards())
    }

    /// Prefix of all shards.
    #[must_use]
    pub fn shards(&self) -> String {
        format!("{}shards/", self.work)
    }

    /// Prefix of the shards of one range.
    #[must_use]
    pub fn shards_of(&self, range: u32) -> String {
        format!("{}{}", self.shards(), ShardId::range_prefix(range))
    }

    /// A part: the rows of one shard. It exists if and only if the shard is done.
    #[must_use]
    pub fn part(&self, id: ShardId) -> String {
        format!("{}{id}.parquet", self.parts())
    }

    /// Prefix of all parts.
    #[must_use]
    pub fn parts(&self) -> String {
        format!("{}parts/", self.work)
    }

    /// The shard that the key of a shard, a part, a checkpoint or a count of denied images belongs to.
    #[must_use]
    pub fn shard_of(&self, key: &str) -> Option<ShardId> {
        let folders = [self.shards(), self.parts(), self.checkpoints(), self.all_denied()];
        let name = folders.iter().find_map(|folder| key.strip_prefix(folder.as_str()))?;
        let id = ShardId::parse(name.split('.').next()?)?;
        let own = [self.shard(id), self.part(id), self.checkpoint(id), self.denied(id)];
        own.iter().any(|own| key == own).then_some(id)
    }

    /// The rows of a shard that a worker had to leave before it was done; disposable.
    #[must_use]
    pub fn checkpoint(&self, id: ShardId) -> String {
        format!("{}{id}.checkpoint", self.checkpoints())
    }

    /// Prefix of all checkpoints.
    #[must_use]
    pub fn checkpoints(&self) -> String {
        format!("{}checkpoints/", self.work)
    }

    /// A few thumbnails and failures of one shard, for the report; disposable.
    #[must_use]
    pub fn thumbnails(&self, id: ShardId) -> String {
        format!("{}{id}.json", self.all_thumbnails())
    }

    /// Prefix of all [`RunKeys::thumbnails`].
    #[must_use]
    pub fn all_thumbnails(&self) -> String {
        format!("{}thumbnails/", self.work)
    }

    /// The pictures of the mail: what the reducer chose; disposable.
    #[must_use]
    pub fn highlights(&self) -> String {
        format!("{}highlights.json", self.work)
    }

    /// The compaction groups, fixed once.
    #[must_use]
    pub fn groups(&self) -> String {
        format!("{}groups.json", self.work)
    }

    /// The shards of one slice of a group: see [`Compaction`](crate::reduce::Compaction).
    #[must_use]
    pub fn slice(&self, group: u32, slice: u32) -> String {
        format!("{}slices/{}.json", self.work, slice_name(group, slice))
    }

    /// The counts of one slice of a group.
    #[must_use]
    pub fn compacted(&self, group: u32, slice: u32) -> String {
        format!("{}compacted/{}.json", self.work, slice_name(group, slice))
    }

    /// Its size in bytes is the number of images of a shard that were denied when the shard was tagged, so
    /// that one listing gives the total.
    #[must_use]
    pub fn denied(&self, id: ShardId) -> String {
        format!("{}{id}.denied", self.all_denied())
    }

    /// Prefix of all [`RunKeys::denied`].
    #[must_use]
    pub fn all_denied(&self) -> String {
        format!("{}denied/", self.work)
    }

    /// It is there if the run takes any number of denied images as failed rows.
    #[must_use]
    pub fn denied_accepted(&self) -> String {
        format!("{}denied-accepted", self.work)
    }

    /// What one worker or one call of a function used; `name` is safe in a key.
    #[must_use]
    pub fn usage(&self, name: &str) -> String {
        format!("{}{name}.json", self.usages())
    }

    /// Whether this is the key of a [`RunKeys::usage`] of this run.
    #[must_use]
    pub fn is_usage(&self, key: &str) -> bool {
        let name = key.strip_prefix(&self.usages()).and_then(|name| name.strip_suffix(".json"));
        name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
    }

    /// Prefix of all [`RunKeys::usage`].
    #[must_use]
    pub fn usages(&self) -> String {
        format!("{}usage/", self.work)
    }

    /// The rows of one slice of a group: what people read.
    #[must_use]
    pub fn result(&self, group: u32, slice: u32) -> String {
        format!("{}{}.parquet", self.results(), slice_name(group, slice))
    }

    /// Prefix of all results.
    #[must_use]
    pub fn results(&self) -> String {
        format!("{}results/", self.root)
    }

    /// The group and the slice whose rows the object under `key` holds, if it is a [`RunKeys::result`].
    #[must_use]
    pub fn result_place(&self, key: &str) -> Option<(u32, u32)> {
        let name = key.strip_prefix(&self.results())?.strip_suffix(".parquet")?;
        let (group, slice) = name.split_once('-').unwrap_or((name, "0"));
        let place = (group.parse().ok()?, slice.parse().ok()?);
        (self.result(place.0, place.1) == key).then_some(place)
    }

    /// How to query the results with SQL.
    #[must_use]
    pub fn table_definition(&self) -> String {
        format!("{}results.sql", self.root)
    }

    /// The summary.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{}summary.json", self.root)
    }

    /// The bill: lines in dollars.
    #[must_use]
    pub fn cost(&self) -> String {
        format!("{}cost.json", self.root)
    }

    /// The report of a run whose results people find at `results`.
    #[must_use]
    pub fn report_beside(results: &str) -> String {
        let root = results.trim_end_matches('/').trim_end_matches("results");
        format!("{root}report.html")
    }

    /// The report for people.
    #[must_use]
    pub fn report(&self) -> String {
        format!("{}report.html", self.root)
    }

    /// Written last, and only if every input has its row.
    #[must_use]
    pub fn success(&self) -> String {
        format!("{}_SUCCESS", self.root)
    }
}

/// Most groups have one slice, which is called as its group.
fn slice_name(group: u32, slice: u32) -> String {
    match slice {
        0 => format!("{group:05}"),
        _ => format!("{group:05}-{slice}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RunId {
        RunId::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_stray_file_is_no_part() {
        let keys = RunKeys::new("", &id("r"));
        let shard = ShardId { range: 0, number: 7 };
        assert_eq!(keys.shard_of(&keys.part(shard)), Some(shard));
        assert_eq!(keys.shard_of(&keys.shard(shard)), Some(shard));
        assert_eq!(keys.shard_of(&keys.checkpoint(shard)), Some(shard));
        assert_eq!(keys.shard_of(&keys.denied(shard)), Some(shard));
        assert_eq!(keys.shard_of(&format!("{}.bak", keys.part(shard))), None);
        assert!(keys.is_usage(&keys.usage("worker-1")));
        for other in ["", "a/b", "../b"] {
            assert!(!keys.is_usage(&keys.usage(other)), "{other}");
        }
    }

    #[test]
    fn in_a_bucket_one_prefix_holds_what_may_expire() {
        let keys = RunKeys::in_bucket("tags/", &id("r"));
        let shard = ShardId { range: 0, number: 7 };
        assert_eq!(keys.part(shard), "tags/work/r/parts/00000-0000007.parquet");
        assert_eq!(keys.shard_of(&keys.part(shard)), Some(shard));
        assert_eq!(keys.result(0, 0), "tags/r/results/00000.parquet");
        assert_eq!(keys.result(7, 2), "tags/r/results/00007-2.parquet");
        for place in [(0, 0), (7, 2), (123_456, 0)] {
            assert_eq!(keys.result_place(&keys.result(place.0, place.1)), Some(place));
        }
        for other in ["tags/r/results/7.parquet", "tags/r/results/00007-0.parquet", "tags/r/report.html"] {
            assert_eq!(keys.result_place(other), None, "{other}");
        }
    }
}
