//! Which columns of a table hold keys and labels, and which key of the run a key of the table means.
//!
//! Names are those that people and tools use; none is guessed from what a column holds.

use super::TruthError;

/// Names of the column of keys, the most telling first.
const KEYS: [&str; 19] = [
    "key",
    "object_key",
    "s3_key",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "path",
    "image_path",
    "img_path",
    "image_file",
    "image",
    "img",
    "s3_uri",
    "uri",
    "url",
    "name",
    "id",
];
/// Names of a column of labels, the most telling first.
const LABELS: [&str; 14] = [
    "label",
    "labels",
    "class",
    "classes",
    "class_name",
    "category",
    "categories",
    "tag",
    "tags",
    "truth",
    "target",
    "label_name",
    "class_id",
    "label_id",
];
/// Columns that an error names.
const NAMED: usize = 10;

/// The columns that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) key: usize,
    /// At least one.
    pub(super) labels: Vec<usize>,
}

impl Columns {
    /// Finds the columns by their names. Several columns of labels are columns of one name, or of a name
    /// followed by a number: `label`, `label_2`, `label3`.
    pub(super) fn find(names: &[impl AsRef<str>]) -> Result<Self, TruthError> {
        let names: Vec<String> = names.iter().map(|name| name.as_ref().trim().to_lowercase()).collect();
        let missing = |kind, expected| {
            let mut columns: Vec<String> = names.iter().take(NAMED).map(|name| format!("{name:?}")).collect();
            if names.len() > NAMED {
                columns.push("...".to_owned());
            }
            TruthError::NoColumn { kind, columns: columns.join(", "), expected }
        };
        let key = KEYS.iter().find_map(|known| names.iter().position(|name| name == known));
        let key = key.ok_or_else(|| missing("keys", "key"))?;
        let labels = LABELS.iter().find_map(|known| {
            let named = names.iter().enumerate().filter(|(place, name)| *place != key && is_of(name, known));
            let places: Vec<usize> = named.map(|(place, _)| place).collect();
            (!places.is_empty()).then_some(places)
        });
        Ok(Self { key, labels: labels.ok_or_else(|| missing("labels", "label"))? })
    }
}

/// `label`, `label 2`, `label_2` and `label2` are all `label`.
fn is_of(name: &str, known: &str) -> bool {
    let Some(rest) = name.strip_prefix(known) else { return false };
    let number = rest.trim_start_matches([' ', '_', '-', '.']);
    rest.is_empty() || (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What the keys of a run are relative to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// What an address or a path starts with: `s3://shop/`, `/srv/photos/`.
    root: Option<String>,
    /// Whether keys are paths, so that `./` in front means nothing.
    are_paths: bool,
}

impl Sources {
    /// The images of a run are at `location`: a folder, or `s3://bucket/prefix`, whose keys are those of the
    /// bucket.
    #[must_use]
    pub fn new(location: &str) -> Self {
        match location.strip_prefix("s3://") {
            Some(rest) => {
                let bucket = rest.split('/').next().unwrap_or(rest);
                Self { root: Some(format!("s3://{bucket}/")), are_paths: false }
            }
            None if location.is_empty() => Self { root: None, are_paths: true },
            None => Self { root: Some(format!("{}/", location.trim_end_matches('/'))), are_paths: true },
        }
    }

    /// The key that a text means.
    pub(super) fn key<'a>(&self, text: &'a str) -> &'a str {
        let text = self.root.as_deref().and_then(|root| text.strip_prefix(root)).unwrap_or(text);
        if self.are_paths { text.trim_start_matches("./") } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name() {
        let found = |names: &[&str]| Columns::find(names).map(|columns| (columns.key, columns.labels)).ok();
        type Case<'a> = (&'a [&'a str], (usize, Vec<usize>));
        let cases: [Case<'_>; 7] = [
            (&["key", "label"], (0, vec![1])),
            (&[" Label ", "KEY"], (1, vec![0])),
            (&["filename", "split", "label", "label", "label"], (0, vec![2, 3, 4])),
            (&["path", "label_1", "label_2", "labelled_by"], (0, vec![1, 2])),
            (&["id", "file_name", "class", "class_id"], (1, vec![2])),
            (&["image", "labels"], (0, vec![1])),
            (&["name", "category"], (0, vec![1])),
        ];
        for (names, expected) in cases {
            assert_eq!(found(names), Some(expected), "{names:?}");
        }
        let why = |names: &[&str]| Columns::find(names).unwrap_err().to_string();
        insta::assert_snapshot!(why(&["bild", "label"]), @r#"no column of keys: the columns are "bild", "label"; name one key"#);
        insta::assert_snapshot!(why(&["key", "was"]), @r#"no column of labels: the columns are "key", "was"; name one label"#);
    }

    #[test]
    fn addresses_and_paths_are_keys() {
        let shop = Sources::new("s3://shop/photos/");
        let keys = ["s3://shop/photos/a.jpg", "photos/a.jpg", "./a.jpg", "s3://store/a.jpg"];
        assert_eq!(
            keys.map(|key| shop.key(key)),
            ["photos/a.jpg", "photos/a.jpg", "./a.jpg", "s3://store/a.jpg"]
        );
        let folder = Sources::new("/srv/photos");
        let keys = ["/srv/photos/a/1.jpg", "./a/1.jpg", "a/1.jpg", "/srv/photos2/1.jpg"];
        assert_eq!(keys.map(|key| folder.key(key)), ["a/1.jpg", "a/1.jpg", "a/1.jpg", "/srv/photos2/1.jpg"]);
    }
}
