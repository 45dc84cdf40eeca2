//! Cuts a manifest of sorted Parquet files into partitions, by the bounds that the files record.
//!
//! Files need not be sorted as a whole, nor in any order among each other: partitions are good if reading
//! all of them reads few row groups twice. It reads footers and no row.

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::format::Format;
use super::selection::MOST;
use super::table::Table;
use super::{Manifest, ManifestFile, hex};
use crate::bucket::parquet::Bounds;
use crate::bucket::{Bucket, BucketError, KeyRange};

/// Rows of a partition, about: three quarters of what one pass selects.
pub(super) const TARGET: u64 = MOST as u64 * 3 / 4;
/// How often each row may be read, on average, before the files count as not sorted.
const MOST_READS: u64 = 3;
/// Files whose footers are read at once.
const AT_ONCE: usize = 16;

/// A row group, and its bounds if the file records them.
struct Group {
    rows: u64,
    bounds: Option<Bounds>,
}

/// The bounds between partitions, and in `manifest` those of each file. `None` if files are not sorted, or
/// not known to be, and too large to be read as they are.
pub(super) async fn of_sorted(
    files: &Arc<dyn Bucket>,
    manifest: &mut Manifest,
) -> Result<Option<Vec<String>>, BucketError> {
    if manifest.files.iter().any(|file| !matches!(file.format, Format::Parquet(_))) {
        return Ok(None);
    }
    let source = manifest.source.as_deref();
    let opened = manifest.files.clone().into_iter().map(|file| groups(files, file, source));
    let opened: Vec<Vec<Group>> = stream::iter(opened).buffered(AT_ONCE).try_collect().await?;
    let rows = |groups: &[Group]| groups.iter().fold(0u64, |sum, group| sum.saturating_add(group.rows));
    for (file, groups) in manifest.files.iter_mut().zip(&opened) {
        file.bounds = of_file(groups);
    }
    let groups: Vec<Group> = opened.into_iter().flatten().collect();
    if rows(&groups) <= MOST as u64 {
        return Ok(Some(Vec::new()));
    }
    if groups.iter().any(|group| group.bounds.is_none()) {
        return Ok(None);
    }
    let bounds = cut(&groups);
    let is_sorted = reads(&groups, &bounds) <= rows(&groups).saturating_mul(MOST_READS);
    Ok(is_sorted.then_some(bounds))
}

async fn groups(
    files: &Arc<dyn Bucket>,
    file: ManifestFile,
    source: Option<&str>,
) -> Result<Vec<Group>, BucketError> {
    let Format::Parquet(key_column) = &file.format else { return Ok(Vec::new()) };
    let table = Table::open(files, &file, key_column.as_deref()).await?;
    let rows = table.object.group_rows();
    Ok(rows
        .into_iter()
        .enumerate()
        .map(|(at, rows)| Group { rows, bounds: table.bounds(at, source) })
        .collect())
}

/// The bounds of a whole file, as they are stored.
fn of_file(groups: &[Group]) -> Option<[String; 2]> {
    let bounds: Option<Vec<&Bounds>> = groups.iter().map(|group| group.bounds.as_ref()).collect();
    let bounds = bounds?;
    let min = bounds.iter().map(|bounds| &bounds.min).min()?;
    let max = bounds.iter().map(|bounds| &bounds.max).max()?;
    Some([hex(min), hex(max)])
}

/// A bound behind each [`TARGET`] rows, at the end of a row group.
fn cut(groups: &[Group]) -> Vec<String> {
    let mut ends: Vec<(&[u8], u64)> =
        groups.iter().filter_map(|group| Some((group.bounds.as_ref()?.max.as_slice(), group.rows))).collect();
    ends.sort_unstable();
    let last = ends.last().map(|(end, _)| *end);
    let (mut bounds, mut rows): (Vec<String>, u64) = (Vec::new(), 0);
    for (end, more) in &ends {
        rows = rows.saturating_add(*more);
        // A shortened bound need not be text; the next group's may be.
        let Ok(text) = std::str::from_utf8(end) else { continue };
        if rows >= TARGET && Some(*end) != last && bounds.last().is_none_or(|before| before.as_str() < text) {
            bounds.push(text.to_owned());
            rows = 0;
        }
    }
    bounds
}

/// Rows that are read if each partition is read once.
fn reads(groups: &[Group], bounds: &[String]) -> u64 {
    let mut reads = 0u64;
    for partition in 0..=bounds.len() {
        let range = range(bounds, partition);
        let overlap = |group: &&Group| group.bounds.as_ref().is_none_or(|bounds| bounds.overlap(&range));
        for group in groups.iter().filter(overlap) {
            reads = reads.saturating_add(group.rows);
        }
    }
    reads
}

/// The keys of a partition.
pub(super) fn range(bounds: &[String], partition: usize) -> KeyRange {
    let after = partition.checked_sub(1).and_then(|before| bounds.get(before)).cloned();
    KeyRange { prefix: String::new(), after, up_to: bounds.get(partition).cloned() }
}
