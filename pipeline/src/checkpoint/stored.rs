//! The stored form of a checkpoint: a header and rows, each with the position of its image, in Postcard
//! within one zstd frame with a checksum.
//!
//! Postcard keeps the bits of every float and carries all of a row, which Parquet's columns do not. It does
//! not describe itself: a change of [`Row`] or of its fields must raise [`VERSION`], and a test notices.
//! Bytes are hostile: their decompressed size is bounded, and only what the header names is read.

use std::io::{Read, Write};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Rows;
use crate::run::RunId;
use crate::shard::ShardId;
use crate::tags::Row;

/// The version of the header and of rows.
const VERSION: u32 = 2;
/// The most bytes of one checkpoint, stored or not: 1 GiB, as of a part.
pub(super) const MAX_BYTES: u64 = 1 << 30;
/// Speed matters more than size: an interrupted spot machine waits for it.
const ZSTD_LEVEL: i32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    run: RunId,
    shard: ShardId,
    rows: u32,
}

/// The rows as bytes.
pub(super) fn encode(rows: &Rows, run: &RunId, shard: ShardId) -> Result<Bytes, String> {
    let plain = plain(rows, run, shard)?;
    let mut writer = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(|error| error.to_string())?;
    writer.include_checksum(true).map_err(|error| error.to_string())?;
    writer.write_all(&plain).map_err(|error| error.to_string())?;
    Ok(writer.finish().map_err(|error| error.to_string())?.into())
}

/// The same before it is compressed.
pub(super) fn plain(rows: &Rows, run: &RunId, shard: ShardId) -> Result<Vec<u8>, String> {
    let count = u32::try_from(rows.len()).map_err(|error| error.to_string())?;
    let header = Header { version: VERSION, run: run.clone(), shard, rows: count };
    let mut bytes = postcard::to_stdvec(&header).map_err(|error| error.to_string())?;
    for (index, row) in rows {
        let index = u32::try_from(*index).map_err(|error| error.to_string())?;
        bytes = postcard::to_extend(&(index, row), bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("its rows have more than {MAX_BYTES} bytes"));
        }
    }
    Ok(bytes)
}

/// The rows of `shard` in `run`, or what is wrong with the bytes.
pub(super) fn decode(stored: &[u8], run: &RunId, shard: ShardId) -> Result<Vec<(u32, Row)>, String> {
    let plain = decompress(stored, MAX_BYTES)?;
    let (header, mut rest): (Header, _) =
        postcard::take_from_bytes(&plain).map_err(|error| error.to_string())?;
    if header.version != VERSION {
        return Err(format!("version {}, this tagfleet reads {VERSION}", header.version));
    }
    if header.run != *run || header.shard != shard {
        return Err(format!("it is of shard {} of run {}", header.shard, header.run));
    }
    let mut rows = Vec::new();
    for _ in 0..header.rows {
        let (row, behind) = postcard::take_from_bytes(rest).map_err(|error| error.to_string())?;
        rows.push(row);
        rest = behind;
    }
    if !rest.is_empty() {
        return Err(format!("{} bytes behind its last row", rest.len()));
    }
    Ok(rows)
}

/// The decompressed `stored`, if it has at most `limit` bytes; no more than that is ever held.
pub(super) fn decompress(stored: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    let decoder = zstd::Decoder::with_buffer(stored).map_err(|error| error.to_string())?;
    let mut plain = Vec::new();
    decoder.take(limit + 1).read_to_end(&mut plain).map_err(|error| error.to_string())?;
    if plain.len() as u64 > limit {
        return Err(format!("more than {limit} bytes"));
    }
    Ok(plain)
}
