//! What split would make of a range, without writing anything: for `--dry-run` and for a plan.

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use serde::Serialize;

use super::comparison::Comparison;
use super::duplicates::{DuplicateCounter, Duplicates};
use super::range::ShardBuilder;
use super::{RangeSplit, Source};
use crate::bucket::{BucketError, KeyRange};
use crate::filter::Skipped;
use crate::inputs::Page;
use crate::shard::kept::Difference;

/// A page of a listing, with the images that would be tagged.
#[derive(Clone, Debug, Default)]
pub struct PreviewPage {
    /// The page, without images whose rows are kept.
    pub page: Page,
    /// How its inputs differ from those of the earlier run, if there is one. What was deleted since counts in
    /// the page that shows it.
    pub difference: Option<Difference>,
}

/// What split would make of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The shards.
    #[serde(flatten)]
    pub split: RangeSplit,
    /// Copies among the images that would be tagged.
    pub duplicates: Duplicates,
}

/// The images of `range` that would be tagged, page by page.
///
/// # Errors
/// The stream ends with the first error of the source, or of the earlier run's results.
#[must_use]
pub fn preview_pages(
    source: &Source,
    range: &KeyRange,
) -> BoxStream<'static, Result<PreviewPage, BucketError>> {
    let pages = source.pages(range);
    let Some(earlier) = source.earlier().cloned() else {
        return pages.map_ok(|page| PreviewPage { page, difference: None }).boxed();
    };
    let range = range.clone();
    let start = async move {
        let comparison = Comparison::start(&earlier, &range).await?;
        Ok(Compared { pages, comparison, end: Some(range.up_to) })
    };
    let rest = |compared: Compared| stream::try_unfold(compared, Compared::next);
    stream::once(start).map_ok(rest).try_flatten().boxed()
}

/// A listing next to the rows of an earlier run.
struct Compared {
    pages: BoxStream<'static, Result<Page, BucketError>>,
    comparison: Comparison,
    /// The end of the range, until all of it was compared.
    end: Option<Option<String>>,
}

impl Compared {
    async fn next(mut self) -> Result<Option<(PreviewPage, Self)>, BucketError> {
        let mut page = match self.pages.try_next().await? {
            Some(page) => page,
            None => {
                let Some(end) = self.end.take() else { return Ok(None) };
                self.comparison.pass_all(end).await?;
                Page::default()
            }
        };
        let mut images = Vec::new();
        for image in std::mem::take(&mut page.images) {
            if !self.comparison.keeps(&image).await? {
                images.push(image);
            }
        }
        page.images = images;
        let difference = Some(self.comparison.take().difference);
        Ok(Some((PreviewPage { page, difference }, self)))
    }
}

/// Counts the inputs of `range` without writing anything.
///
/// # Errors
/// If the source cannot be listed, or the results of the earlier run not be read.
pub async fn dry_run(source: &Source, range: &KeyRange) -> Result<Preview, BucketError> {
    let mut split = RangeSplit { version: 1, ..RangeSplit::default() };
    let (mut open, mut copies) = (ShardBuilder::default(), DuplicateCounter::default());
    let mut pages = preview_pages(source, range);
    while let Some(PreviewPage { page, difference }) = pages.try_next().await? {
        if let Some(difference) = difference {
            split.difference.get_or_insert_default().add(&difference);
        }
        add_skipped(&mut split.skipped, &page);
        for image in page.images {
            copies.add(&image);
            if open.is_full_before(&image) {
                split.add_images(&open.take());
            }
            open.push(image);
            if open.is_full(split.shards, usize::MAX) {
                split.add_images(&open.take());
            }
        }
    }
    if !open.is_empty() {
        split.add_images(&open.take());
    }
    Ok(Preview { split, duplicates: copies.estimate() })
}

fn add_skipped(skipped: &mut Skipped, page: &Page) {
    for run in &page.skipped {
        skipped.merge(&run.skipped);
    }
}
