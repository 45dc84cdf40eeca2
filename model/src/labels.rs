//! A model's labels: where they come from, and what is made up where there are none.
//!
//! It never guesses which label belongs to which score: a wrong number of labels is an error.

use std::path::Path;

use crate::folder::{Config, Manual, ModelError, read_text};

pub(crate) const DEFAULT_FILE: &str = "labels.txt";
const MOST_CLASSES: usize = 1 << 20;

/// The labels of a model with `classes` scores, and the name of the file in `root` that they came from, if it was one
/// of its own. `classes` is `None` where the graph doesn't say.
pub(crate) fn resolve(
    root: &Path,
    config: &Config,
    manual: &Manual,
    classes: Option<usize>,
    notes: &mut Vec<String>,
) -> Result<(Vec<String>, Option<String>), ModelError> {
    if let Some(name) = &manual.labels {
        let labels = read(root, name)?.ok_or_else(|| {
            ModelError::new(format!(
                "tagfleet.toml takes labels from {name:?}, but {} has no such file",
                root.display()
            ))
        })?;
        return Ok((checked(labels, name, classes)?, Some(name.clone())));
    }
    if let Some((labels, source)) = config.labels()? {
        return Ok((checked(labels, source, classes)?, None));
    }
    if let Some(labels) = read(root, DEFAULT_FILE)? {
        return Ok((checked(labels, DEFAULT_FILE, classes)?, Some(DEFAULT_FILE.to_owned())));
    }
    match classes {
        Some(classes) if classes <= MOST_CLASSES => {
            notes.push(format!(
                "no labels: they are called class_0 to class_{}; write their names into {DEFAULT_FILE} beside the model, one per line",
                classes - 1
            ));
            Ok(((0..classes).map(|index| format!("class_{index}")).collect(), None))
        }
        Some(classes) => {
            Err(ModelError::new(format!("its output has {classes} values, too many to be scores of labels")))
        }
        None => Err(ModelError::new(format!(
            "the graph does not say how many classes it has, and there are no labels: write {DEFAULT_FILE} beside it, one per line"
        ))),
    }
}

fn read(root: &Path, name: &str) -> Result<Option<Vec<String>>, ModelError> {
    if !Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_))) {
        return Err(ModelError::new(format!(
            "the labels file {name:?} is outside the model's folder: copy it there"
        )));
    }
    let Some(text) = read_text(&root.join(name))? else { return Ok(None) };
    Ok(Some(text.trim_end().lines().map(|line| line.trim().to_owned()).collect()))
}

fn checked(labels: Vec<String>, source: &str, classes: Option<usize>) -> Result<Vec<String>, ModelError> {
    match classes {
        Some(classes) if classes != labels.len() => Err(ModelError::new(format!(
            "{source} has {} label(s), but the model gives {classes} scores per image: give it one label per score, in their order",
            labels.len()
        ))),
        _ if labels.is_empty() => Err(ModelError::new(format!("{source} has no labels in it"))),
        _ => Ok(labels),
    }
}

/// The labels of `known` that are most like `label`, at most three, the most alike first.
pub(crate) fn nearest<'a>(label: &str, known: &'a [String]) -> Vec<&'a str> {
    let label = label.to_lowercase();
    let mut ranked = Vec::new();
    for candidate in known {
        let lower = candidate.to_lowercase();
        let distance = if lower.contains(&label) { 0 } else { edits(&label, &lower) };
        ranked.push((distance, candidate.as_str()));
    }
    ranked.sort();
    ranked.dedup();
    ranked.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// Levenshtein's distance over the first 64 characters.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_labels_contain_the_word_or_are_spelt_alike() {
        let known = ["tabby cat", "red wolf", "goldfish", "cart"].map(str::to_owned);
        assert_eq!(nearest("Cat", &known)[..2], ["tabby cat", "cart"]);
        assert_eq!(nearest("goldfsh", &known)[0], "goldfish");
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
    }
}
