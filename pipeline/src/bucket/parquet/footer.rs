//! The footer of a Parquet object: what its columns and row groups are, and where.
//!
//! It is bounded before it is read, and text is read as views from then on.

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder};

use super::{decode, failure};
use crate::bucket::{Bucket, BucketError, ByteRange, Kind};

/// Bytes that are read from the end at first: most footers are smaller.
const FOOTER_GUESS: u64 = 64 << 10;
/// The largest footer that is read: one of 10,000 row groups with 20 columns has about 30 MB.
const MAX_FOOTER_BYTES: u64 = 64 << 20;

/// Reads the footer of an object, and the etag that the object had.
pub(super) async fn read(
    bucket: &dyn Bucket,
    key: &str,
    if_match: Option<&str>,
) -> Result<(ArrowReaderMetadata, String), BucketError> {
    let fail = |detail: String| failure(bucket, key, detail);
    let end = bucket.get_range(key, if_match, ByteRange::Last(FOOTER_GUESS)).await;
    let end = end.map_err(|error| match error.kind {
        Kind::OutOfRange => fail("not a Parquet file: it is empty".to_owned()),
        _ => error,
    })?;
    let (size, etag) = (end.size, end.etag);
    let mut footer = Footer::new(size, end.bytes);
    loop {
        let (returned, step) = decode(move || footer.step()).await.map_err(fail)?;
        footer = returned;
        match step {
            FooterStep::Read(metadata) => return Ok((metadata, etag)),
            FooterStep::Needs(range) if range.end.saturating_sub(range.start) > MAX_FOOTER_BYTES => {
                return Err(fail(format!("its footer has more than {MAX_FOOTER_BYTES} bytes")));
            }
            FooterStep::Needs(range) => {
                let piece = ByteRange::Between(range.clone());
                let fetched = bucket.get_range(key, Some(&etag), piece).await?;
                footer.pushed.push((range, fetched.bytes));
            }
        }
    }
}

/// A footer that is being read.
struct Footer {
    size: u64,
    pushed: Vec<(Range<u64>, Bytes)>,
}

enum FooterStep {
    Needs(Range<u64>),
    Read(ArrowReaderMetadata),
}

impl Footer {
    fn new(size: u64, end: Bytes) -> Self {
        let start = size.saturating_sub(end.len() as u64);
        Self { size, pushed: vec![(start..size, end)] }
    }

    fn step(self) -> Result<(Self, FooterStep), ParquetError> {
        let decoder = ParquetMetaDataPushDecoder::try_new(self.size)?;
        let mut decoder = decoder.with_page_index_policy(PageIndexPolicy::Skip);
        for (range, bytes) in &self.pushed {
            decoder.push_range(range.clone(), bytes.clone())?;
        }
        match decoder.try_decode()? {
            DecodeResult::NeedsData(ranges) => {
                let start = ranges.iter().map(|range| range.start).min().unwrap_or(0);
                let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
                Ok((self, FooterStep::Needs(start..end)))
            }
            DecodeResult::Data(metadata) => {
                let metadata = with_views(Arc::new(metadata))?;
                Ok((self, FooterStep::Read(metadata)))
            }
            DecodeResult::Finished => Err(ParquetError::General("its footer has no metadata".to_owned())),
        }
    }
}

/// What arrow makes of the schema, with text as views.
fn with_views(metadata: Arc<ParquetMetaData>) -> Result<ArrowReaderMetadata, ParquetError> {
    // Types that another writer's hint asks for, such as dictionaries, would be one more case each.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let found = ArrowReaderMetadata::try_new(metadata.clone(), options.clone())?;
    let fields: Vec<Field> = found.schema().fields().iter().map(|field| as_view(field)).collect();
    ArrowReaderMetadata::try_new(metadata, options.with_schema(Arc::new(Schema::new(fields))))
}

fn as_view(field: &Field) -> Field {
    let stored = match field.data_type() {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        other => other.clone(),
    };
    field.clone().with_data_type(stored)
}
