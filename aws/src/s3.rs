//! S3 as a bucket.
//!
//! Listings use encoding-type=url and are decoded in this module, so that keys with control characters arrive
//! unchanged. A large object is written in parts; a conditional write is conditional either way. It never
//! lists twice, and sends HEAD only to find whether an object exists.

mod errors;
mod multipart;
mod ranges;
mod region;
pub mod settings;

use async_trait::async_trait;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{EncodingType, Object as S3Object, ObjectStorageClass, OptionalObjectAttributes};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use percent_encoding::percent_decode_str;
use tagfleet_pipeline::bucket::{
    Access, Bucket, BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Kind, Object, Put,
};

use crate::Aws;
use crate::client::of_upload;
use region::RegionalClient;

/// Attempts of a conditional write during another one of the same key (409), which ends within seconds.
const CONFLICT_TRIES: u32 = 10;

/// The error for a store without conditional writes.
const NO_CONDITIONS: &str = "this store has no conditional writes (If-None-Match), which keep a result from being \
    written twice: write the results to a folder or to a store that has them, such as S3, MinIO, Ceph or R2";

/// One S3 bucket.
#[derive(Clone, Debug)]
pub struct S3Bucket {
    client: RegionalClient,
    bucket: String,
    name: String,
}

impl S3Bucket {
    /// The bucket of this name, or of this access point's ARN; the first request shows whether it exists.
    #[must_use]
    pub fn new(aws: &Aws, bucket: &str) -> Self {
        let mut client = aws.s3.clone();
        if bucket.starts_with("arn:") {
            // An access point is part of the host's name, never of the path.
            let config = client.config().to_builder().force_path_style(false).build();
            client = aws_sdk_s3::Client::from_conf(config);
        }
        Self {
            client: RegionalClient::new(client),
            bucket: bucket.to_owned(),
            name: format!("s3://{bucket}"),
        }
    }

    /// The same bucket, with requests to its own region from the first one on.
    #[must_use]
    pub fn in_region(self, region: &str) -> Self {
        self.client.move_to(region);
        self
    }

    /// The region that the bucket is in, `eu-central-1`; needs `s3:ListBucket`.
    ///
    /// # Errors
    /// If there is no such bucket, or S3 does not name its region.
    pub async fn region(&self) -> Result<String, BucketError> {
        match self.client.current().head_bucket().bucket(&self.bucket).send().await {
            Ok(found) => found.bucket_region.ok_or_else(|| self.fail(Kind::Other, "", "S3 named no region")),
            Err(error) => {
                // A bucket that is in another region, or cannot be listed, names its region in the error.
                match error.raw_response().and_then(region::named) {
                    Some(region) => Ok(region),
                    None => Err(self.error("", &error)),
                }
            }
        }
    }

    fn fail(&self, kind: Kind, key: &str, detail: impl Into<String>) -> BucketError {
        BucketError { kind, bucket: self.name.clone(), key: key.to_owned(), detail: detail.into() }
    }

    async fn page(&self, walk: &mut Walk) -> Result<Vec<Object>, BucketError> {
        let list = |client: aws_sdk_s3::Client| {
            let request = client.list_objects_v2().bucket(&self.bucket).prefix(&walk.prefix);
            request
                .encoding_type(EncodingType::Url)
                .optional_object_attributes(OptionalObjectAttributes::RestoreStatus)
                .set_start_after(walk.start_after.clone())
                .set_continuation_token(walk.token.clone())
                .send()
        };
        let listed = match self.client.send(list).await.map_err(|error| self.error(&walk.prefix, &error)) {
            // Keys before the range are then listed too, and left out with everything else outside it.
            Err(error) if walk.start_after.is_some() && errors::is_unsupported(&error) => {
                walk.start_after = None;
                return Ok(Vec::new());
            }
            listed => listed?,
        };
        let next = listed.next_continuation_token;
        if next.is_some() && next == walk.token {
            return Err(self.fail(
                Kind::Other,
                &walk.prefix,
                "the store lists the same page again and again",
            ));
        }
        walk.is_done = next.is_none();
        walk.token = next;
        listed.contents.unwrap_or_default().iter().map(|object| self.object(object)).collect()
    }

    async fn put_whole(
        &self,
        key: &str,
        bytes: &Bytes,
        if_none_match: Option<&str>,
    ) -> Result<(), BucketError> {
        let put = |client: aws_sdk_s3::Client| {
            let put = client.put_object().bucket(&self.bucket).key(key);
            let put =
                put.set_if_none_match(if_none_match.map(str::to_owned)).body(ByteStream::from(bytes.clone()));
            put.customize().config_override(of_upload(&client)).send()
        };
        self.client.send(put).await.map(|_| ()).map_err(|error| self.error(key, &error))
    }

    fn object(&self, object: &S3Object) -> Result<Object, BucketError> {
        let encoded = object.key().unwrap_or_default();
        let key =
            decode(encoded).ok_or_else(|| self.fail(Kind::Other, encoded, "the listed key is not UTF-8"))?;
        let size = u64::try_from(object.size().unwrap_or(0)).unwrap_or(0);
        let etag = unquoted(object.e_tag().unwrap_or_default());
        Ok(Object { key, size, etag, access: access(object) })
    }
}

