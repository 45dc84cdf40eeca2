//! A directory as a bucket: a file's key is its path below the root, with `/` between names. [`names`] has
//! the rule for names that are not UTF-8.
//!
//! It exists so that a laptop run makes the same calls as a run on AWS. A directory cannot hold every key
//! that S3 can: `a` next to `a/b`, `a//b`, `/a`, `.` and `..` as a name, NUL, text like `%ff` that no name is
//! encoded as, or a name longer than the file system allows. Reading such a key finds nothing; writing it is
//! an error. A broken symbolic link is listed and then missing. A linked folder is followed; links to folders
//! inside it are not. Pipes, sockets and devices are not objects. It never reads or writes outside its root,
//! except through links in it.

pub mod names;
mod walk;

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use super::{Bucket, BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Kind, Object, Put};
use crate::filter::Filter;
use walk::Walk;

/// Files are written in this folder below the root until they are whole.
const UNFINISHED: &str = ".tagfleet-unfinished";
const PAGE: usize = 1000;

/// A directory that keeps the bucket's contract, within the limits that the module's head names.
#[derive(Clone, Debug)]
pub struct DirBucket {
    root: PathBuf,
    name: String,
    /// What a reader takes of it, if that is known.
    filter: Option<Filter>,
}

impl DirBucket {
    /// The bucket below `root`, which need not exist before the first write.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), name: root.display().to_string(), filter: None }
    }

    /// The same for a reader that takes what `filter` does: an unreadable folder is skipped if nothing in it
    /// is taken.
    #[must_use]
    pub fn read_with(self, filter: Filter) -> Self {
        Self { filter: Some(filter), ..self }
    }

    /// Removes what writers that were killed have left behind.
    ///
    /// # Errors
    /// If the folder is there and cannot be removed.
    pub fn remove_unfinished(&self) -> Result<(), BucketError> {
        self.remove_folder(UNFINISHED)
    }

    /// Removes a folder and all that is in it; one that is not there is none to remove. For intermediate
    /// objects of a complete run, which S3 expires by itself.
    ///
    /// # Errors
    /// If the folder is there and cannot be removed.
    pub fn remove_folder(&self, prefix: &str) -> Result<(), BucketError> {
        let Some(path) = self.path(prefix.trim_end_matches('/')) else {
            return Err(self.fail(Kind::Other, prefix, "a directory cannot hold this key"));
        };
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.error(prefix, &error)),
            _ => Ok(()),
        }
    }

    /// The file of a key, or `None` if a directory cannot hold that key.
    fn path(&self, key: &str) -> Option<PathBuf> {
        let mut path = self.root.clone();
        for part in key.split('/') {
            if part.is_empty() || part == "." || part == ".." || part.contains('\0') {
                return None;
            }
            path.push(names::os_name(&names::name_of(part)?)?);
        }
        Some(path)
    }

    fn error(&self, key: &str, error: &io::Error) -> BucketError {
        let kind = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
                Kind::Missing
            }
            io::ErrorKind::PermissionDenied => Kind::Denied,
            io::ErrorKind::Interrupted | io::ErrorKind::TimedOut => Kind::Temporary,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Full,
            _ => Kind::Other,
        };
        let detail = match kind {
            Kind::Full => format!("the disk is full, free some space: {error}"),
            _ => error.to_string(),
        };
        self.fail(kind, key, &detail)
    }

    /// A link that leads nowhere, or in a circle, is a missing file; one that cannot be followed is not.
    fn broken_link(&self, key: &str, path: &Path, error: &io::Error) -> BucketError {
        let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        match error.kind() {
            io::ErrorKind::PermissionDenied => self.error(key, error),
            _ if is_link => self.fail(Kind::Missing, key, &format!("a broken link: {error}")),
            _ => self.error(key, error),
        }
    }

    fn fail(&self, kind: Kind, key: &str, detail: &str) -> BucketError {
        BucketError { kind, bucket: self.name.clone(), key: key.to_owned(), detail: detail.to_owned() }
    }

    fn open(&self, key: &str, if_match: Option<&str>) -> Result<OpenFile, BucketError> {
        let Some(path) = self.path(key) else {
            return Err(self.fail(Kind::Missing, key, "a directory cannot hold this key"));
        };
        // Opening a pipe would block, so its kind is asked before.
        let found = fs::metadata(&path).map_err(|error| self.broken_link(key, &path, &error))?;
        if !found.is_file() {
            return Err(self.fail(Kind::Missing, key, "not a regular file"));
        }
        let file = File::open(&path).map_err(|error| self.error(key, &error))?;
        let metadata = file.metadata().map_err(|error| self.error(key, &error))?;
        let (etag, size) = (etag(&metadata), metadata.len());
        if if_match.is_some_and(|wanted| wanted != etag) {
            return Err(self.fail(Kind::Changed, key, "the file changed after it was listed"));
        }
        Ok(OpenFile { file, etag, size })
    }

    fn read(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        let mut open = self.open(key, if_match)?;
        if open.size > limit {
            let detail = format!("{} bytes, more than the limit of {limit}", open.size);
            return Err(self.fail(Kind::TooLarge, key, &detail));
        }
        let bytes = open.read(0, open.size, limit).map_err(|error| self.error(key, &error))?;
        self.has_not_changed(key, &open)?;
        Ok(Fetched { bytes: bytes.into(), etag: open.etag })
    }

    fn read_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: &ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        let mut open = self.open(key, if_match)?;
        let Some(range) = range.within(open.size) else {
            let detail = format!("the file has {} bytes, none of them in the range", open.size);
            return Err(self.fail(Kind::OutOfRange, key, &detail));
        };
        let length = range.end - range.start;
        let bytes = open.read(range.start, length, length).map_err(|error| self.error(key, &error))?;
        self.has_not_changed(key, &open)?;
        Ok(FetchedRange { bytes: bytes.into(), etag: open.etag, size: open.size })
    }

    fn has_not_changed(&self, key: &str, open: &OpenFile) -> Result<(), BucketError> {
        let after = open.file.metadata().map_err(|error| self.error(key, &error))?;
        if etag(&after) == open.etag {
            return Ok(());
        }
        Err(self.fail(Kind::Changed, key, "the file changed while it was read"))
    }

    fn write(&self, key: &str, bytes: &[u8], replace: bool) -> Result<Put, BucketError> {
        let Some(path) = self.path(key) else {
            return Err(self.fail(Kind::Other, key, "a directory cannot hold this key"));
        };
        // What is there already takes no room: on a full disk a run can still find out how far it is.
        if !replace && fs::symlink_metadata(&path).is_ok() {
            return Ok(Put::AlreadyThere);
        }
        let folder = path.parent().unwrap_or(&self.root);
        self.write_whole(&path, folder, bytes, replace).map_err(|error| self.error(key, &error))
    }

    /// Written to a temporary file, flushed to the disk, then moved into its place: whole or absent, even
    /// after a power cut.
    fn write_whole(&self, path: &Path, folder: &Path, bytes: &[u8], replace: bool) -> io::Result<Put> {
        fs::create_dir_all(folder)?;
        let unfinished = self.root.join(UNFINISHED);
        fs::create_dir_all(&unfinished)?;
        let mut file = unfinished_file(&unfinished)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        if replace {
            file.persist(path).map_err(|error| error.error)?;
            File::open(folder)?.sync_all()?;
            return Ok(Put::Created);
        }
        match file.persist_noclobber(path) {
            Ok(_) => File::open(folder)?.sync_all().map(|()| Put::Created),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(Put::AlreadyThere),
            Err(error) => Err(error.error),
        }
    }
}

