//! One line of a manifest, and what becomes of several lines with one key.
//!
//! Entries sort by key. It decides nothing about where a line came from.

use serde::{Deserialize, Serialize};

use crate::bucket::Access;
use crate::filter::SkipReason;
use crate::shard::Image;

/// What a line is about. The order is the one in which lines of one key are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Version {
    /// The object as it was when the manifest was written.
    Current,
    /// The object was deleted.
    DeleteMarker,
    /// An older version of it.
    Old,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) version: Version,
    pub(super) size: Option<u64>,
    pub(super) etag: Option<String>,
    pub(super) is_archived: bool,
    /// Whether lines of this key contradict each other: then size and etag are unknown.
    pub(super) is_contradicted: bool,
}

impl Entry {
    pub(super) fn new(key: String) -> Self {
        Self {
            key,
            version: Version::Current,
            size: None,
            etag: None,
            is_archived: false,
            is_contradicted: false,
        }
    }

    /// Whether both are lines about the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.key == other.key && self.version == other.version
    }

    /// Sorts by what decides: key, then version.
    pub(super) fn order(&self, other: &Self) -> std::cmp::Ordering {
        (&self.key, self.version).cmp(&(&other.key, other.version))
    }

    /// Takes what another line of the same knows. If they contradict each other, neither is believed: the
    /// image is read as it is.
    pub(super) fn merge(&mut self, other: &Self) {
        let differ = |a: bool, b: bool| a && b;
        let sizes = self.size != other.size && differ(self.size.is_some(), other.size.is_some());
        let etags = self.etag != other.etag && differ(self.etag.is_some(), other.etag.is_some());
        self.is_contradicted |= other.is_contradicted || sizes || etags;
        if self.is_contradicted {
            (self.size, self.etag) = (None, None);
        } else {
            self.size = self.size.or(other.size);
            self.etag = self.etag.take().or_else(|| other.etag.clone());
        }
        // If any line has it as readable, reading it finds out.
        self.is_archived &= other.is_archived;
    }

    /// What it is to a run, and why it is not an input, if it is none by itself.
    pub(super) fn into_image(self) -> (Image, Option<SkipReason>) {
        let reason = match self.version {
            Version::Current => None,
            Version::DeleteMarker => Some(SkipReason::DeleteMarker),
            Version::Old => Some(SkipReason::OldVersion),
        };
        let access = if self.is_archived { Access::Archived } else { Access::Readable };
        (Image { key: self.key, size: self.size, etag: self.etag, access }, reason)
    }
}
