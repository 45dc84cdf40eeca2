//! Cuts a key space into ranges that can be listed in parallel, without knowing what is in it.
//!
//! A page of a listing shows how dense the keys are, and so about how many there are in a range. The largest
//! range is cut in its middle until there are enough. A few stray keys at a range's start prove little, so
//! the end of the page counts too, and every range with more than a page is cut some times whatever it seems
//! to hold. Only how even the ranges are depends on the guess: they share bounds, hold every key, and a range
//! that turns out large is split by more calls. It reads no image.

use futures::stream::TryStreamExt;

use crate::bucket::{Bucket, BucketError, KeyRange};

/// Ranges at most: 300 million keys then take some minutes, at 12,000 keys a second each.
const MAX_RANGES: usize = 128;
/// Listing requests at most; each takes 0.1 to 0.2 seconds.
const MAX_PROBES: usize = 400;
/// A range with fewer keys is not worth a cut: one call lists it in seconds.
const MIN_KEYS: f64 = 50_000.0;
/// Keys of a full page of a listing.
const PAGE: usize = 1000;
/// This many of the last keys are looked at by themselves.
const PAGE_END: usize = 100;
/// A range with more than a page is halved this many times before a guess may call it small: 16 ranges.
const MIN_HALVINGS: u32 = 4;
/// The longest key of S3.
const MAX_KEY_BYTES: usize = 1024;
/// How many characters behind the common prefix locate a key.
const DIGITS: usize = 8;

/// Ranges of all keys that start with one of `prefixes`, in key order; these are sorted, and none is within
/// another.
///
/// # Errors
/// If the bucket cannot be listed.
pub async fn cut(bucket: &dyn Bucket, prefixes: &[String]) -> Result<Vec<KeyRange>, BucketError> {
    let mut cutter = Cutter { bucket, probes: 0 };
    let mut ranges = Vec::with_capacity(prefixes.len());
    for prefix in prefixes {
        ranges.push(cutter.guess(KeyRange::prefix(prefix)).await?);
    }
    while ranges.len() < MAX_RANGES && cutter.probes < MAX_PROBES {
        let Some(at) = largest(&ranges) else { break };
        let halves = cutter.halve(ranges.remove(at)).await?;
        ranges.splice(at..at, halves);
    }
    Ok(ranges.into_iter().map(|guessed| guessed.range).collect())
}

/// A range and the estimate from its first page.
struct Guessed {
    range: KeyRange,
    /// No key is greater, as far as is known.
    end: String,
    /// The first page, if there are more keys behind it.
    page: Option<Page>,
    /// How often it was halved to become what it is.
    halvings: u32,
    /// About how many keys there are; 0 if it is not worth a cut or cannot be cut.
    keys: f64,
}

/// Three keys of a full page.
struct Page {
    first: String,
    /// The one [`PAGE_END`] before the last.
    near_end: String,
    last: String,
}

impl Guessed {
    fn new(range: KeyRange, end: String, page: Option<Page>, halvings: u32) -> Self {
        let keys = match &page {
            None => 0.0,
            Some(page) if halvings < MIN_HALVINGS => page.keys(&end).max(MIN_KEYS),
            Some(page) => page.keys(&end),
        };
        Self { range, end, page, halvings, keys }
    }
}

impl Page {
    /// How many keys there are up to `end`, by the density of the whole page or of its end, whichever is
    /// greater.
    fn keys(&self, end: &str) -> f64 {
        let whole = keys(&self.first, PAGE, &self.last, end);
        whole.max(keys(&self.near_end, PAGE_END, &self.last, end))
    }
}

/// How many keys there are from `first` to `end`, if `count` of them reach from `first` to `last`.
fn keys(first: &str, count: usize, last: &str, end: &str) -> f64 {
    let common = common_beginning(first, end);
    let (first, last, end) = (place(first, common), place(last, common), place(end, common));
    // Keys that differ only after the compared characters are too dense to estimate: assume the maximum.
    if last > first { (end - first) / (last - first) * count as f64 } else { f64::MAX }
}

fn largest(ranges: &[Guessed]) -> Option<usize> {
    let (at, range) = ranges.iter().enumerate().max_by(|(_, a), (_, b)| a.keys.total_cmp(&b.keys))?;
    (range.keys >= MIN_KEYS).then_some(at)
}

