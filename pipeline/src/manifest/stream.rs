//! A file of a manifest as a stream of bytes that a parser can block on, and as a stream of entries.
//!
//! Pieces are fetched ahead on the async threads, parsing is done on one that may block, and a few thousand
//! entries are handed on at a time: memory does not depend on the size of the file. A line is bounded before
//! it is in memory.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use futures::stream::{BoxStream, StreamExt};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::entry::Entry;
use super::{ManifestFile, failure};
use crate::bucket::{Bucket, BucketError, ByteRange};

/// Bytes of one fetched piece: 4 MiB.
const PIECE_BYTES: u64 = 4 << 20;
/// Pieces that are fetched ahead.
const PIECES_AHEAD: usize = 2;
/// Entries that are handed on at once.
pub(super) const ENTRIES: usize = 4096;
/// Bytes of one line at most, unpacked: 1 MiB.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// The entries of a file, some thousand at a time, in its order.
pub(super) type Entries = BoxStream<'static, Result<Vec<Entry>, BucketError>>;

/// Gives entries to a reader of [`Entries`].
pub(super) struct Sink {
    sender: Sender<Result<Vec<Entry>, BucketError>>,
    entries: Vec<Entry>,
}

/// Whether the reader of entries wants more.
pub(super) type Wanted = bool;

impl Sink {
    pub(super) fn push(&mut self, entry: Entry) -> Wanted {
        self.entries.push(entry);
        self.entries.len() < ENTRIES || self.flush()
    }

    fn flush(&mut self) -> Wanted {
        let entries = std::mem::take(&mut self.entries);
        entries.is_empty() || self.sender.blocking_send(Ok(entries)).is_ok()
    }
}

/// The text of a file, unpacked, whose parser asks for each line before it reads it.
pub(super) struct Text {
    reader: Box<dyn BufRead>,
    left: Rc<Cell<u64>>,
}

/// A parser of texts: it puts what it finds into the sink, until that wants no more.
pub(super) type Parse = Box<dyn FnOnce(&mut Text, &mut Sink) -> io::Result<()> + Send>;

/// Parses a file of the bucket `files`.
pub(super) fn parsed(files: &Arc<dyn Bucket>, file: &ManifestFile, is_packed: bool, parse: Parse) -> Entries {
    let (pieces, fetched) = mpsc::channel(PIECES_AHEAD);
    let (sender, entries) = mpsc::channel(PIECES_AHEAD);
    tokio::spawn(fetch(files.clone(), file.clone(), pieces));
    let (files, key) = (files.clone(), file.key.clone());
    tokio::task::spawn_blocking(move || {
        let mut sink = Sink { sender, entries: Vec::new() };
        let mut text = Text::new(fetched, is_packed);
        let parsed = parse(&mut text, &mut sink);
        sink.flush();
        if let Err(error) = parsed {
            let error = original(&error).unwrap_or_else(|| failure(files.as_ref(), &key, error.to_string()));
            // If it cannot be sent, the reader of entries is gone.
            let _ = sink.sender.blocking_send(Err(error));
        }
    });
    received(entries)
}

/// What is received, as a stream.
fn received(entries: Receiver<Result<Vec<Entry>, BucketError>>) -> Entries {
    futures::stream::unfold(entries, |mut entries| async move {
        let next = entries.recv().await?;
        Some((next, entries))
    })
    .boxed()
}

/// The bucket's error that a parser met, which decides whether another try may work.
fn original(error: &io::Error) -> Option<BucketError> {
    error.get_ref()?.downcast_ref::<BucketError>().cloned()
}

async fn fetch(files: Arc<dyn Bucket>, file: ManifestFile, pieces: Sender<Result<Bytes, BucketError>>) {
    let mut start = 0;
    while start < file.size {
        let range = ByteRange::Between(start..start.saturating_add(PIECE_BYTES));
        let fetched = files.get_range(&file.key, Some(&file.etag), range).await;
        let piece = fetched.map(|fetched| fetched.bytes);
        let is_last = piece.is_err();
        start += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if pieces.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

impl Text {
    fn new(pieces: Receiver<Result<Bytes, BucketError>>, is_packed: bool) -> Self {
        let pieces = BufReader::with_capacity(64 << 10, Pieces { pieces, piece: Bytes::new() });
        let left = Rc::new(Cell::new(MAX_LINE_BYTES));
        let unpacked: Box<dyn Read> =
            if is_packed { Box::new(MultiGzDecoder::new(pieces)) } else { Box::new(pieces) };
        let bounded = Bounded { inner: unpacked, left: left.clone() };
        Self { reader: Box::new(BufReader::with_capacity(16 << 10, bounded)), left }
    }

    /// The bytes, and what each line starts with.
    pub(super) fn split(&mut self) -> (&mut dyn BufRead, LineStart) {
        (self.reader.as_mut(), LineStart(self.left.clone()))
    }
}

/// Marks where a line starts, so that no line is longer than it may be.
pub(super) struct LineStart(Rc<Cell<u64>>);

impl LineStart {
    pub(super) fn mark(&self) {
        self.0.set(MAX_LINE_BYTES);
    }
}

/// An error of reading a line: the bucket's as it is, any other with the line.
pub(super) fn unread(line: u64, error: io::Error) -> io::Error {
    if original(&error).is_some() {
        return error;
    }
    at_line(line, &format!("cannot be read: {error}"))
}

/// An error of what a file has, with its line.
pub(super) fn at_line(line: u64, why: &str) -> io::Error {
    io::Error::other(format!("line {line} {why}"))
}

/// Ends a line that takes too many bytes.
struct Bounded {
    inner: Box<dyn Read>,
    left: Rc<Cell<u64>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other(format!("it has more than {MAX_LINE_BYTES} bytes")));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        self.left.set(left - read as u64);
        Ok(read)
    }
}

/// Fetched pieces, one after the other.
struct Pieces {
    pieces: Receiver<Result<Bytes, BucketError>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
