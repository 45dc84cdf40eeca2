//! Large objects, written in parts.
//!
//! Nothing is visible before the last call, so a condition on that call is a condition on the whole object. A
//! failed upload is aborted; if even that fails, the bucket's lifecycle rule does it.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tagfleet_pipeline::bucket::{BucketError, Kind};

use super::S3Bucket;
use crate::client::of_upload;

/// Objects of more bytes than this are written in parts of this size: 64 MiB. S3 takes 5 MiB to 5 GiB, 10,000
/// parts.
pub(super) const PART_BYTES: usize = 64 << 20;

impl S3Bucket {
    pub(super) async fn put_parts(
        &self,
        key: &str,
        bytes: &Bytes,
        if_absent: bool,
    ) -> Result<(), BucketError> {
        let create = |client: aws_sdk_s3::Client| {
            client.create_multipart_upload().bucket(&self.bucket).key(key).send()
        };
        let upload = self.client.send(create).await.map_err(|error| self.error(key, &error))?.upload_id;
        let upload = upload.ok_or_else(|| self.fail(Kind::Other, key, "S3 gave the upload no id"))?;
        let written = self.upload(key, bytes, &upload, if_absent).await;
        if written.is_err() {
            let client = self.client.current();
            let abort = client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(&upload);
            // The first error is the one to report.
            let _ = abort.send().await;
        }
        written
    }

    async fn upload(
        &self,
        key: &str,
        bytes: &Bytes,
        upload: &str,
        if_absent: bool,
    ) -> Result<(), BucketError> {
        // It is in the bucket's region: an upload was created there.
        let client = self.client.current();
        let mut parts = Vec::new();
        for (number, start) in (1..).zip((0..bytes.len()).step_by(PART_BYTES)) {
            let part = bytes.slice(start..bytes.len().min(start + PART_BYTES));
            let put =
                client.upload_part().bucket(&self.bucket).key(key).upload_id(upload).part_number(number);
            let put = put.body(ByteStream::from(part)).customize().config_override(of_upload(&client));
            let put = put.send().await.map_err(|error| self.error(key, &error))?;
            parts.push(CompletedPart::builder().part_number(number).set_e_tag(put.e_tag).build());
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = client.complete_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload);
        let condition = if_absent.then(|| "*".to_owned());
        let completed = complete.set_if_none_match(condition).multipart_upload(parts).send().await;
        completed.map(|_| ()).map_err(|error| self.error(key, &error))
    }
}
