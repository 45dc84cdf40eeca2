//! What a run takes of a page of its source: images, and files that it skips.
//!
//! Each way to name inputs (a listing, keys that the user wrote, the lines of a manifest) becomes the same
//! pages here. It asks no bucket and reads no image.

use crate::bucket::Object;
use crate::filter::{Filter, SkipReason, Skipped};
use crate::shard::Image;

/// One page of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The inputs, in key order.
    pub images: Vec<Image>,
    /// Files that are not meant as images, in key order: those between two inputs in one.
    pub skipped: Vec<SkippedRun>,
    /// Files that the globs leave out.
    pub left_out: u64,
    /// The last key of the page, whatever it was.
    pub last_key: Option<String>,
}

/// Skipped files with no input between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkippedRun {
    /// The last one's key.
    pub last_key: String,
    /// All of them.
    pub skipped: Skipped,
}

impl Page {
    /// Of a page of a listing of all keys that start with `chosen`.
    #[must_use]
    pub fn listed(filter: &Filter, objects: Vec<Object>, chosen: &str) -> Self {
        let mut page = PageBuilder::new(filter, objects.last().map(|object| object.key.clone()));
        for object in objects {
            page.add(Image::from(object), None, chosen);
        }
        page.page
    }

    /// Of the files of these keys, which the user named one by one: hidden ones are meant.
    #[must_use]
    pub fn named(filter: &Filter, keys: &[String]) -> Self {
        let mut page = Self { last_key: keys.last().cloned(), ..Self::default() };
        for key in keys {
            let folder = key.rfind('/').map_or("", |slash| &key[..=slash]);
            let reason = filter.skip_reason(key, folder).filter(|reason| *reason != SkipReason::Hidden);
            match reason {
                _ if !filter.takes(key) => page.left_out += 1,
                Some(reason) => page.skip(key.clone(), reason, true),
                None => page.images.push(Image::named(key.clone())),
            }
        }
        page
    }

    /// Of the lines of a manifest, which may know why one is not an input. Keys that start with none of
    /// `prefixes` are not asked for; these are sorted, and none is within another.
    #[must_use]
    pub fn in_manifest(
        filter: &Filter,
        lines: Vec<(Image, Option<SkipReason>)>,
        prefixes: &[String],
    ) -> Self {
        let mut page = PageBuilder::new(filter, lines.last().map(|(image, _)| image.key.clone()));
        for (image, known) in lines {
            let behind = prefixes.partition_point(|prefix| *prefix <= image.key);
            let chosen = behind.checked_sub(1).map(|at| prefixes[at].as_str());
            if let Some(chosen) = chosen.filter(|prefix| image.key.starts_with(prefix)) {
                page.add(image, known, chosen);
            }
        }
        page.page
    }

    fn skip(&mut self, key: String, reason: SkipReason, is_new_run: bool) {
        if is_new_run {
            self.skipped.push(SkippedRun::default());
        }
        if let Some(run) = self.skipped.last_mut() {
            run.skipped.add(reason, &key);
            run.last_key = key;
        }
    }
}

/// A page that is being filled.
struct PageBuilder<'a> {
    filter: &'a Filter,
    page: Page,
    has_input_between: bool,
}

impl<'a> PageBuilder<'a> {
    fn new(filter: &'a Filter, last_key: Option<String>) -> Self {
        Self { filter, page: Page { last_key, ..Page::default() }, has_input_between: true }
    }

    /// Adds an object; `known` is the reason if the source itself knows why it is not an input.
    fn add(&mut self, image: Image, known: Option<SkipReason>, chosen: &str) {
        let is_folder_marker = image.size == Some(0) && image.key.ends_with('/');
        let marker = is_folder_marker.then_some(SkipReason::FolderMarker);
        let reason = known.or(marker).or_else(|| self.filter.skip_reason(&image.key, chosen));
        if !is_folder_marker && !self.filter.takes(&image.key) {
            self.page.left_out += 1;
        } else if let Some(reason) = reason {
            self.page.skip(image.key, reason, self.has_input_between);
            self.has_input_between = false;
        } else {
            self.page.images.push(image);
            self.has_input_between = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_were_named_are_skipped_only_if_they_cannot_be_meant() {
        let keys = [".hidden/.a.jpg", "a/Thumbs.db", "a/b.jpg", "a/notes.txt"].map(str::to_owned);
        let page = Page::named(&Filter::new(&[], &[], false).unwrap(), &keys);
        assert_eq!(self::keys(&page), [".hidden/.a.jpg", "a/b.jpg"]);
        assert_eq!(
            page.skipped.iter().map(|run| run.last_key.as_str()).collect::<Vec<_>>(),
            [&keys[1], &keys[3]]
        );
    }

    #[test]
    fn folder_markers_are_counted_and_not_inputs() {
        let page =
            Page::listed(&Filter::default(), vec![object("a/", 0), object("b/", 1), object("c", 0)], "");
        assert_eq!((page.skipped.len(), page.skipped[0].last_key.as_str()), (1, "a/"));
        assert_eq!(keys(&page), ["b/", "c"]);
    }

    #[test]
    fn skipped_files_are_counted_between_inputs_and_left_out_files_are_not() {
        let names = [".DS_Store", "a.jpg", "b.txt", "c.md", "d.jpg", "e.raw", "f.txt"];
        let objects: Vec<Object> = names.map(|key| object(key, 1)).into();
        let filter = Filter::new(&[], &["*.raw".to_owned(), "f.*".to_owned()], false).unwrap();
        let page = Page::listed(&filter, objects.clone(), "");
        assert_eq!(keys(&page), ["a.jpg", "d.jpg"]);
        let runs: Vec<_> =
            page.skipped.iter().map(|run| (run.last_key.as_str(), run.skipped.files())).collect();
        assert_eq!((runs, page.left_out), (vec![(".DS_Store", 1), ("c.md", 2)], 2));
        let all = Page::listed(&Filter::new(&[], &[], true).unwrap(), objects, "");
        assert_eq!((all.images.len(), all.skipped.len()), (7, 0));
    }

    fn object(key: &str, size: u64) -> Object {
        Object { key: key.into(), size, etag: String::new(), access: Default::default() }
    }

    fn keys(page: &Page) -> Vec<&str> {
        page.images.iter().map(|image| image.key.as_str()).collect()
    }
}
