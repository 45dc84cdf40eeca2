//! Names of labels as people write them: which of a model's labels a folder or a cell of a table means.
//!
//! Case, spaces, underscores and leading numbers do not count; each synonym between commas is a name. A name
//! that two labels have means both. It never guesses by likeness.

use std::collections::BTreeMap;

/// A model's labels by their names.
pub(crate) struct Names {
    /// From the strictest way to read a label to the most lenient.
    levels: [BTreeMap<String, Vec<u32>>; 3],
    count: u32,
}

impl Names {
    pub(crate) fn new(labels: &[String]) -> Self {
        let mut levels: [BTreeMap<String, Vec<u32>>; 3] = Default::default();
        for (index, label) in (0..).zip(labels) {
            for (level, names) in levels.iter_mut().zip(forms(label)) {
                for name in names.into_iter().filter(|name| !name.is_empty()) {
                    let indices = level.entry(name).or_default();
                    if !indices.contains(&index) {
                        indices.push(index);
                    }
                }
            }
        }
        Self { levels, count: u32::try_from(labels.len()).unwrap_or(u32::MAX) }
    }

    /// The labels that `text` means; none if there is none of that name. A text without such a name may be
    /// the number of a label, from 0, or several names between `,`, `;` or `|`.
    pub(crate) fn find(&self, text: &str) -> Vec<u32> {
        let whole = self.find_whole(text);
        if !whole.is_empty() {
            return whole;
        }
        let mut found: Vec<u32> =
            text.split([',', ';', '|']).flat_map(|part| self.find_whole(part)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The labels that `text` means as one name, or one number.
    pub(crate) fn find_whole(&self, text: &str) -> Vec<u32> {
        let words = words(text);
        let names = [Some(joined(&words)), without_number(&words), synset(&words)];
        for name in names.iter().flatten() {
            if let Some(indices) = self.levels.iter().find_map(|level| level.get(name)) {
                return indices.clone();
            }
        }
        number(&words).filter(|index| *index < self.count).into_iter().collect()
    }
}

/// The names of a label by level: the whole label, its synonyms, and synonyms without their leading numbers.
fn forms(label: &str) -> [Vec<String>; 3] {
    let (mut synonyms, mut short) = (Vec::new(), Vec::new());
    for synonym in label.split(',').map(words) {
        synonyms.push(joined(&synonym));
        short.extend(without_number(&synonym));
        short.extend(synset(&synonym));
    }
    [vec![joined(&words(label))], synonyms, short]
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

fn joined(words: &[String]) -> String {
    words.concat()
}

/// `003 cat` and `n02123045 tabby` are `cat` and `tabby`.
fn without_number(words: &[String]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let is_number = first.chars().all(|c| c.is_ascii_digit()) || is_synset(first);
    (is_number && !rest.is_empty()).then(|| joined(rest))
}

/// `n02123045` of `n02123045 tabby`.
fn synset(words: &[String]) -> Option<String> {
    words.first().filter(|first| words.len() > 1 && is_synset(first)).cloned()
}

fn is_synset(word: &str) -> bool {
    word.strip_prefix('n')
        .is_some_and(|digits| digits.len() == 8 && digits.chars().all(|c| c.is_ascii_digit()))
}

/// `7`, `007`, `class_7` and `LABEL_7` are 7.
fn number(words: &[String]) -> Option<u32> {
    let digits = match words {
        [digits] => digits.trim_start_matches("class").trim_start_matches("label"),
        [class, digits] if ["class", "label", "c", "id"].contains(&class.as_str()) => digits,
        _ => return None,
    };
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(labels: &[&str]) -> Names {
        Names::new(&labels.iter().map(|&label| label.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn labels_are_found_however_they_are_written() {
        let names = names(&["tench, Tinca tinca", "Hot Dog", "n02123045 tabby", "crane", "crane", "0 Cat"]);
        let cases: [(&str, &[u32]); 15] = [
            ("tench", &[0]),
            ("tinca_tinca", &[0]),
            ("Tench, Tinca Tinca", &[0]),
            ("hotdog", &[1]),
            ("001.Hot-dog", &[1]),
            ("tabby", &[2]),
            ("n02123045", &[2]),
            ("n02123045_tabby", &[2]),
            ("crane", &[3, 4]),
            ("class_3", &[3]),
            ("LABEL_0", &[0]),
            ("cat", &[5]),
            ("crane|cat", &[3, 4, 5]),
            ("tabby, hot dog", &[1, 2]),
            ("dog", &[]),
        ];
        for (text, indices) in cases {
            assert_eq!(names.find(text), indices, "{text}");
        }
        assert_eq!(names.find("6"), Vec::<u32>::new());
    }

    #[test]
    fn a_label_that_is_a_number_is_a_name() {
        let names = names(&["1", "2", "3"]);
        assert_eq!((names.find("1"), names.find("03")), (vec![0], vec![]));
    }
}
