//! Which objects of a listing are inputs: include and exclude globs, and the rule of [`skip`].
//!
//! Globs are matched against the whole key: `*` stays within a folder, `**` does not. A glob without `/`
//! matches the last name of a key, and one that ends in `/` matches all below such a folder, as in
//! `.gitignore`. It never looks at an image; the format that a name claims is not believed.

pub mod skip;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use thiserror::Error;

use crate::bucket::Object;
use crate::shard::Image;

pub use skip::{SkipReason, Skipped, SkippedFiles};

/// What a run takes of what is listed. The default takes everything but folder markers.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    include: Option<GlobSet>,
    /// The same as text.
    included: Vec<String>,
    exclude: GlobSet,
    /// Whether the rule of [`skip`] holds.
    skips: bool,
}

/// What a page of a listing holds for a run.
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

/// A glob cannot be understood.
#[derive(Debug, Error)]
#[error("glob {glob:?}: {reason}")]
pub struct InvalidGlob {
    glob: String,
    reason: String,
}

impl Filter {
    /// A filter of these globs, of which none takes every key. Files that are not meant as images are skipped
    /// unless `all_files` is true.
    ///
    /// # Errors
    /// If a glob cannot be understood.
    pub fn new(include: &[String], exclude: &[String], all_files: bool) -> Result<Self, InvalidGlob> {
        let include_globs = include;
        let include = if include.is_empty() { None } else { Some(glob_set(include)?) };
        let included = include_globs.iter().map(|glob| anchored(glob)).collect();
        Ok(Self { include, included, exclude: glob_set(exclude)?, skips: !all_files })
    }

    /// True if the globs take `key`.
    #[must_use]
    pub fn takes(&self, key: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_match(key)) && !self.exclude.is_match(key)
    }

    /// True if nothing below this folder, whose name ends in `/`, is taken; false if the globs do not decide
    /// that.
    #[must_use]
    pub fn leaves_out_folder(&self, folder: &str, chosen: &str) -> bool {
        // A name that no file has: only a glob that means every file matches it.
        let any_file = format!("{folder}\u{fdd0}");
        self.exclude.is_match(&any_file)
            || self.exclude.is_match(folder.trim_end_matches('/'))
            || (self.include.is_some() && !self.included.iter().any(|glob| may_match_below(glob, folder)))
            || (self.skips && skip::reason(&any_file, chosen).is_some())
    }

    /// What split takes of the files of these keys, which the user named one by one: hidden ones are meant.
    #[must_use]
    pub fn named(&self, keys: &[String]) -> Page {
        let mut page = Page { last_key: keys.last().cloned(), ..Page::default() };
        for key in keys {
            let folder = key.rfind('/').map_or("", |slash| &key[..=slash]);
            let reason =
                skip::reason(key, folder).filter(|reason| self.skips && *reason != SkipReason::Hidden);
            match reason {
                _ if !self.takes(key) => page.left_out += 1,
                Some(reason) => page.skip(key.clone(), reason, true),
                None => page.images.push(Image::named(key.clone())),
            }
        }
        page
    }

    /// What split takes of a page of a listing of all keys that start with `chosen`.
    #[must_use]
    pub fn page(&self, objects: Vec<Object>, chosen: &str) -> Page {
        let mut page = Page { last_key: objects.last().map(|object| object.key.clone()), ..Page::default() };
        let mut has_input_between = true;
        for object in objects {
            self.take(&mut page, (Image::from(object), None), chosen, &mut has_input_between);
        }
        page
    }

    /// What split takes of the lines of a manifest, which may know why one is not an input. Keys that start
    /// with none of `prefixes` are not asked for; these are sorted, and none is within another.
    #[must_use]
    pub fn lines(&self, lines: Vec<(Image, Option<SkipReason>)>, prefixes: &[String]) -> Page {
        let mut page = Page { last_key: lines.last().map(|(image, _)| image.key.clone()), ..Page::default() };
        let mut has_input_between = true;
        for line in lines {
            let behind = prefixes.partition_point(|prefix| *prefix <= line.0.key);
            let chosen = behind.checked_sub(1).map(|at| prefixes[at].as_str());
            if let Some(chosen) = chosen.filter(|prefix| line.0.key.starts_with(prefix)) {
                self.take(&mut page, line, chosen, &mut has_input_between);
            }
        }
        page
    }

    fn take(
        &self,
        page: &mut Page,
        (image, known): (Image, Option<SkipReason>),
        chosen: &str,
        has_input_between: &mut bool,
    ) {
        let is_folder_marker = image.size == Some(0) && image.key.ends_with('/');
        if !is_folder_marker && !self.takes(&image.key) {
            page.left_out += 1;
        } else if let Some(reason) = known.or_else(|| self.skips(&image.key, chosen, is_folder_marker)) {
            page.skip(image.key, reason, *has_input_between);
            *has_input_between = false;
        } else {
            page.images.push(image);
            *has_input_between = true;
        }
    }

    fn skips(&self, key: &str, chosen: &str, is_folder_marker: bool) -> Option<SkipReason> {
        if is_folder_marker {
            return Some(SkipReason::FolderMarker);
        }
        if self.skips { skip::reason(key, chosen) } else { None }
    }
}

