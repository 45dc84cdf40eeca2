//! A model's labels: where they come from, in one order, and what they are called if there are none.
//!
//! 1. the file that `tagfleet.toml` names
//! 2. `id2label`, `label_names` or timm's `labels` in `config.json`, unless they are placeholders such as
//!    `LABEL_0`
//! 3. the keys of an output that is a map
//! 4. a file of labels in the folder ([`FILES`])
//! 5. the label list of PaddleClas's `inference.yml`
//! 6. `names`, `labels`, `classes`, `class_names` or `character` in the ONNX file's metadata
//! 7. placeholders, else `class_0`, `class_1`, ...
//!
//! It never guesses which label belongs to which score: a wrong number of labels is an error.

mod text;

use std::path::Path;

use self::text::{parse, python_names};
use super::{Config, Overrides, paddle};
use crate::error::ModelError;
use crate::files;
use crate::graph::{Graph, Port};

/// Files of labels by the names people give them. The first that has as many labels as there are scores is
/// used.
pub(crate) const FILES: [&str; 30] = [
    "labels.txt",
    "selected_tags.csv",
    "labels.json",
    "class_names.json",
    "class_names.txt",
    "classes.txt",
    "classes.json",
    "class_indices.json",
    "id2label.json",
    "label_map.json",
    "labels.csv",
    "classes.csv",
    "class_names.csv",
    "label.txt",
    "names.txt",
    "synset.txt",
    "imagenet_classes.txt",
    "metadata.json",
    "synset_words.txt",
    "label_list.txt",
    "class_labels.txt",
    "class_labels.json",
    "class_list.txt",
    "class_mapping.json",
    "class_to_idx.json",
    "idx_to_class.json",
    "index_to_name.json",
    "imagenet_class_index.json",
    "categories.txt",
    "categories.json",
];
const MOST_CLASSES: usize = 1 << 20;
/// Keys of metadata that hold labels.
const METADATA: [&str; 5] = ["names", "labels", "classes", "class_names", "character"];

/// The labels of a model and their source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    /// One per score, or two for one score that is the probability of the second.
    pub(crate) names: Vec<String>,
    /// The file of the folder that they came from, if it was one of labels.
    pub(crate) file: Option<String>,
    /// Whether a person named them, rather than this program or an exporter.
    pub(crate) are_names: bool,
}

/// What labels are looked for in.
#[derive(Clone, Copy)]
pub(crate) struct LabelSources<'a> {
    pub(crate) root: &'a Path,
    pub(crate) graph: &'a Graph,
    pub(crate) config: &'a Config,
    pub(crate) overrides: &'a Overrides,
}

/// Labels and what to call their source.
struct Found {
    names: Vec<String>,
    source: String,
    file: Option<String>,
}

