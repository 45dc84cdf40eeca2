//! Walks a directory in the order in which S3 would list it: UTF-8 bytes of the whole key.
//!
//! A folder sorts as its name with `/` behind it (`a.b` comes before `a/b`), so each folder is read once,
//! sorted and kept until it is done; memory is bounded by the largest folders on one path. It never opens a
//! file, and it reads no folder above the one that the range's prefix names.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::path::PathBuf;
use std::vec::IntoIter;

use super::{DirBucket, UNFINISHED, etag, names};
use crate::bucket::{Access, BucketError, KeyRange, Kind, Object};

/// Folders that an error names.
const NAMED: usize = 20;

/// A walk that can be stopped after any page and taken up again.
pub(super) struct Walk {
    bucket: DirBucket,
    range: KeyRange,
    started: bool,
    folders: Vec<Folder>,
    /// Folders that cannot be read. From the first one on, the walk only looks for others.
    unreadable: Vec<String>,
}

struct Folder {
    real_path: Option<PathBuf>,
    entries: IntoIter<Entry>,
}

/// One name of a folder: its key, with a `/` at its end if it is a folder itself.
struct Entry {
    key: String,
    path: PathBuf,
    /// A link leads here, or to a folder above. Links to folders are followed no further then: a few that
    /// point at one another would make a tree without end.
    linked: bool,
}

impl Walk {
    pub(super) fn new(bucket: DirBucket, range: KeyRange) -> Self {
        Self { bucket, range, started: false, folders: Vec::new(), unreadable: Vec::new() }
    }

    /// The next objects, at most `limit`; an empty page is the end.
    pub(super) fn page(&mut self, limit: usize) -> Result<Vec<Object>, BucketError> {
        if !self.started {
            self.started = true;
            self.start()?;
        }
        let mut page = Vec::new();
        while page.len() < limit {
            let Some(folder) = self.folders.last_mut() else { break };
            let Some(entry) = folder.entries.next() else {
                self.folders.pop();
                continue;
            };
            if entry.key.ends_with('/') {
                self.enter(&entry)?;
            } else if self.unreadable.is_empty() && self.range.contains(&entry.key) {
                page.push(object(entry));
            }
        }
        if self.folders.is_empty() && !self.unreadable.is_empty() {
            return Err(self.may_not_read());
        }
        Ok(page)
    }

    /// Enters the folder that every key of the range is in.
    fn start(&mut self) -> Result<(), BucketError> {
        let prefix = &self.range.prefix;
        let (key, path) = match prefix.rfind('/') {
            None => (String::new(), Some(self.bucket.root.clone())),
            Some(slash) => (prefix[..=slash].to_owned(), self.bucket.path(&prefix[..slash])),
        };
        let is_unfinished = key.split('/').next() == Some(UNFINISHED);
        match path {
            Some(path) if !is_unfinished => self.enter(&Entry { key, path, linked: false }),
            _ => Ok(()),
        }
    }

    fn enter(&mut self, folder: &Entry) -> Result<(), BucketError> {
        if !self.may_hold_keys(&folder.key) {
            return Ok(());
        }
        let real_path = fs::canonicalize(&folder.path).ok();
        let is_loop = real_path.is_some() && self.folders.iter().any(|outer| outer.real_path == real_path);
        if is_loop {
            return Ok(());
        }
        let mut entries = match entries(folder) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.pass_unreadable(&folder.key);
                return Ok(());
            }
            entries => entries.map_err(|error| self.bucket.error(&folder.key, &error))?,
        };
        entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        self.folders.push(Folder { real_path, entries: entries.into_iter() });
        Ok(())
    }

    fn pass_unreadable(&mut self, folder: &str) {
        let filter = self.bucket.filter.as_ref();
        if !filter.is_some_and(|filter| filter.leaves_out_folder(folder, &self.range.prefix)) {
            self.unreadable.push(folder.to_owned());
        }
    }

    fn may_not_read(&self) -> BucketError {
        let all = &self.unreadable;
        let first = all.first().cloned().unwrap_or_default();
        let shown: Vec<String> = all.iter().take(NAMED).map(|folder| format!("{folder:?}")).collect();
        let more = match all.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let folders =
            if all.len() == 1 { "this folder".to_owned() } else { format!("{} folders", all.len()) };
        let detail = format!(
            "{folders} cannot be read ({}{more}): grant access, or leave their files out with --exclude",
            shown.join(", ")
        );
        self.bucket.fail(Kind::Denied, &first, &detail)
    }

    /// False if no key that starts with `folder` can be in the range.
    fn may_hold_keys(&self, folder: &str) -> bool {
        let wanted = &self.range.prefix;
        let on_the_way = folder.starts_with(wanted.as_str()) || wanted.starts_with(folder);
        let too_early = |after: &str| folder < after && !after.starts_with(folder);
        let too_late = |up_to: &str| folder > up_to;
        on_the_way
            && !self.range.after.as_deref().is_some_and(too_early)
            && !self.range.up_to.as_deref().is_some_and(too_late)
    }
}

fn entries(folder: &Entry) -> io::Result<Vec<Entry>> {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    let mut entries = Vec::new();
    let listing = match fs::read_dir(&folder.path) {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | InvalidFilename) => {
            return Ok(entries);
        }
        listing => listing?,
    };
    for listed in listing {
        let listed = listed?;
        if folder.key.is_empty() && listed.file_name() == UNFINISHED {
            continue;
        }
        let is_link = listed.file_type()?.is_symlink();
        entries.extend(entry(folder, &listed.file_name(), listed.path(), is_link));
    }
    Ok(entries)
}

/// One name of `folder`, or `None` if it is neither a file nor a folder to enter.
///
/// Symbolic links are followed. A broken one counts as a file, and reading it reports it as missing.
fn entry(folder: &Entry, name: &OsStr, path: PathBuf, is_link: bool) -> Option<Entry> {
    let kind = fs::metadata(&path).map(|metadata| metadata.file_type()).ok();
    let is_folder = kind.is_some_and(|kind| kind.is_dir());
    if kind.is_some_and(|kind| !kind.is_dir() && !kind.is_file()) || (is_folder && is_link && folder.linked) {
        return None;
    }
    let slash = if is_folder { "/" } else { "" };
    let name = names::key_of(name.as_encoded_bytes());
    let linked = folder.linked || (is_folder && is_link);
    Some(Entry { key: format!("{}{name}{slash}", folder.key), path, linked })
}

fn object(entry: Entry) -> Object {
    // If the file has gone since, or access to it is denied, reading it reports that.
    let metadata = fs::metadata(&entry.path).ok();
    let size = metadata.as_ref().map_or(0, Metadata::len);
    let etag = metadata.as_ref().map(etag).unwrap_or_default();
    Object { key: entry.key, size, etag, access: Access::Readable }
}
