//! A bucket of this many keys that holds none of them: each is computed on request, in its order.
//!
//! It exists so that a stage's memory can be measured without that of a bucket in memory. It is read-only.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use tagfleet_pipeline::bucket::{
    Access, Bucket, BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Kind, Object, Put,
};

const PREFIX: &str = "photos/";
const BODY: &[u8] = b"image";
pub(super) const ETAG: &str = "made-up";
/// Objects of one page of S3.
const PAGE: u64 = 1000;

/// Keys `photos/` and 16 hexadecimal digits, evenly over the whole space of these.
#[derive(Clone, Copy)]
pub(crate) struct SyntheticBucket {
    keys: u64,
}

impl SyntheticBucket {
    pub(crate) fn of(keys: usize) -> Self {
        Self { keys: keys as u64 }
    }

    pub(super) fn len(self) -> u64 {
        self.keys
    }

    /// The key of this number, from 0.
    pub(super) fn key(self, number: u64) -> String {
        format!("{PREFIX}{:016x}", number * self.step())
    }

    fn step(self) -> u64 {
        u64::MAX / self.keys.max(1)
    }

    fn number(self, key: &str) -> Option<u64> {
        let place = u64::from_str_radix(key.strip_prefix(PREFIX)?, 16).ok()?;
        let number = place / self.step();
        (number < self.keys && self.key(number) == key).then_some(number)
    }

    /// The first key behind `after`, by halving.
    fn first_behind(self, after: &str) -> u64 {
        let (mut low, mut high) = (0, self.keys);
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle).as_str() > after { high = middle } else { low = middle + 1 }
        }
        low
    }

    fn refused(key: &str, kind: Kind) -> BucketError {
        let (bucket, detail) = ("made-up".to_owned(), "it only has what it makes up".to_owned());
        BucketError { kind, bucket, key: key.to_owned(), detail }
    }
}

#[async_trait]
impl Bucket for SyntheticBucket {
    fn name(&self) -> &'static str {
        "made-up"
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        let (synthetic_bucket, range) = (*self, range.clone());
        let begin = range.after.as_deref().map_or(0, |after| synthetic_bucket.first_behind(after));
        // Keys outside a range's prefix are before or behind all of its own.
        let begin = begin.max(synthetic_bucket.first_behind(&range.prefix).min(synthetic_bucket.keys));
        let pages = (begin..synthetic_bucket.keys).step_by(PAGE as usize).map(move |first| {
            let numbers = first..(first + PAGE).min(synthetic_bucket.keys);
            let keys =
                numbers.map(|number| synthetic_bucket.key(number)).take_while(|key| range.contains(key));
            let object = |key| Object {
                key,
                size: BODY.len() as u64,
                etag: ETAG.to_owned(),
                access: Access::Readable,
            };
            keys.map(object).collect::<Vec<_>>()
        });
        stream::iter(pages.take_while(|page| !page.is_empty()).map(Ok)).boxed()
    }

    async fn get(&self, key: &str, _if_match: Option<&str>, _limit: u64) -> Result<Fetched, BucketError> {
        match self.number(key) {
            Some(_) => Ok(Fetched { bytes: Bytes::from_static(BODY), etag: ETAG.to_owned() }),
            None => Err(Self::refused(key, Kind::Missing)),
        }
    }

    async fn get_range(
        &self,
        _key: &str,
        _if_match: Option<&str>,
        _range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        panic!("images are read whole")
    }

    async fn exists(&self, key: &str) -> Result<bool, BucketError> {
        Ok(self.number(key).is_some())
    }

    async fn put_if_absent(&self, key: &str, _bytes: Bytes) -> Result<Put, BucketError> {
        Err(Self::refused(key, Kind::Denied))
    }

    async fn put(&self, key: &str, _bytes: Bytes) -> Result<(), BucketError> {
        Err(Self::refused(key, Kind::Denied))
    }
}

#[tokio::test]
async fn it_lists_what_it_has_in_order() {
    use futures::stream::TryStreamExt;

    let synthetic_bucket = SyntheticBucket::of(2500);
    let list = async |range: KeyRange| -> Vec<String> {
        let pages: Vec<Vec<Object>> = synthetic_bucket.list(&range).try_collect().await.unwrap();
        pages.concat().into_iter().map(|object| object.key).collect()
    };
    let all = list(KeyRange::default()).await;
    assert_eq!((all.len(), all.is_sorted()), (2500, true));
    assert_eq!(list(KeyRange::prefix(PREFIX)).await, all);
    let (after, up_to) = (Some(all[700].clone()), Some(all[1900].clone()));
    assert_eq!(list(KeyRange { after, up_to, ..KeyRange::default() }).await, all[701..=1900]);
    let below = list(KeyRange::prefix("photos/7")).await;
    assert_eq!(below, all.iter().filter(|key| key.starts_with("photos/7")).cloned().collect::<Vec<_>>());
    assert!(synthetic_bucket.get(&all[2499], None, 10).await.is_ok());
    assert_eq!(
        synthetic_bucket.get("photos/0000000000000001", None, 10).await.unwrap_err().kind,
        Kind::Missing
    );
}