/// A file that is read, as it was when it was opened.
struct OpenFile {
    file: File,
    etag: String,
    size: u64,
}

impl OpenFile {
    /// The bytes from offset `start` on: about `length`, and never more than `limit`.
    fn read(&mut self, start: u64, length: u64, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        self.file.seek(SeekFrom::Start(start))?;
        Read::by_ref(&mut self.file).take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[async_trait]
impl Bucket for DirBucket {
    fn name(&self) -> &str {
        &self.name
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        let walk = Walk::new(self.clone(), range.clone());
        stream::try_unfold(walk, |mut walk| async move {
            let (page, walk) = blocking(move || (walk.page(PAGE), walk)).await?;
            let page = page?;
            Ok((!page.is_empty()).then_some((page, walk)))
        })
        .boxed()
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        let (bucket, key, if_match) = (self.clone(), key.to_owned(), if_match.map(str::to_owned));
        blocking(move || bucket.read(&key, if_match.as_deref(), limit)).await?
    }

    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        let (bucket, key, if_match) = (self.clone(), key.to_owned(), if_match.map(str::to_owned));
        blocking(move || bucket.read_range(&key, if_match.as_deref(), &range)).await?
    }

    async fn exists(&self, key: &str) -> Result<bool, BucketError> {
        let Some(path) = self.path(key) else { return Ok(false) };
        match blocking(move || fs::metadata(path)).await? {
            Ok(found) => Ok(found.is_file()),
            Err(error) => match self.error(key, &error) {
                error if error.kind == Kind::Missing => Ok(false),
                error => Err(error),
            },
        }
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<Put, BucketError> {
        let (bucket, key) = (self.clone(), key.to_owned());
        blocking(move || bucket.write(&key, &bytes, false)).await?
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BucketError> {
        let (bucket, key) = (self.clone(), key.to_owned());
        blocking(move || bucket.write(&key, &bytes, true)).await?.map(|_| ())
    }
}

/// File calls block, so they leave the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BucketError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| BucketError {
        kind: Kind::Other,
        bucket: String::new(),
        key: String::new(),
        detail: format!("a file operation did not end: {error}"),
    })
}

/// The permissions are those that the user's umask leaves, as for any file a program writes.
fn unfinished_file(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// A local etag: size and modification time in nanoseconds since 1970, in hexadecimal.
fn etag(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{:x}-{:x}", metadata.len(), modified.map_or(0, |age| age.as_nanos()))
}

#[cfg(test)]
mod tests;
