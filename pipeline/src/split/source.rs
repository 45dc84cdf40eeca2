//! Where the images of a range come from: one listing, several places of a bucket, a list of keys, or a
//! manifest.
//!
//! In each case its images come in key order and each once. It reads no image.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::bucket::{Bucket, BucketError, KeyRange};
use crate::earlier::{ComparedRows, EarlierRow, EarlierRun};
use crate::filter::Filter;
use crate::inputs::Page;
use crate::manifest;
use crate::shard::Image;

/// Keys of a named source that are handed on at once.
const NAMED_PAGE: usize = 1000;

/// Where the images of a range come from.
#[derive(Clone)]
pub enum Source {
    /// They are listed.
    Listed(Arc<dyn Bucket>, Filter),
    /// They are listed in several places, or named there.
    Several(Arc<dyn Bucket>, Filter, Arc<Picks>),
    /// They were named; sorted and without duplicates.
    Named(Arc<Vec<String>>),
    /// A manifest has them.
    Manifest(Arc<manifest::Listed>),
    /// They are those of another source, compared with the rows of an earlier run.
    Since(Box<Source>, EarlierRun),
    /// They are those of an earlier run; images that failed there are read as they are now.
    Again(EarlierRun),
}

/// Places of a bucket in key order, none within another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picks(Vec<Pick>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pick {
    /// Every key that starts with this.
    Prefix(String),
    /// These keys: no key of a prefix comes between them.
    Keys(Vec<String>),
}

impl Picks {
    /// All keys that start with one of `prefixes`, and all of `keys`, each once.
    #[must_use]
    pub fn new(mut prefixes: Vec<String>, mut keys: Vec<String>) -> Self {
        prefixes.sort_unstable();
        prefixes.dedup_by(|inner, outer| inner.starts_with(outer.as_str()));
        keys.sort_unstable();
        keys.dedup();
        let mut picks = Vec::new();
        let mut prefixes = prefixes.into_iter().peekable();
        for key in keys {
            while let Some(prefix) = prefixes.next_if(|prefix| *prefix <= key) {
                picks.push(Pick::Prefix(prefix));
            }
            match picks.last_mut() {
                Some(Pick::Prefix(prefix)) if key.starts_with(prefix.as_str()) => {}
                Some(Pick::Keys(keys)) if keys.len() < NAMED_PAGE => keys.push(key),
                _ => picks.push(Pick::Keys(vec![key])),
            }
        }
        picks.extend(prefixes.map(Pick::Prefix));
        Self(picks)
    }

    /// The prefixes, in key order.
    #[must_use]
    pub fn prefixes(&self) -> Vec<String> {
        let prefix = |pick: &Pick| match pick {
            Pick::Prefix(prefix) => Some(prefix.clone()),
            Pick::Keys(_) => None,
        };
        self.0.iter().filter_map(prefix).collect()
    }

    /// The named keys that do not start with one of the prefixes, in key order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let keys = |pick: &Pick| match pick {
            Pick::Prefix(_) => vec![],
            Pick::Keys(keys) => keys.clone(),
        };
        self.0.iter().flat_map(keys).collect()
    }
}

impl Source {
    /// The inputs of a run that continues `earlier`, if it continues one.
    #[must_use]
    pub fn since(self, earlier: Option<EarlierRun>) -> Self {
        match earlier {
            None => self,
            Some(earlier) if earlier.only_failed => Self::Again(earlier),
            Some(earlier) => Self::Since(Box::new(self), earlier),
        }
    }

    /// The earlier run whose rows may be kept, if there is one.
    #[must_use]
    pub fn earlier(&self) -> Option<&EarlierRun> {
        match self {
            Self::Since(_, earlier) | Self::Again(earlier) => Some(earlier),
            Self::Listed(..) | Self::Several(..) | Self::Named(_) | Self::Manifest(_) => None,
        }
    }

    /// The images of `range` in key order, in pages.
    ///
    /// # Errors
    /// The stream ends with the first error of the source.
    pub fn pages(&self, range: &KeyRange) -> BoxStream<'static, Result<Page, BucketError>> {
        match self {
            Self::Listed(bucket, filter) => {
                let (filter, chosen) = (filter.clone(), range.prefix.clone());
                bucket.list(range).map_ok(move |objects| Page::listed(&filter, objects, &chosen)).boxed()
            }
            Self::Several(bucket, filter, picks) => several(bucket, filter, picks, range),
            Self::Manifest(listed) => manifest::pages(listed, range),
            Self::Named(keys) => {
                let count = keys.len();
                let (keys, range) = (keys.clone(), range.clone());
                let named = move |page: usize| {
                    let page = &keys[page..keys.len().min(page + NAMED_PAGE)];
                    let inside = page.iter().filter(|key| range.contains(key)).cloned();
                    let images = inside.map(Image::named).collect();
                    Ok(Page { images, last_key: page.last().cloned(), ..Page::default() })
                };
                stream::iter((0..count).step_by(NAMED_PAGE).map(named)).boxed()
            }
            Self::Since(source, _) => source.pages(range),
            Self::Again(earlier) => inputs_of(earlier.clone(), range.clone()),
        }
    }
}

fn several(
    bucket: &Arc<dyn Bucket>,
    filter: &Filter,
    picks: &Arc<Picks>,
    range: &KeyRange,
) -> BoxStream<'static, Result<Page, BucketError>> {
    let count = picks.0.len();
    let (bucket, filter, picks, range) = (bucket.clone(), filter.clone(), picks.clone(), range.clone());
    let pages = move |pick: usize| match &picks.0[pick] {
        Pick::Keys(keys) => {
            let keys: Vec<String> = keys.iter().filter(|key| range.contains(key)).cloned().collect();
            stream::iter([Ok(Page::named(&filter, &keys))]).boxed()
        }
        Pick::Prefix(prefix) => match range.within(prefix) {
            Some(range) => Source::Listed(bucket.clone(), filter.clone()).pages(&range),
            None => stream::empty().boxed(),
        },
    };
    stream::iter(0..count).flat_map(pages).boxed()
}

/// The inputs of an earlier run. Those that failed have no etag, so that no object is taken for the same.
fn inputs_of(earlier: EarlierRun, range: KeyRange) -> BoxStream<'static, Result<Page, BucketError>> {
    let open = async move { Ok(ComparedRows::new(&earlier.open().await?, &range)) };
    let read = |rows: ComparedRows| stream::try_unfold(rows, next_page);
    stream::once(open).map_ok(read).try_flatten().boxed()
}

async fn next_page(mut rows: ComparedRows) -> Result<Option<(Page, ComparedRows)>, BucketError> {
    let read = rows.next().await?;
    if read.is_empty() {
        return Ok(None);
    }
    let images: Vec<Image> = read.into_iter().map(again).collect();
    let last_key = images.last().map(|image| image.key.clone());
    Ok(Some((Page { images, last_key, ..Page::default() }, rows)))
}

fn again(row: EarlierRow) -> Image {
    let etag = row.etag.filter(|_| row.error_code.is_none());
    Image { etag, ..Image::named(row.key) }
}
