//! Shards: a run's closed list of inputs, cut into pieces that one worker tags in one go.
//!
//! After split, nothing lists the source again. A shard is stored as zstd-compressed JSON lines, a header and
//! one line per image in key order, so that `zstdcat` shows the inputs of a run. No shard is ever divided.

pub mod kept;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bucket::{Access, Object};
use crate::filter::Skipped;
use kept::KeptRows;

/// The version of the stored form.
const VERSION: u32 = 1;
/// No shard holds more, see [`ShardId::max_images`].
const MAX_IMAGES: usize = 10_000;
/// No shard of 10,000 keys of 1,024 bytes each needs more, however much JSON escapes.
const MAX_STORED_BYTES: u64 = 128 << 20;
/// The most bytes of images in one shard, but for a single larger image: 1 GB.
pub const MAX_IMAGE_BYTES: u64 = 1_000_000_000;

/// One input of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The key, verbatim.
    pub key: String,
    /// Size in bytes, if it was listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The etag it was listed with; a read that finds another gives a row `changed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Whether it can be read.
    #[serde(default)]
    pub access: Access,
}

impl Image {
    /// An input that was named, not listed.
    #[must_use]
    pub fn named(key: String) -> Self {
        Self { key, size: None, etag: None, access: Access::Readable }
    }
}

impl From<Object> for Image {
    fn from(object: Object) -> Self {
        let Object { key, size, etag, access } = object;
        Self { key, size: Some(size), etag: Some(etag), access }
    }
}

/// The place of a key in a random order that is the same on every machine, because its keys are fixed: for
/// samples.
#[must_use]
pub fn key_hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Names a shard within its run; shards in the order of their ids hold keys in key order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShardId {
    /// The range of the key space, from 0.
    pub range: u32,
    /// The number within the range, from 0.
    pub number: u32,
}

impl ShardId {
    /// The written form of an id: two numbers of a fixed width, so that text order is id order.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (range, number) = text.split_once('-')?;
        let id = Self { range: range.parse().ok()?, number: number.parse().ok()? };
        (id.to_string() == text).then_some(id)
    }

    /// The first characters of the ids of one range.
    #[must_use]
    pub fn range_prefix(range: u32) -> String {
        format!("{range:05}-")
    }

    /// How many images this shard holds at most: small ones first, so that small runs spread over workers and
    /// every run resumes finely; large ones later, so that a large run stays cheap.
    #[must_use]
    pub fn max_images(self) -> usize {
        match self.number {
            0..32 => 256,
            32..160 => 2_000,
            _ => MAX_IMAGES,
        }
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{:07}", Self::range_prefix(self.range), self.number)
    }
}

impl From<ShardId> for String {
    fn from(id: ShardId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ShardId {
    type Error = ShardError;

    fn try_from(text: String) -> Result<Self, ShardError> {
        Self::parse(&text).ok_or_else(|| ShardError(format!("{text:?} is not a shard ID")))
    }
}

/// The inputs of one shard, in key order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its name.
    pub id: ShardId,
    /// At least one image, or none if there are only rows to keep.
    pub images: Vec<Image>,
    /// Files that were skipped between the shard before and this one's end.
    pub skipped: Skipped,
    /// The rows that are kept of an earlier run, if the run continues one.
    pub kept: Option<KeptRows>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    shard: ShardId,
    images: usize,
    #[serde(default, skip_serializing_if = "Skipped::is_empty")]
    skipped: Skipped,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<KeptRows>,
}

impl Shard {
    /// The last key that this shard covers; `None` if it reaches to the end of its range.
    #[must_use]
    pub fn end(&self) -> Option<&str> {
        match &self.kept {
            Some(kept) => kept.range.up_to.as_deref(),
            None => self.images.last().map(|image| image.key.as_str()),
        }
    }

    /// The stored form.
    ///
    /// # Errors
    /// Only if memory runs out.
    pub fn encode(&self) -> Result<Bytes, ShardError> {
        let header = Header {
            version: VERSION,
            shard: self.id,
            images: self.images.len(),
            skipped: self.skipped.clone(),
            kept: self.kept.clone(),
        };
        let mut writer = zstd::Encoder::new(Vec::new(), 3)?;
        serde_json::to_writer(&mut writer, &header)?;
        for image in &self.images {
            writer.write_all(b"\n")?;
            serde_json::to_writer(&mut writer, image)?;
        }
        Ok(writer.finish()?.into())
    }