impl Page {
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

/// A glob as it is matched against a whole key.
fn anchored(glob: &str) -> String {
    let (name, end) = match glob.strip_suffix('/') {
        Some(folder) => (folder, "/**"),
        None => (glob, ""),
    };
    let start = if name.contains('/') { "" } else { "**/" };
    format!("{start}{name}{end}")
}

/// False if this glob can match no key that starts with `folder`.
fn may_match_below(glob: &str, folder: &str) -> bool {
    let literal = glob.split(['*', '?', '[', '{', '\\']).next().unwrap_or_default();
    let slashes = |text: &str| text.matches('/').count();
    let is_deep = glob.contains("**") || glob.contains('{') || slashes(glob) >= slashes(folder);
    literal.starts_with(folder) || (folder.starts_with(literal) && is_deep)
}

fn glob_set(globs: &[String]) -> Result<GlobSet, InvalidGlob> {
    let invalid = |glob: &str, error: &globset::Error| InvalidGlob {
        glob: glob.to_owned(),
        reason: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let built = GlobBuilder::new(&anchored(glob))
            .literal_separator(true)
            .build()
            .map_err(|error| invalid(glob, &error))?;
        set.add(built);
    }
    set.build().map_err(|error| invalid("", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(include: &[&str], exclude: &[&str]) -> Vec<&'static str> {
        let owned = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>();
        let filter = Filter::new(&owned(include), &owned(exclude), false).unwrap();
        ["a.jpg", "b/a.jpg", "b/c/a.png", "b/.DS_Store", "ü ß.jpg"]
            .into_iter()
            .filter(|key| filter.takes(key))
            .collect()
    }

    #[test]
    fn without_globs_everything_is_taken() {
        assert_eq!(taken(&[], &[]).len(), 5);
    }

    #[test]
    fn a_glob_without_a_slash_matches_the_last_name_anywhere() {
        assert_eq!(taken(&["*.jpg"], &[]), ["a.jpg", "b/a.jpg", "ü ß.jpg"]);
        assert_eq!(taken(&[], &[".*"]), ["a.jpg", "b/a.jpg", "b/c/a.png", "ü ß.jpg"]);
    }

    #[test]
    fn a_glob_with_a_slash_matches_from_the_start() {
        assert_eq!(taken(&["b/*"], &[]), ["b/a.jpg", "b/.DS_Store"]);
        assert_eq!(taken(&["b/**"], &["**/*.png"]), ["b/a.jpg", "b/.DS_Store"]);
    }

    #[test]
    fn a_glob_that_ends_in_a_slash_matches_all_below_such_folders() {
        assert_eq!(taken(&[], &["c/"]), ["a.jpg", "b/a.jpg", "b/.DS_Store", "ü ß.jpg"]);
        assert_eq!(taken(&["b/c/"], &[]), ["b/c/a.png"]);
    }

    #[test]
    fn a_folder_is_left_out_if_nothing_of_it_can_be_taken() {
        let leaves_out = |include: &[&str], exclude: &[&str], all_files: bool, folder: &str| {
            let owned = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>();
            Filter::new(&owned(include), &owned(exclude), all_files).unwrap().leaves_out_folder(folder, "")
        };
        assert!(leaves_out(&[], &[], false, "lost+found/"));
        assert!(!leaves_out(&[], &[], true, "lost+found/"));
        for exclude in ["private/**", "private/*", "private", "private/", "**/private/**", "priv*", "*"] {
            assert!(leaves_out(&[], &[exclude], true, "private/"), "{exclude}");
        }
        for exclude in ["*.jpg", "private/*.jpg", "public/**", "private/a"] {
            assert!(!leaves_out(&[], &[exclude], true, "private/"), "{exclude}");
        }
        for include in ["photos/**", "photos/*.jpg", "p/*"] {
            assert!(leaves_out(&[include], &[], true, "private/"), "{include}");
        }
        assert!(leaves_out(&["a/*"], &[], true, "a/b/"));
        for include in ["*.jpg", "private/**", "priv*/*", "private/a/b.jpg", "{private,public}/*"] {
            assert!(!leaves_out(&[include], &[], true, "private/"), "{include}");
        }
    }

    #[test]
    fn files_that_were_named_are_skipped_only_if_they_cannot_be_meant() {
        let keys = [".hidden/.a.jpg", "a/Thumbs.db", "a/b.jpg", "a/notes.txt"].map(str::to_owned);
        let page = Filter::new(&[], &[], false).unwrap().named(&keys);
        assert_eq!(self::keys(&page), [".hidden/.a.jpg", "a/b.jpg"]);
        assert_eq!(
            page.skipped.iter().map(|run| run.last_key.as_str()).collect::<Vec<_>>(),
            [&keys[1], &keys[3]]
        );
    }

    #[test]
    fn a_broken_glob_is_named() {
        let error = Filter::new(&["[".to_owned()], &[], false).unwrap_err();
        insta::assert_snapshot!(error, @r#"glob "[": unclosed character class; missing ']'"#);
    }

    #[test]
    fn folder_markers_are_counted_and_not_inputs() {
        let page = Filter::default().page(vec![object("a/", 0), object("b/", 1), object("c", 0)], "");
        assert_eq!((page.skipped.len(), page.skipped[0].last_key.as_str()), (1, "a/"));
        assert_eq!(keys(&page), ["b/", "c"]);
    }

    #[test]
    fn skipped_files_are_counted_between_inputs_and_left_out_files_are_not() {
        let names = [".DS_Store", "a.jpg", "b.txt", "c.md", "d.jpg", "e.raw", "f.txt"];
        let objects: Vec<Object> = names.map(|key| object(key, 1)).into();
        let filter = Filter::new(&[], &["*.raw".to_owned(), "f.*".to_owned()], false).unwrap();
        let page = filter.page(objects.clone(), "");
        assert_eq!(keys(&page), ["a.jpg", "d.jpg"]);
        let runs: Vec<_> =
            page.skipped.iter().map(|run| (run.last_key.as_str(), run.skipped.files())).collect();
        assert_eq!((runs, page.left_out), (vec![(".DS_Store", 1), ("c.md", 2)], 2));
        let all = Filter::new(&[], &[], true).unwrap().page(objects, "");
        assert_eq!((all.images.len(), all.skipped.len()), (7, 0));
    }

    fn object(key: &str, size: u64) -> Object {
        Object { key: key.into(), size, etag: String::new(), access: Default::default() }
    }

    fn keys(page: &Page) -> Vec<&str> {
        page.images.iter().map(|image| image.key.as_str()).collect()
    }
}