impl LabelSources<'_> {
    /// The labels of the output `scores`, which has `classes` scores per image, if the graph states that.
    ///
    /// # Errors
    /// If the labels are not one per score, or two files disagree.
    pub(crate) fn resolve(
        &self,
        scores: &Port,
        classes: Option<usize>,
        notes: &mut Vec<String>,
    ) -> Result<Labels, ModelError> {
        let named = self.named(scores, classes, notes)?;
        if let Some(Found { names, source, file }) = named {
            let names = checked(names, &source, classes)?;
            if file.as_deref().is_some_and(|file| file != FILES[0]) || source.contains("metadata") {
                notes.push(format!("labels from {source}"));
            }
            return Ok(Labels { names, file, are_names: true });
        }
        let placeholders = self.config.labels()?.map(|(names, _)| names);
        match (placeholders, classes) {
            (Some(names), Some(classes)) if names.len() == classes => {
                Ok(Labels { names, file: None, are_names: false })
            }
            (Some(names), None) => Ok(Labels { names, file: None, are_names: false }),
            _ => unnamed(classes, notes),
        }
    }

    /// Whether labels were given for the output.
    pub(crate) fn are_given(&self, scores: &Port, classes: Option<usize>) -> Result<bool, ModelError> {
        Ok(self.config.labels()?.is_some() || self.named(scores, classes, &mut Vec::new())?.is_some())
    }

    fn named(
        &self,
        scores: &Port,
        classes: Option<usize>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Found>, ModelError> {
        if let Some(name) = &self.overrides.labels {
            let names = read(self.root, name)?.ok_or_else(|| {
                ModelError::new(format!(
                    "tagfleet.toml takes labels from {name:?}, but {} has no such file",
                    self.root.display()
                ))
            })?;
            return Ok(Some(Found { names, source: name.clone(), file: Some(name.clone()) }));
        }
        if let Some((names, source)) = self.config.labels()?.filter(|(names, _)| !are_placeholders(names)) {
            self.note_unread(&names, source, notes)?;
            return Ok(Some(Found { names, source: source.to_owned(), file: None }));
        }
        if let Some(map) = scores.map.as_ref().filter(|map| !are_placeholders(&map.labels)) {
            let source = format!("the map {}", map.name);
            return Ok(Some(Found { names: map.labels.clone(), source, file: None }));
        }
        if let Some(found) = self.of_files(classes)? {
            return Ok(Some(found));
        }
        if let Some(names) = paddle::file(self.root)?.as_ref().and_then(paddle::labels) {
            let source = paddle::NAMES[0].to_owned();
            return Ok(Some(Found { names, source, file: None }));
        }
        Ok(self.of_metadata())
    }

    fn of_files(&self, classes: Option<usize>) -> Result<Option<Found>, ModelError> {
        let mut found: Vec<Found> = Vec::new();
        for name in FILES {
            if let Some(names) = read(self.root, name)?.filter(|names| !names.is_empty()) {
                found.push(Found { names, source: name.to_owned(), file: Some(name.to_owned()) });
            }
        }
        let fits = |found: &Found| classes.is_none_or(|classes| fits(found.names.len(), classes));
        let first = found.iter().position(fits).unwrap_or(0);
        let other =
            found.iter().skip(first + 1).find(|other| fits(other) && other.names != found[first].names);
        if let Some(other) = other {
            return Err(ModelError::new(format!(
                "{} and {} name other labels for the same scores: choose one with labels = \"{}\" in tagfleet.toml",
                found[first].source, other.source, found[first].source
            )));
        }
        Ok(if found.is_empty() { None } else { Some(found.swap_remove(first)) })
    }

    fn of_metadata(&self) -> Option<Found> {
        let (key, names) =
            METADATA.iter().find_map(|key| Some((key, python_names(self.graph.metadata.get(*key)?)?)))?;
        Some(Found { names, source: format!("{key} in the graph's metadata"), file: None })
    }

    /// If `config.json` has labels, a `labels.txt` is not read; a note reports if it differs.
    fn note_unread(&self, names: &[String], source: &str, notes: &mut Vec<String>) -> Result<(), ModelError> {
        if read(self.root, FILES[0])?.is_some_and(|other| other != names) {
            notes.push(format!(
                "labels from {source}; {0} has others and is not read: set labels = \"{0}\" in tagfleet.toml if those are right",
                FILES[0]
            ));
        }
        Ok(())
    }
}

/// As many labels as scores, or two for one score.
fn fits(labels: usize, classes: usize) -> bool {
    labels == classes || (classes == 1 && labels == 2)
}

/// Placeholders of an exporter: `LABEL_0`, `class_0`, `0`.
fn are_placeholders(names: &[String]) -> bool {
    names.iter().enumerate().all(|(index, name)| {
        let bare = name.to_lowercase();
        let number = ["label_", "class_", "label", "class", "n", ""]
            .iter()
            .find_map(|prefix| bare.strip_prefix(prefix));
        number.is_some_and(|number| number == index.to_string())
    })
}

fn unnamed(classes: Option<usize>, notes: &mut Vec<String>) -> Result<Labels, ModelError> {
    let names = match classes {
        Some(1) => {
            notes.push(format!(
                "no label: the one score is called positive; write its name into {0} next to the model, or two names, of which the score is the second's probability",
                FILES[0]
            ));
            vec!["positive".to_owned()]
        }
        Some(classes) if classes <= MOST_CLASSES => {
            notes.push(format!(
                "no labels: they are called class_0 to class_{}; write their names into {} next to the model, one per line",
                classes - 1,
                FILES[0]
            ));
            (0..classes).map(|index| format!("class_{index}")).collect()
        }
        Some(classes) => {
            return Err(ModelError::new(format!(
                "its output has {classes} values, too many to be scores of labels"
            )));
        }
        None => {
            return Err(ModelError::new(format!(
                "the graph does not state how many classes it has, and there are no labels: write {} next to it, one per line",
                FILES[0]
            )));
        }
    };
    Ok(Labels { names, file: None, are_names: false })
}

fn read(root: &Path, name: &str) -> Result<Option<Vec<String>>, ModelError> {
    if !Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_))) {
        return Err(ModelError::new(format!(
            "the labels file {name:?} is outside the model's folder: copy it there"
        )));
    }
    let Some(text) = files::read_text(&root.join(name))? else { return Ok(None) };
    parse(name, &text)
}

fn checked(labels: Vec<String>, source: &str, classes: Option<usize>) -> Result<Vec<String>, ModelError> {
    match classes {
        Some(classes) if !fits(labels.len(), classes) => {
            let background = if labels.len() + 1 == classes {
                " (TensorFlow's models often have one more, named background, first)"
            } else {
                ""
            };
            Err(ModelError::new(format!(
                "{source} has {} label(s), but the model gives {classes} scores per image: give it one label per score, in their order{background}",
                labels.len()
            )))
        }
        _ if labels.is_empty() => Err(ModelError::new(format!("{source} has no labels in it"))),
        _ => Ok(labels),
    }
}
