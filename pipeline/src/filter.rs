//! Which objects of a listing are inputs: include and exclude globs, and the rule of [`skip`].
//!
//! Globs are matched against the whole key: `*` stays within a folder, `**` does not. A glob without `/`
//! matches the last name of a key, and one that ends in `/` matches all below such a folder, as in
//! `.gitignore`. It knows names alone: it never looks at an object, and believes no format that a name claims.

pub mod skip;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use thiserror::Error;

pub use skip::{SkipReason, Skipped, SkippedFiles};

/// What a run takes of what is listed. The default takes everything but folder markers.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    include: Option<GlobSet>,
    /// The same as text.
    included: Vec<String>,
    exclude: GlobSet,
    /// Whether the rule of [`skip`] holds.
    skips_others: bool,
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
        Ok(Self { include, included, exclude: glob_set(exclude)?, skips_others: !all_files })
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
            || self.skip_reason(&any_file, chosen).is_some()
    }

    /// Why the file `key` is not meant as an image, below a prefix `chosen` that the user wrote; `None` if it
    /// is an input.
    #[must_use]
    pub fn skip_reason(&self, key: &str, chosen: &str) -> Option<SkipReason> {
        if self.skips_others { skip::reason(key, chosen) } else { None }
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
    fn a_broken_glob_is_named() {
        let error = Filter::new(&["[".to_owned()], &[], false).unwrap_err();
        insta::assert_snapshot!(error, @r#"glob "[": unclosed character class; missing ']'"#);
    }
}
