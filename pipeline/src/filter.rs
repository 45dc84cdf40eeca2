//! Which objects of a listing are inputs: include and exclude globs, and no folder markers.
//!
//! Globs are matched against the whole key: `*` stays within a folder, `**` does not, a glob without `/` matches the last
//! name of a key, as in `.gitignore`. It never looks at an image; what a name says of a format is not believed.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use thiserror::Error;

use crate::bucket::Object;
use crate::shard::Image;

/// The globs of a run.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

/// What a page of a listing holds for a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The inputs, in key order.
    pub images: Vec<Image>,
    /// The keys of folder markers (empty objects whose key ends in `/`), which are no inputs.
    pub folder_markers: Vec<String>,
    /// The last key of the page, whatever it was.
    pub last_key: Option<String>,
}

/// A glob cannot be understood.
#[derive(Debug, Error)]
#[error("glob {glob:?}: {reason}")]
pub struct InvalidGlob {
    glob: String,
    reason: String,
}

impl Filter {
    /// A filter of these globs; every key is an input where both are empty.
    ///
    /// # Errors
    /// Where a glob cannot be understood.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, InvalidGlob> {
        let include = if include.is_empty() { None } else { Some(glob_set(include)?) };
        Ok(Self { include, exclude: glob_set(exclude)? })
    }

    /// True where `key` is an input.
    #[must_use]
    pub fn takes(&self, key: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_match(key)) && !self.exclude.is_match(key)
    }

    /// What split takes of a page.
    #[must_use]
    pub fn page(&self, objects: Vec<Object>) -> Page {
        let last_key = objects.last().map(|object| object.key.clone());
        let mut images = Vec::with_capacity(objects.len());
        let mut folder_markers = Vec::new();
        for object in objects {
            if object.size == 0 && object.key.ends_with('/') {
                folder_markers.push(object.key);
            } else if self.takes(&object.key) {
                images.push(Image::from(object));
            }
        }
        Page { images, folder_markers, last_key }
    }
}

fn glob_set(globs: &[String]) -> Result<GlobSet, InvalidGlob> {
    let invalid = |glob: &str, error: &globset::Error| InvalidGlob {
        glob: glob.to_owned(),
        reason: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let anchored = if glob.contains('/') { glob.clone() } else { format!("**/{glob}") };
        let built = GlobBuilder::new(&anchored)
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
        let filter = Filter::new(&owned(include), &owned(exclude)).unwrap();
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
    fn a_broken_glob_is_named() {
        let error = Filter::new(&["[".to_owned()], &[]).unwrap_err();
        insta::assert_snapshot!(error, @r#"glob "[": unclosed character class; missing ']'"#);
    }

    #[test]
    fn folder_markers_are_counted_and_no_inputs() {
        let object = |key: &str, size| Object {
            key: key.into(),
            size,
            etag: String::new(),
            access: Default::default(),
        };
        let page = Filter::default().page(vec![object("a/", 0), object("b/", 1), object("c", 0)]);
        assert_eq!(page.folder_markers, ["a/"]);
        assert_eq!(page.images.iter().map(|image| image.key.as_str()).collect::<Vec<_>>(), ["b/", "c"]);
    }
}
