//! Compares the inputs of a range with the rows of an earlier run: which rows are kept.
//!
//! Both are in key order, so this is a merge of two streams that holds one batch of rows. It looks at keys,
//! etags and reasons only; no clock decides anything.

use std::collections::VecDeque;

use crate::bucket::{Access, BucketError, KeyRange};
use crate::earlier::{ComparedRows, EarlierRow, EarlierRun};
use crate::shard::Image;
use crate::shard::kept::KeptRows;
use crate::tags::Reason;

/// The rows of an earlier run next to the inputs of a range, as far as they were compared.
pub(super) struct Comparison {
    rows: ComparedRows,
    /// Rows that were read and not compared.
    read: VecDeque<EarlierRow>,
    max_kept: u64,
    /// Of the shard that is being filled.
    open: KeptRows,
    /// The last key that was compared.
    position: Option<String>,
}

impl Comparison {
    /// Starts at the beginning of `range`.
    pub(super) async fn start(earlier: &EarlierRun, range: &KeyRange) -> Result<Self, BucketError> {
        let rows = ComparedRows::new(&earlier.open().await?, range);
        let open = KeptRows::behind(range, range.after.clone());
        Ok(Self { rows, read: VecDeque::new(), max_kept: earlier.max_kept, open, position: None })
    }

    /// Whether the row of this input is kept. Rows before it have no input any more, because inputs come in
    /// key order.
    pub(super) async fn keeps(&mut self, image: &Image) -> Result<bool, BucketError> {
        self.drop_rows(|key| key < image.key.as_str()).await?;
        self.position = Some(image.key.clone());
        let Some(row) = self.read.pop_front_if(|row| row.key == image.key) else {
            self.open.difference.new += 1;
            return Ok(false);
        };
        let count = &mut self.open.difference;
        let fate = fate(&row, image);
        match fate {
            Fate::Kept => count.kept += 1,
            Fate::Changed => count.changed += 1,
            Fate::Retried => count.retried += 1,
        }
        self.open.push(fate == Fate::Kept);
        Ok(fate == Fate::Kept)
    }

    /// Drops the rows up to `key` that have no input.
    pub(super) async fn pass(&mut self, key: &str) -> Result<(), BucketError> {
        self.drop_rows(|row| row <= key).await?;
        if self.position.as_deref() < Some(key) {
            self.position = Some(key.to_owned());
        }
        Ok(())
    }

    /// Drops all rows that are left, up to the end of the range.
    pub(super) async fn pass_all(&mut self, end: Option<String>) -> Result<(), BucketError> {
        self.position = end;
        self.drop_rows(|_| true).await
    }

    /// Whether there are as many rows to keep as a shard may have.
    pub(super) fn is_full(&self) -> bool {
        self.open.difference.kept >= self.max_kept
    }

    /// Whether no row was compared since the last [`Comparison::take`].
    pub(super) fn is_empty(&self) -> bool {
        self.open.spans.is_empty()
    }

    /// What a shard keeps that ends with the last key that was compared.
    pub(super) fn take(&mut self) -> KeptRows {
        let next = KeptRows::behind(&self.open.range, self.position.clone());
        let mut kept = std::mem::replace(&mut self.open, next);
        kept.range.up_to.clone_from(&self.position);
        kept
    }

    async fn drop_rows(&mut self, is_passed: impl Fn(&str) -> bool) -> Result<(), BucketError> {
        loop {
            while self.read.pop_front_if(|row| is_passed(&row.key)).is_some() {
                self.open.push(false);
                self.open.difference.deleted += 1;
            }
            if !self.read.is_empty() {
                return Ok(());
            }
            self.read = self.rows.next().await?;
            if self.read.is_empty() {
                return Ok(());
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Changed,
    Retried,
}

/// A row is kept if its object is the same and another try would give the same row.
fn fate(row: &EarlierRow, image: &Image) -> Fate {
    let code = row.error_code.as_deref();
    let is_same = image.etag.is_some() && image.etag == row.etag;
    let was_archived = code == Some(Reason::Archived.code());
    match code {
        // An object is moved to and from an archive without a new etag.
        _ if is_same && was_archived != (image.access == Access::Archived) => Fate::Changed,
        None if is_same => Fate::Kept,
        Some(code) if is_same && !may_pass(code) => Fate::Kept,
        Some(_) if is_same || image.etag.is_none() => Fate::Retried,
        _ => Fate::Changed,
    }
}

/// Whether an object that failed for this reason may have a row with tags without being changed.
fn may_pass(code: &str) -> bool {
    [Reason::Missing, Reason::Changed, Reason::Crashed, Reason::Denied]
        .iter()
        .any(|reason| reason.code() == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(etag: Option<&str>, access: Access) -> Image {
        Image { key: "a".to_owned(), size: None, etag: etag.map(str::to_owned), access }
    }

    fn fate_of(etag: Option<&str>, code: Option<&str>, image: &Image) -> &'static str {
        let row = EarlierRow {
            key: "a".to_owned(),
            etag: etag.map(str::to_owned),
            error_code: code.map(str::to_owned),
        };
        match fate(&row, image) {
            Fate::Kept => "kept",
            Fate::Changed => "changed",
            Fate::Retried => "retried",
        }
    }

    #[test]
    fn the_same_object_keeps_a_row_that_is_final() {
        let same = image(Some("1"), Access::Readable);
        assert_eq!(fate_of(Some("1"), None, &same), "kept");
        assert_eq!(fate_of(Some("2"), None, &same), "changed");
        assert_eq!(fate_of(None, None, &same), "changed");
        for reason in Reason::ALL {
            let expected = match reason {
                Reason::Missing | Reason::Changed | Reason::Crashed | Reason::Denied => "retried",
                // It can be read by now.
                Reason::Archived => "changed",
                _ => "kept",
            };
            assert_eq!(fate_of(Some("1"), Some(reason.code()), &same), expected, "{reason:?}");
        }
    }

    #[test]
    fn an_archived_object_is_read_when_it_can_be() {
        let archived = image(Some("1"), Access::Archived);
        assert_eq!(fate_of(Some("1"), Some("archived"), &archived), "kept");
        assert_eq!(fate_of(Some("1"), None, &archived), "changed");
        assert_eq!(fate_of(Some("1"), Some("denied"), &archived), "changed");
    }

    #[test]
    fn an_input_without_etag_is_tagged_again() {
        let named = image(None, Access::Readable);
        assert_eq!(fate_of(None, None, &named), "changed");
        assert_eq!(fate_of(Some("1"), None, &named), "changed");
        assert_eq!(fate_of(Some("1"), Some("corrupt"), &named), "retried");
    }
}
