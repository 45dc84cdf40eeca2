//! The pictures of a page: thumbnails that workers left, else the images themselves.
//!
//! An image is put into the page as it is stored, for the browser to decode: no picture is decoded here. What
//! cannot be shown is counted with a reason, and no picture is a reason to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::stream::TryStreamExt;
use maud::{Markup, html};
use tagfleet_analysis::Subject;
use tagfleet_aws::S3Bucket;
use tagfleet_fleet::address::Address;
use tagfleet_pipeline::bucket::{Bucket, BucketError, DirBucket};
use tagfleet_pipeline::thumbnails::stored::StoredThumbnails;

use super::found_run::FoundRun;
use crate::args::StackOptions;
use crate::connection;

/// The most bytes of one image: 1 MiB.
const MAX_BYTES: u64 = 1 << 20;
/// The most bytes of all images of a page: 24 MiB.
const MAX_ALL_BYTES: usize = 24 << 20;

/// Pictures by key.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    by_key: BTreeMap<String, Picture>,
    /// Why some are missing, for people.
    pub(super) note: Option<String>,
}

#[derive(Debug)]
struct Picture {
    kind: &'static str,
    base64: String,
}

impl Pictures {
    /// The thumbnails of these images, as far as workers left some.
    async fn add_thumbnails(&mut self, found: &FoundRun, keys: &BTreeSet<&str>) -> Result<(), BucketError> {
        let stored = StoredThumbnails::list(found.output.as_ref(), &found.run, &found.keys).await?;
        let mut samples = stored.samples(found.output.as_ref());
        while let Some(sample) = samples.try_next().await? {
            let Some(sample) = sample else { continue };
            let pictures = sample.random.into_iter().chain(sample.unsure);
            for picture in pictures.filter(|picture| keys.contains(picture.key.as_str())) {
                self.by_key.insert(picture.key, Picture { kind: "jpeg", base64: picture.jpeg });
            }
        }
        Ok(())
    }

    /// Looks for the pictures of these keys.
    pub(super) async fn collect(
        found: &FoundRun,
        subject: &Subject,
        keys: &BTreeSet<&str>,
        options: &StackOptions,
    ) -> Self {
        let mut pictures = Self::default();
        if keys.is_empty() {
            return pictures;
        }
        // Thumbnails expire, and no page needs them, so a bucket that fails here ends nothing.
        let _ = pictures.add_thumbnails(found, keys).await;
        let open: Vec<&str> =
            keys.iter().copied().filter(|key| !pictures.by_key.contains_key(*key)).collect();
        if open.is_empty() {
            return pictures;
        }
        match source(&subject.source, options).await {
            Ok(bucket) => pictures.read(bucket.as_ref(), &open).await,
            Err(why) => {
                pictures.note = Some(format!("{} are not shown: {why}", count(open.len())));
            }
        }
        pictures
    }

    async fn read(&mut self, bucket: &dyn Bucket, keys: &[&str]) {
        let (mut all, mut missing, mut why) = (0, 0, None);
        for key in keys {
            match picture(bucket, key).await {
                Ok(picture) if all + picture.base64.len() <= MAX_ALL_BYTES => {
                    all += picture.base64.len();
                    self.by_key.insert((*key).to_owned(), picture);
                }
                Ok(_) => {
                    missing += 1;
                    why.get_or_insert_with(|| "the page would be too large".to_owned());
                }
                Err(error) => {
                    missing += 1;
                    why.get_or_insert(error);
                }
            }
        }
        self.note = why.map(|why| format!("{} are not shown: {why}", count(missing)));
    }

    /// The picture as HTML; empty if there is none.
    pub(super) fn html(&self, key: &str) -> Markup {
        let Some(Picture { kind, base64 }) = self.by_key.get(key) else { return Markup::default() };
        html! {
            img src={ "data:image/" (kind) ";base64," (base64) } alt="" width="256" height="256" decoding="async";
        }
    }
}

fn count(pictures: usize) -> String {
    if pictures == 1 { "1 picture".to_owned() } else { format!("{pictures} pictures") }
}

/// Where the images of a run are.
async fn source(location: &str, options: &StackOptions) -> Result<Box<dyn Bucket>, String> {
    if !Address::is_meant(location) {
        let folder = Path::new(location);
        if !folder.is_dir() {
            return Err(format!("their folder {location} is not here"));
        }
        return Ok(Box::new(DirBucket::new(folder)));
    }
    let address = Address::parse(location).map_err(|error| error.to_string())?;
    let aws = connection::to_stack(&options.aws).await.map_err(|failure| failure.message().to_owned())?;
    Ok(Box::new(S3Bucket::new(&aws, &address.bucket)))
}

async fn picture(bucket: &dyn Bucket, key: &str) -> Result<Picture, String> {
    let stored = bucket.get(key, None, MAX_BYTES).await.map_err(|error| error.to_string())?;
    let kind = kind(&stored.bytes).ok_or_else(|| format!("{key}: no browser shows its format"))?;
    Ok(Picture { kind, base64: STANDARD.encode(&stored.bytes) })
}

/// The format by the first bytes, as a page names it; none for what browsers do not show.
fn kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("png"),
        [b'G', b'I', b'F', b'8', ..] => Some("gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("webp"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f', ..] => Some("avif"),
        [b'B', b'M', ..] => Some("bmp"),
        _ => None,
    }
}
