//! Holds every listing to key order: the stages rely on it, and not every store keeps it.
//!
//! S3's directory buckets (Express One Zone) and some compatible stores list in an order of their own. If
//! that shows among the first keys, the rest of the range is read, sorted and handed on; if it shows later,
//! the listing fails, because what was handed on cannot be taken back. It never hands on a key that is not
//! greater than the one before.

use std::vec::IntoIter;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::{BucketError, KeyRange, Kind, Object};

/// Keys that are compared before the first is handed on: a full page of S3, so that a listing in order takes
/// no request more.
const COMPARED_FIRST: usize = 1000;
/// Objects of a page that is handed on.
const PAGE: usize = 1000;
/// The most keys of a range that are sorted in memory: 1,000,000, which take about 200 MB.
pub const MAX_SORTED_KEYS: usize = 1_000_000;

type Pages = BoxStream<'static, Result<Vec<Object>, BucketError>>;

/// The objects of `range` in key order, out of `pages` of the bucket called `name`, which may hold others
/// before and behind it.
#[must_use]
pub fn in_key_order(name: &str, range: &KeyRange, pages: Pages) -> Pages {
    bounded(name, range, pages, MAX_SORTED_KEYS)
}

fn bounded(name: &str, range: &KeyRange, pages: Pages, most: usize) -> Pages {
    let listing =
        Listing { name: name.to_owned(), range: range.clone(), pages, most, last: None, now: Now::Starting };
    stream::try_unfold(listing, |mut listing| async move {
        let page = listing.next().await?;
        Ok(page.map(|page| (page, listing)))
    })
    .boxed()
}

struct Listing {
    name: String,
    range: KeyRange,
    pages: Pages,
    most: usize,
    /// The last key that was listed in order.
    last: Option<String>,
    now: Now,
}

enum Now {
    Starting,
    InOrder,
    Sorted(IntoIter<Object>),
    Ended,
}

/// `key` was listed behind `before`, which is greater.
struct Disorder {
    key: String,
    before: String,
}

impl Listing {
    /// The next page that is not empty; none at the end.
    async fn next(&mut self) -> Result<Option<Vec<Object>>, BucketError> {
        if matches!(self.now, Now::Starting) {
            let first = self.start().await?;
            if !first.is_empty() {
                return Ok(Some(first));
            }
        }
        while matches!(self.now, Now::InOrder) {
            let page = self.in_order().await?;
            if !page.is_empty() {
                return Ok(Some(page));
            }
        }
        let Now::Sorted(objects) = &mut self.now else { return Ok(None) };
        let page: Vec<Object> = objects.take(PAGE).collect();
        Ok((!page.is_empty()).then_some(page))
    }

    /// Compares the first keys, and decides.
    async fn start(&mut self) -> Result<Vec<Object>, BucketError> {
        let mut first = Vec::new();
        self.now = Now::InOrder;
        while first.len() < COMPARED_FIRST {
            let Some(page) = self.pages.try_next().await? else {
                self.now = Now::Ended;
                break;
            };
            first.extend(page);
        }
        match disorder(None, &first) {
            None => Ok(self.take(first)),
            Some(disorder) => {
                let sorted = self.sort(first, &disorder).await?;
                self.now = Now::Sorted(sorted.into_iter());
                Ok(Vec::new())
            }
        }
    }

    async fn in_order(&mut self) -> Result<Vec<Object>, BucketError> {
        let Some(page) = self.pages.try_next().await? else {
            self.now = Now::Ended;
            return Ok(Vec::new());
        };
        match disorder(self.last.as_deref(), &page) {
            None => Ok(self.take(page)),
            Some(disorder) => Err(self.refuse(
                &disorder,
                "and it showed too late to sort it: name its keys with --keys, which are sorted first",
            )),
        }
    }

    /// What is of the range, each key once; behind the range the listing ends.
    fn take(&mut self, mut page: Vec<Object>) -> Vec<Object> {
        page.dedup_by(|next, before| next.key == before.key);
        if page.first().is_some_and(|first| Some(&first.key) == self.last.as_ref()) {
            page.remove(0);
        }
        if let Some(last) = page.last() {
            self.last = Some(last.key.clone());
        }
        let is_behind = |up_to: &String| self.last.as_ref() > Some(up_to);
        if self.range.up_to.as_ref().is_some_and(is_behind) {
            self.now = Now::Ended;
        }
        page.retain(|object| self.range.contains(&object.key));
        page
    }

    /// All objects of the range, sorted.
    async fn sort(&mut self, first: Vec<Object>, disorder: &Disorder) -> Result<Vec<Object>, BucketError> {
        let mut objects = Vec::new();
        let mut page = Some(first);
        while let Some(listed) = page {
            objects.extend(listed.into_iter().filter(|object| self.range.contains(&object.key)));
            if objects.len() > self.most {
                let most = self.most;
                let remedy = format!(
                    "and more than {most} keys are not sorted: tag one prefix after the other, or name the keys with --keys"
                );
                return Err(self.refuse(disorder, &remedy));
            }
            page = self.pages.try_next().await?;
        }
        objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        objects.dedup_by(|next, before| next.key == before.key);
        Ok(objects)
    }

    fn refuse(&self, Disorder { key, before }: &Disorder, remedy: &str) -> BucketError {
        let detail = format!("listed behind {before:?}: this store does not list in key order, {remedy}");
        BucketError { kind: Kind::Other, bucket: self.name.clone(), key: key.clone(), detail }
    }
}

/// The first key that is smaller than the one before it. An equal one is a repetition, as at the border of
/// two pages.
fn disorder(last: Option<&str>, page: &[Object]) -> Option<Disorder> {
    let mut before = last;
    for object in page {
        if let Some(before) = before.filter(|before| object.key.as_str() < *before) {
            return Some(Disorder { key: object.key.clone(), before: before.to_owned() });
        }
        before = Some(&object.key);
    }
    None
}

#[cfg(test)]
mod tests;
