//! The images of a manifest in key order, each once, as a listing would give them.
//!
//! One partition after the other is selected in as many passes as it takes. It can start behind any key.

use std::collections::VecDeque;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::Listed;
use super::entry::Entry;
use super::partitions;
use super::scan;
use super::selection::{MOST, Smallest};
use super::stream::Entries;
use crate::bucket::{BucketError, KeyRange};
use crate::inputs::Page;

/// Entries of a page.
const PAGE: usize = 1000;

/// The images of `range` that are listed, in pages.
///
/// # Errors
/// The stream ends with the first error.
#[must_use]
pub fn pages(listed: &Listed, range: &KeyRange) -> BoxStream<'static, Result<Page, BucketError>> {
    bounded(listed, range, MOST)
}

/// The same with this many entries in a pass.
pub(super) fn bounded(
    listed: &Listed,
    range: &KeyRange,
    most: usize,
) -> BoxStream<'static, Result<Page, BucketError>> {
    let reading = Reading {
        listed: listed.clone(),
        range: range.clone(),
        most,
        partition: 0,
        selected: VecDeque::new(),
    };
    stream::try_unfold(reading, |mut reading| async move {
        let page = reading.next().await?;
        Ok(page.map(|page| (page, reading)))
    })
    .boxed()
}

struct Reading {
    listed: Listed,
    /// What is left.
    range: KeyRange,
    most: usize,
    /// The partition that the next pass is of.
    partition: usize,
    /// Entries in key order that were not handed on yet.
    selected: VecDeque<Entry>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Page>, BucketError> {
        while self.selected.is_empty() {
            if self.partition > self.listed.manifest.bounds.len() {
                return Ok(None);
            }
            self.select().await?;
        }
        let mut lines = Vec::with_capacity(PAGE);
        while let Some(entry) = self.selected.pop_front() {
            let is_last_of_key = self.selected.front().is_none_or(|next| next.key != entry.key);
            lines.push(entry.into_image());
            if lines.len() >= PAGE && is_last_of_key {
                break;
            }
        }
        Ok(Some(Page::in_manifest(&self.listed.filter, lines, &self.listed.prefixes)))
    }

    /// One pass over the current partition, or on to the next one.
    async fn select(&mut self) -> Result<(), BucketError> {
        let Some(range) = self.within(&partitions::range(&self.listed.manifest.bounds, self.partition))
        else {
            self.partition += 1;
            return Ok(());
        };
        let mut smallest = Smallest::new(range.clone(), self.most);
        let mut entries = self.entries(&range);
        while let Some(page) = entries.try_next().await? {
            page.into_iter().for_each(|entry| smallest.push(entry));
        }
        let (selected, has_more) = smallest.finish();
        if has_more {
            self.range.after = selected.last().map(|entry| entry.key.clone());
        } else {
            self.partition += 1;
        }
        self.selected = selected.into();
        Ok(())
    }

    /// What is left of the current partition; `None` if nothing is.
    fn within(&self, partition: &KeyRange) -> Option<KeyRange> {
        let after = self.range.after.clone().max(partition.after.clone());
        let up_to = match (&self.range.up_to, &partition.up_to) {
            (Some(own), Some(end)) => Some(own.min(end).clone()),
            (own, end) => own.clone().or_else(|| end.clone()),
        };
        let is_empty = after.is_some() && up_to.is_some() && after >= up_to;
        (!is_empty).then(|| KeyRange { prefix: self.range.prefix.clone(), after, up_to })
    }

    /// The entries of the current partition, and possibly others, in no order.
    fn entries(&self, range: &KeyRange) -> Entries {
        let Listed { manifest, files, store, .. } = &self.listed;
        if let Some(store) = store.as_ref().filter(|_| manifest.is_stored) {
            return store.entries(self.partition);
        }
        let chosen = manifest.files.iter().filter(|file| file.may_have(range)).cloned().collect::<Vec<_>>();
        let (files, source, range) = (files.clone(), manifest.source.clone(), range.clone());
        let read = move |file| scan::entries(&files, &file, source.clone(), &range);
        stream::iter(chosen).flat_map(read).boxed()
    }
}
