//! The file of thresholds: TOML with a score per label, as `tagfleet evaluate --precision` writes it.
//!
//! It is read when the command line is, so that a wrong file is found first. Whether the model has the labels
//! is checked with the model's other options.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;

use serde::Deserialize;
use tagfleet_pipeline::run::TagOptions;

/// More than the thresholds of any model: those of 100,000 labels take about 4 MB.
const MAX_BYTES: u64 = 16 << 20;
/// The threshold of a label that no score reaches.
pub(crate) const NEVER: &str = "never";

/// Thresholds by label.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Thresholds(pub(crate) BTreeMap<String, f32>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    thresholds: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Score(f64),
    Word(String),
}

impl Thresholds {
    pub(super) fn read(path: &str) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let mut text = String::new();
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
        if text.len() as u64 > MAX_BYTES {
            return Err(format!("more than {MAX_BYTES} bytes"));
        }
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let contents: Contents =
            toml::from_str(text).map_err(|error| format!("not a file of thresholds: {}", error.message()))?;
        let mut thresholds = BTreeMap::new();
        for (label, entry) in contents.thresholds {
            let threshold = match entry {
                Entry::Score(score) if (score as f32).is_finite() => score as f32,
                Entry::Word(word) if word == NEVER => TagOptions::NEVER,
                Entry::Score(_) | Entry::Word(_) => {
                    return Err(format!("the threshold of {label:?} is neither a number nor {NEVER:?}"));
                }
            };
            thresholds.insert(label, threshold);
        }
        if thresholds.is_empty() {
            return Err("it names no label: leave --thresholds out".to_owned());
        }
        Ok(Self(thresholds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_a_score_or_never() {
        let text = "[thresholds]\n\"tench, Tinca tinca\" = 0.5\ncat = 1\ndog = \"never\"\n";
        let expected = [("tench, Tinca tinca", 0.5), ("cat", 1.0), ("dog", TagOptions::NEVER)];
        let expected = expected.map(|(label, score)| (label.to_owned(), score));
        assert_eq!(Thresholds::parse(text), Ok(Thresholds(expected.into())));
        let why = |text: &str| Thresholds::parse(text).unwrap_err();
        insta::assert_snapshot!(why("[thresholds]\ncat = \"often\""), @r#"the threshold of "cat" is neither a number nor "never""#);
        insta::assert_snapshot!(why("[thresholds]\ncat = nan"), @r#"the threshold of "cat" is neither a number nor "never""#);
        insta::assert_snapshot!(why("[thresholds]"), @"it names no label: leave --thresholds out");
        insta::assert_snapshot!(why("cat = 0.5"), @"not a file of thresholds: unknown field `cat`, expected `thresholds`");
    }
}