/// A listing that is under way.
struct Walk {
    prefix: String,
    /// `None` if the store does not support it.
    start_after: Option<String>,
    token: Option<String>,
    is_done: bool,
}

/// S3 encodes a space as `+` and everything else as percent and two digits.
fn decode(encoded: &str) -> Option<String> {
    let spaced = encoded.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(String::from)
}

fn unquoted(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

fn access(object: &S3Object) -> Access {
    let is_restored = object.restore_status().is_some_and(|status| {
        let expires = status.restore_expiry_date().map_or(0, DateTime::secs);
        expires > 0 && !status.is_restore_in_progress().unwrap_or(false)
    });
    match object.storage_class() {
        Some(ObjectStorageClass::Glacier | ObjectStorageClass::DeepArchive) if !is_restored => {
            Access::Archived
        }
        _ => Access::Readable,
    }
}

#[async_trait]
impl Bucket for S3Bucket {
    fn name(&self) -> &str {
        &self.name
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        let (prefix, start_after) = (range.prefix.clone(), range.after.clone());
        let walk = Walk { prefix, start_after, token: None, is_done: false };
        let bucket = self.clone();
        let pages = stream::try_unfold((bucket, walk), |(bucket, mut walk)| async move {
            if walk.is_done {
                return Ok(None);
            }
            let page = bucket.page(&mut walk).await?;
            Ok(Some((page, (bucket, walk))))
        });
        pages.filter(|page| std::future::ready(!page.as_ref().is_ok_and(Vec::is_empty))).boxed()
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        let quoted = if_match.map(|etag| format!("\"{etag}\""));
        let get = |client: aws_sdk_s3::Client| {
            client.get_object().bucket(&self.bucket).key(key).set_if_match(quoted.clone()).send()
        };
        let found = self.client.send(get).await.map_err(|error| errors::of_read(self.error(key, &error)))?;
        let size = u64::try_from(found.content_length().unwrap_or(0)).unwrap_or(0);
        if size > limit {
            return Err(self.fail(
                Kind::TooLarge,
                key,
                format!("{size} bytes, more than the limit of {limit}"),
            ));
        }
        let etag = unquoted(found.e_tag().unwrap_or_default());
        let body =
            found.body.collect().await.map_err(|error| self.fail(Kind::Temporary, key, error.to_string()))?;
        let bytes = body.into_bytes();
        if bytes.len() as u64 != size {
            return Err(self.fail(Kind::Temporary, key, format!("{} of {size} bytes arrived", bytes.len())));
        }
        Ok(Fetched { bytes, etag })
    }

    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        self.read_range(key, if_match, &range).await
    }

    async fn exists(&self, key: &str) -> Result<bool, BucketError> {
        let head = |client: aws_sdk_s3::Client| client.head_object().bucket(&self.bucket).key(key).send();
        match self.client.send(head).await {
            Ok(_) => Ok(true),
            Err(error) => match self.error(key, &error) {
                error if error.kind == Kind::Missing => Ok(false),
                error => Err(error),
            },
        }
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<Put, BucketError> {
        let mut tries = 0;
        loop {
            let written = if bytes.len() > multipart::PART_BYTES {
                self.put_parts(key, &bytes, true).await
            } else {
                self.put_whole(key, &bytes, Some("*")).await
            };
            tries += 1;
            match written {
                Ok(()) => return Ok(Put::Created),
                Err(error) if error.kind == Kind::Changed => return Ok(Put::AlreadyThere),
                Err(error) if errors::lacks_conditions(&error) => {
                    return Err(self.fail(Kind::Other, key, NO_CONDITIONS));
                }
                Err(error) if errors::is_conflict(&error) && tries < CONFLICT_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BucketError> {
        if bytes.len() > multipart::PART_BYTES {
            return self.put_parts(key, &bytes, false).await;
        }
        self.put_whole(key, &bytes, None).await
    }
}

#[cfg(test)]
mod throttling_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_keys_are_decoded_as_s3_encodes_them() {
        assert_eq!(decode("a+b%2Bc%2520%0A%C3%9F//").as_deref(), Some("a b+c%20\nß//"));
        assert_eq!(decode("%FF"), None);
    }

    #[test]
    fn an_archived_object_is_readable_once_it_is_restored() {
        use aws_sdk_s3::types::RestoreStatus;
        let glacier = S3Object::builder().storage_class(ObjectStorageClass::Glacier);
        assert_eq!(access(&glacier.clone().build()), Access::Archived);
        let restored = RestoreStatus::builder().restore_expiry_date(DateTime::from_secs(1)).build();
        assert_eq!(access(&glacier.restore_status(restored).build()), Access::Readable);
        assert_eq!(
            access(&S3Object::builder().storage_class(ObjectStorageClass::GlacierIr).build()),
            Access::Readable
        );
    }
}