struct Cutter<'a> {
    bucket: &'a dyn Bucket,
    probes: usize,
}

impl Cutter<'_> {
    async fn first_page(&mut self, range: &KeyRange) -> Result<Vec<String>, BucketError> {
        self.probes += 1;
        let page = self.bucket.list_as_stored(range).try_next().await?.unwrap_or_default();
        Ok(page.into_iter().map(|object| object.key).filter(|key| range.contains(key)).collect())
    }

    async fn guess(&mut self, range: KeyRange) -> Result<Guessed, BucketError> {
        let page = self.first_page(&range).await?;
        let end = end(&range);
        Ok(Guessed::new(range, end, full(&page), 0))
    }

    /// Two halves; or the same range, known to end earlier, or known not to be cut.
    async fn halve(&mut self, guessed: Guessed) -> Result<Vec<Guessed>, BucketError> {
        let Guessed { range, end, page, halvings, .. } = guessed;
        let Some(page) = page else { return Ok(vec![Guessed::new(range, end, None, halvings)]) };
        let Some(middle) = middle(&page.last, &end) else {
            return Ok(vec![Guessed::new(range, end, None, halvings)]);
        };
        let upper = KeyRange { after: Some(middle.clone()), ..range.clone() };
        let above = self.first_page(&upper).await?;
        if above.is_empty() {
            // No range of its own for nothing; keys that come there until it is listed are still of this
            // range.
            return Ok(vec![Guessed::new(range, middle, Some(page), halvings)]);
        }
        let lower = KeyRange { up_to: Some(middle.clone()), ..range };
        let lower = Guessed::new(lower, middle, Some(page), halvings + 1);
        Ok(vec![lower, Guessed::new(upper, end, full(&above), halvings + 1)])
    }
}

/// Three keys of a full page. If the store lists in an order of its own they mean nothing: such a range stays
/// whole.
fn full(page: &[String]) -> Option<Page> {
    let at = |from_end: usize| page.get(page.len().checked_sub(from_end)?).cloned();
    let (first, near_end, last) = (page.first().cloned()?, at(PAGE_END)?, at(1)?);
    (page.len() >= PAGE && page.is_sorted()).then_some(Page { first, near_end, last })
}

/// A bound that no key of the range exceeds, except keys that continue with characters beyond ASCII.
fn end(range: &KeyRange) -> String {
    range.up_to.clone().unwrap_or_else(|| format!("{}\u{7f}", range.prefix))
}