    /// Reads the stored form, at most 128 MiB and 10,000 images of it.
    ///
    /// # Errors
    /// If it is not whole, of another version, or too large.
    pub fn decode(bytes: &[u8]) -> Result<Self, ShardError> {
        let reader = zstd::Decoder::with_buffer(bytes)?.take(MAX_STORED_BYTES);
        let mut lines = BufReader::new(reader).lines();
        let first = lines.next().ok_or_else(|| ShardError("it is empty".to_owned()))??;
        let header: Header = serde_json::from_str(&first)?;
        if header.version != VERSION {
            return Err(ShardError(format!("version {}, this tagfleet reads {VERSION}", header.version)));
        }
        if header.images > MAX_IMAGES {
            return Err(ShardError(format!("{} images, a shard has at most {MAX_IMAGES}", header.images)));
        }
        let mut images = Vec::new();
        // One line more than there should be is as wrong as thousands, which would take memory.
        for line in lines.take(header.images + 1) {
            images.push(serde_json::from_str(&line?)?);
        }
        if images.len() != header.images {
            return Err(ShardError(format!("other than the {} images that it should hold", header.images)));
        }
        Ok(Self { id: header.shard, images, skipped: header.skipped, kept: header.kept })
    }
}

/// A stored shard cannot be read.
#[derive(Debug, Error)]
#[error("not a shard: {0}")]
pub struct ShardError(String);

impl From<std::io::Error> for ShardError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for ShardError {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn image() -> impl Strategy<Value = Image> {
        let access = prop_oneof![Just(Access::Readable), Just(Access::Archived)];
        (any::<String>(), any::<Option<u64>>(), any::<Option<String>>(), access)
            .prop_map(|(key, size, etag, access)| Image { key, size, etag, access })
    }

    proptest! {
        #[test]
        fn every_key_comes_back_unharmed(images in vec(image(), 1..20), range: u32, number: u32) {
            let mut skipped = Skipped::default();
            skipped.add(crate::filter::SkipReason::Text, &images[0].key);
            let shard = Shard { id: ShardId { range, number }, images, skipped, kept: None };
            prop_assert_eq!(Shard::decode(&shard.encode().unwrap()).unwrap(), shard);
        }

        #[test]
        fn ids_sort_as_their_text_does(a in (0..100_000u32, 0..10_000_000u32), b in (0..100_000u32, 0..10_000_000u32)) {
            let (a, b) = (ShardId { range: a.0, number: a.1 }, ShardId { range: b.0, number: b.1 });
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(ShardId::parse(&a.to_string()), Some(a));
        }

        #[test]
        fn hostile_bytes_are_an_error(bytes in vec(any::<u8>(), 0..200)) {
            prop_assert!(Shard::decode(&bytes).is_err());
        }
    }

    #[test]
    fn a_truncated_shard_is_an_error() {
        let images = (0..100).map(|number| Image::named(format!("{number}.jpg"))).collect();
        let id = ShardId { range: 0, number: 0 };
        let stored = Shard { id, images, skipped: Skipped::default(), kept: None }.encode().unwrap();
        for length in 0..stored.len() {
            assert!(Shard::decode(&stored[..length]).is_err(), "{length} of {} bytes", stored.len());
        }
    }

    #[test]
    fn more_images_than_a_shard_may_have_take_no_memory() {
        let id = ShardId { range: 0, number: 200 };
        let images = vec![Image::named(String::new()); MAX_IMAGES + 1];
        let stored = Shard { id, images, skipped: Skipped::default(), kept: None }.encode().unwrap();
        let error = Shard::decode(&stored).unwrap_err();
        insta::assert_snapshot!(error, @"not a shard: 10001 images, a shard has at most 10000");
        let header = "{\"version\":1,\"shard\":\"00000-0000000\",\"images\":1}";
        let lines = [header, &"\n{\"key\":\"\"}".repeat(1_000_000)].concat();
        let error = Shard::decode(&zstd::encode_all(lines.as_bytes(), 1).unwrap()).unwrap_err();
        insta::assert_snapshot!(error, @"not a shard: other than the 1 images that it should hold");
    }

    #[test]
    fn stored_form() {
        let listed = Image {
            key: "ü/ß \"1\".jpg".into(),
            size: Some(3),
            etag: Some("3-f".into()),
            access: Access::Readable,
        };
        let archived = Image {
            key: "%FF.jpg".into(),
            size: Some(0),
            etag: Some("0-0".into()),
            access: Access::Archived,
        };
        let mut skipped = Skipped::default();
        skipped.add(crate::filter::SkipReason::FolderMarker, "a/");
        let shard = Shard {
            id: ShardId { range: 0, number: 17 },
            images: vec![Image::named("a//b".into()), listed, archived],
            skipped,
            kept: None,
        };
        let text = String::from_utf8(zstd::decode_all(&*shard.encode().unwrap()).unwrap()).unwrap();
        insta::assert_snapshot!(text);
    }
}