/// The bytes of the common prefix, up to a character's border.
fn common_beginning(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

/// The position of a key among those with the same first `common` bytes: 0 to 1, in key order.
fn place(key: &str, common: usize) -> f64 {
    let mut place = 0.0;
    let mut unit = 1.0;
    for c in key.get(common..).unwrap_or_default().chars().take(DIGITS) {
        unit /= 129.0;
        // Characters beyond ASCII share the last place.
        place += f64::from(u32::from(c).min(127) + 1) * unit;
    }
    place
}

/// A string between two others, `low < middle < high`; `None` if there is no room for one.
fn middle(low: &str, high: &str) -> Option<String> {
    let common = common_beginning(low, high);
    let (low_rest, high_rest) = (low.get(common..)?.chars().next(), high.get(common..)?.chars().next()?);
    let from = low_rest.map_or(0, u32::from);
    let to = u32::from(high_rest);
    let mut middle = low.get(..common)?.to_owned();
    if to > from + 1 {
        // Surrogates are not characters; just above them there is one.
        middle.push(char::from_u32(from + (to - from) / 2).unwrap_or('\u{e000}'));
    } else {
        // No character fits in between: one that is greater than the rest of `low`, behind its first
        // differing one.
        let first = low_rest?;
        middle.push(first);
        let next = low.get(common + first.len_utf8()..)?.chars().next().map_or(0, u32::from);
        let above = if next < 0x7e { next + (0x7f - next).div_ceil(2) } else { next.checked_add(1)? };
        middle.push(char::from_u32(above)?);
    }
    (low < middle.as_str() && middle.as_str() < high && middle.len() <= MAX_KEY_BYTES).then_some(middle)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;
    use crate::bucket::memory::MemoryBucket;

    async fn bucket_of(keys: impl IntoIterator<Item = String>) -> MemoryBucket {
        let bucket = MemoryBucket::default();
        for key in keys {
            bucket.put(&key, Bytes::new()).await.unwrap();
        }
        bucket
    }

    async fn counts(bucket: &MemoryBucket, ranges: &[KeyRange]) -> Vec<usize> {
        let mut counts = Vec::new();
        for range in ranges {
            let pages: Vec<_> = bucket.list(range).try_collect().await.unwrap();
            counts.push(pages.concat().len());
        }
        counts
    }

    #[tokio::test]
    async fn a_page_or_less_is_one_range() {
        let bucket = bucket_of((0..999).map(|number| format!("a/{number:05}.jpg"))).await;
        assert_eq!(cut(&bucket, &["a/".to_owned()]).await.unwrap(), [KeyRange::prefix("a/")]);
    }

    /// Keys before the bulk do not describe it.
    #[tokio::test]
    async fn stray_keys_at_the_start_do_not_hide_the_rest() {
        let strays: [Vec<String>; 3] = [
            vec!["photos/".to_owned()],
            vec!["photos/.DS_Store".to_owned()],
            (0..700).map(|number| format!("banners/{:08x}", number * 7919)).collect(),
        ];
        for stray in strays {
            let hashed = (0..60_000_u64)
                .map(|number| format!("photos/{:016x}.jpg", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            let bucket = bucket_of(hashed.chain(stray.clone())).await;
            let ranges = cut(&bucket, &[String::new()]).await.unwrap();
            let counts = counts(&bucket, &ranges).await;
            assert_eq!(counts.iter().sum::<usize>(), 60_000 + stray.len());
            assert!(*counts.iter().max().unwrap() <= 15_000, "{:?} {counts:?}", stray.first());
        }
    }

    #[tokio::test]
    async fn hashed_and_numbered_keys_are_cut_evenly() {
        let hashed = (0..60_000_u64)
            .map(|number| format!("h/{:016x}.jpg", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let numbered = (0..60_000).map(|number| format!("n/{:03}/{:08}.jpg", number / 1000, number));
        let bucket = bucket_of(hashed.chain(numbered)).await;
        for prefix in ["h/", "n/"] {
            let ranges = cut(&bucket, &[prefix.to_owned()]).await.unwrap();
            let counts = counts(&bucket, &ranges).await;
            assert_eq!(counts.iter().sum::<usize>(), 60_000, "{prefix}");
            assert!(*counts.iter().max().unwrap() <= 15_000, "{prefix} {counts:?}");
        }
    }

    #[test]
    fn between_two_keys() {
        assert_eq!(middle("a", "c").as_deref(), Some("b"));
        assert!(middle("photos/2019/9", "photos/2020/1").is_some());
        assert_eq!(middle("a", "a\u{0}"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever the keys: each is in exactly one range, and the ranges are in order.
        #[test]
        fn every_key_is_in_one_range(keys in btree_set("[a-cü/\u{0}]{0,5}", 0..2500)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let bucket = bucket_of(keys.clone()).await;
                let cutter = &mut Cutter { bucket: &bucket, probes: 0 };
                let mut ranges = vec![cutter.guess(KeyRange::default()).await.unwrap()];
                for _ in 0..40 {
                    let at = cutter.probes % ranges.len();
                    if ranges[at].page.is_some() {
                        let halves = cutter.halve(ranges.remove(at)).await.unwrap();
                        ranges.splice(at..at, halves);
                    } else {
                        cutter.probes += 1;
                    }
                }
                let mut listed = Vec::new();
                for guessed in &ranges {
                    let pages: Vec<_> = bucket.list(&guessed.range).try_collect().await.unwrap();
                    listed.extend(pages.concat().into_iter().map(|object| object.key));
                }
                assert_eq!(listed, keys.into_iter().collect::<Vec<_>>());
            });
        }

        #[test]
        fn a_middle_is_between(low: String, high: String) {
            let (low, high) = if low < high { (low, high) } else { (high, low) };
            if let Some(middle) = middle(&low, &high) {
                prop_assert!(low < middle && middle < high);
            }
        }
    }
}
