//! The merge of a run's rows with the truth, and what is counted on the way.
//!
//! The truth of an image is a set of labels. If images have one label, the best tag is right if it is in the
//! set. If they may have several, each tag is judged by itself, and labels that are not in the set are taken
//! as wrong.

use std::collections::BTreeMap;

use tagfleet_pipeline::earlier::{RowView, RunRows};
use tagfleet_pipeline::reduce::Counted;

use super::calibration::Bins;
use super::figures::Figures;
use super::thresholds::AllScores;
use super::{Confusion, EVALUATION_VERSION, Evaluation, ImageCounts, Resolve, UnknownLabel};
use crate::labels::{LabelId, Labels, NO_TAG};
use crate::pairs::{CountedPair, Pairs};
use crate::truth::TruthFile;
use crate::{AnalysisError, Subject};

/// Keys of each kind that are named.
const NAMED_KEYS: usize = 10;
/// Labels of the truth that are counted each by itself if the model does not have them.
const MAX_UNKNOWN: usize = 10_000;
/// Pairs of labels, and unknown labels, that an evaluation names.
const NAMED: usize = 100;
/// The number of tags that top 5 looks at.
const TOP: usize = 5;

/// What was counted so far.
pub(super) struct Join<'a> {
    resolve: &'a Resolve<'a>,
    counted: Counted,
    labels: Labels,
    images: ImageCounts,
    failed: BTreeMap<String, u64>,
    only_in_truth: Vec<String>,
    only_in_run: Vec<String>,
    unknown: BTreeMap<String, u64>,
    top_1: u64,
    top_5: u64,
    exact: u64,
    figures: Figures,
    confusions: Pairs,
    calibration: Bins,
    scores: Option<AllScores>,
}

/// What a text of the truth means.
#[derive(Debug, Default)]
struct Meaning {
    labels: Vec<LabelId>,
    /// Its parts that are labels of no model that is known here.
    unknown: Vec<String>,
}

/// What may be between the labels of one cell.
const SEPARATORS: [char; 3] = [',', ';', '|'];

impl<'a> Join<'a> {
    pub(super) fn new(subject: &Subject, resolve: &'a Resolve<'a>, with_thresholds: bool) -> Self {
        Self {
            resolve,
            counted: subject.counted,
            labels: Labels::default(),
            images: ImageCounts::default(),
            failed: BTreeMap::new(),
            only_in_truth: Vec::new(),
            only_in_run: Vec::new(),
            unknown: BTreeMap::new(),
            top_1: 0,
            top_5: 0,
            exact: 0,
            figures: Figures::default(),
            confusions: Pairs::new(),
            calibration: Bins::default(),
            scores: with_thresholds.then(AllScores::default),
        }
    }

    /// Merges with a truth that is in key order.
    pub(super) async fn with_file(
        &mut self,
        rows: &mut RunRows,
        truth: &TruthFile,
    ) -> Result<(), AnalysisError> {
        let meanings: Vec<Meaning> = truth.texts().iter().map(|text| self.meaning(text)).collect();
        let mut entries = truth.images().peekable();
        let mut first_key = None;
        while rows.advance().await? {
            let Some(row) = rows.row() else { break };
            first_key.get_or_insert_with(|| row.key().to_owned());
            while let Some(missing) = entries.next_if(|image| image.key < row.key()) {
                self.only_in_truth(missing.key);
            }
            match entries.next_if(|image| image.key == row.key()) {
                Some(image) => self.judge(row, image.texts.filter_map(|text| meanings.get(text))),
                None => self.only_in_run(row.key()),
            }
        }
        for missing in entries {
            self.only_in_truth(missing.key);
        }
        let in_common = self.images.evaluated
            + self.images.failed
            + self.images.unknown_label
            + self.images.without_label;
        match truth.images().next() {
            Some(first) if in_common == 0 => Err(AnalysisError::NothingInCommon {
                truth: first.key.to_owned(),
                run: first_key.unwrap_or_default(),
            }),
            _ => Ok(()),
        }
    }

    /// Takes the innermost folder of each key whose name is a label of the model; if there is none, the
    /// folder that the image is in.
    pub(super) async fn with_folders(&mut self, rows: &mut RunRows) -> Result<(), AnalysisError> {
        let mut known: Option<(String, Meaning)> = None;
        let mut in_folders = false;
        while rows.advance().await? {
            let Some(row) = rows.row() else { break };
            let Some((folder, _)) = row.key().rsplit_once('/') else {
                self.only_in_run(row.key());
                continue;
            };
            in_folders = true;
            // Images of one folder follow one another.
            if known.as_ref().is_none_or(|(last, _)| last != folder) {
                known = Some((folder.to_owned(), self.of_folder(folder)));
            }
            self.judge(row, known.iter().map(|(_, meaning)| meaning));
        }
        if in_folders { Ok(()) } else { Err(AnalysisError::NoFolders) }
    }

    fn of_folder(&mut self, folder: &str) -> Meaning {
        for name in folder.rsplit('/') {
            let labels = self.labels_of(name);
            if !labels.is_empty() {
                return Meaning { labels, unknown: Vec::new() };
            }
        }
        let name = folder.rsplit('/').next().unwrap_or(folder);
        Meaning { labels: Vec::new(), unknown: vec![name.to_owned()] }
    }

    /// A text is one label, or several with separators between them.
    fn meaning(&mut self, text: &str) -> Meaning {
        let mut meaning = Meaning { labels: self.labels_of(text), unknown: Vec::new() };
        if !meaning.labels.is_empty() {
            return meaning;
        }
        for part in text.split(SEPARATORS).map(str::trim).filter(|part| !part.is_empty()) {
            let labels = self.labels_of(part);
            if labels.is_empty() {
                meaning.unknown.push(part.to_owned());
            }
            meaning.labels.extend(labels);
        }
        meaning
    }

    fn labels_of(&mut self, name: &str) -> Vec<LabelId> {
        (self.resolve)(name).iter().map(|label| self.labels.id(label)).collect()
    }

    fn only_in_truth(&mut self, key: &str) {
        self.images.only_in_truth += 1;
        if self.only_in_truth.len() < NAMED_KEYS {
            self.only_in_truth.push(key.to_owned());
        }
    }

    fn only_in_run(&mut self, key: &str) {
        self.images.only_in_run += 1;
        if self.only_in_run.len() < NAMED_KEYS {
            self.only_in_run.push(key.to_owned());
        }
    }

    /// Judges a row that has a truth: what each of its texts means.
    fn judge<'m>(&mut self, row: RowView<'_>, meanings: impl Iterator<Item = &'m Meaning>) {
        if let Some(code) = row.error_code() {
            self.images.failed += 1;
            *self.failed.entry(code.to_owned()).or_default() += 1;
            return;
        }
        let mut truth: Vec<LabelId> = Vec::new();
        let mut is_labelled = false;
        for meaning in meanings {
            for unknown in &meaning.unknown {
                is_labelled = true;
                self.add_unknown(unknown);
            }
            for id in &meaning.labels {
                is_labelled = true;
                if !truth.contains(id) {
                    truth.push(*id);
                }
            }
        }
        if !is_labelled && self.counted == Counted::Best {
            self.images.without_label += 1;
        } else if truth.is_empty() && is_labelled {
            self.images.unknown_label += 1;
        } else {
            self.images.evaluated += 1;
            self.evaluate(row, &truth);
        }
    }

    fn add_unknown(&mut self, text: &str) {
        if let Some(images) = self.unknown.get_mut(text) {
            *images += 1;
        } else if self.unknown.len() < MAX_UNKNOWN {
            self.unknown.insert(text.to_owned(), 1);
        }
    }

    fn evaluate(&mut self, row: RowView<'_>, truth: &[LabelId]) {
        let mut tags: Vec<(LabelId, f32)> = Vec::new();
        for (label, score) in row.tags() {
            let id = self.labels.id(label);
            // Of two outputs with one name the better one counts.
            if !tags.iter().any(|(known, _)| *known == id) {
                tags.push((id, score));
            }
        }
        let is_right = |tag: &(LabelId, f32)| truth.contains(&tag.0);
        self.top_1 += u64::from(tags.first().is_some_and(is_right));
        self.top_5 += u64::from(tags.iter().take(TOP).any(is_right));
        if let Some(scores) = &mut self.scores {
            for tag in &tags {
                scores.add(tag.0, tag.1, is_right(tag));
            }
        }
        match self.counted {
            Counted::Best => self.judge_best(row.key(), tags.first().copied(), truth),
            Counted::All => self.judge_all(row.key(), &tags, truth),
        }
    }

    fn judge_best(&mut self, key: &str, best: Option<(LabelId, f32)>, truth: &[LabelId]) {
        let Some(first) = truth.first().copied() else { return };
        let Some((given, score)) = best else {
            self.figures.add_support(first);
            self.confusions.add((first, NO_TAG), key, None, None);
            return;
        };
        let is_right = truth.contains(&given);
        self.calibration.add(score, is_right);
        self.figures.add_predicted(given, is_right);
        self.figures.add_support(if is_right { given } else { first });
        if !is_right {
            self.confusions.add((first, given), key, None, Some(score));
        }
    }

    fn judge_all(&mut self, key: &str, tags: &[(LabelId, f32)], truth: &[LabelId]) {
        let mut right = 0;
        for (id, score) in tags {
            let is_right = truth.contains(id);
            self.calibration.add(*score, is_right);
            self.figures.add_predicted(*id, is_right);
            right += usize::from(is_right);
            if !is_right {
                self.confusions.add((NO_TAG, *id), key, None, Some(*score));
            }
        }
        for id in truth {
            self.figures.add_support(*id);
            if !tags.iter().any(|(given, _)| given == id) {
                self.confusions.add((*id, NO_TAG), key, None, None);
            }
        }
        self.exact += u64::from(right == tags.len() && right == truth.len());
    }

    pub(super) fn finish(self, run: Subject, truth: String, precision: Option<f64>) -> Evaluation {
        let share =
            |images: u64| (self.images.evaluated > 0).then(|| images as f64 / self.images.evaluated as f64);
        let labels = self.figures.labels(&self.labels);
        let (confusions, other_confusions) = self.confusions.top(NAMED, &self.labels);
        let needed = TOP.min(run.labels.len());
        let has_top_5 = run.tags.top_k as usize >= needed;
        let notes = notes(&run, has_top_5);
        let scores = self.scores.as_ref().zip(precision);
        Evaluation {
            version: EVALUATION_VERSION,
            truth,
            counted: self.counted,
            images: self.images,
            failed: self.failed,
            only_in_truth: self.only_in_truth,
            only_in_run: self.only_in_run,
            unknown_labels: most_frequent(self.unknown),
            top_1: share(self.top_1),
            top_5: share(self.top_5).filter(|_| has_top_5),
            exact: share(self.exact).filter(|_| self.counted == Counted::All),
            averages: self.figures.averages(&labels, &self.labels),
            labels,
            confusions: confusions.into_iter().map(confusion).collect(),
            other_confusions,
            calibration: self.calibration.finish(),
            thresholds: scores.map(|(scores, precision)| scores.finish(precision, &self.labels)),
            run,
            notes,
        }
    }
}

fn confusion(pair: CountedPair) -> Confusion {
    Confusion { truth: pair.from, predicted: pair.to, images: pair.images, examples: pair.examples }
}

fn most_frequent(counts: BTreeMap<String, u64>) -> Vec<UnknownLabel> {
    let mut labels: Vec<UnknownLabel> =
        counts.into_iter().map(|(label, images)| UnknownLabel { label, images }).collect();
    labels.sort_by(|a, b| b.images.cmp(&a.images).then_with(|| a.label.cmp(&b.label)));
    labels.truncate(NAMED);
    labels
}

/// What rows do not hold, no figure can know.
fn notes(run: &Subject, has_top_5: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let tags = &run.tags;
    if !has_top_5 {
        notes.push(format!("top 5 is unknown: rows hold {} at most (--top-k)", tags_in_words(tags.top_k)));
    }
    if run.counted == Counted::Best && (tags.threshold > 0.0 || !tags.thresholds.is_empty()) {
        notes.push("the run kept no tag below its threshold, so an image may have too few tags".to_owned());
    }
    if tags.labels.is_some() {
        notes.push("the run kept some labels only (--labels): all others count as missed".to_owned());
    }
    notes
}

fn tags_in_words(tags: u32) -> String {
    if tags == 1 { "1 tag".to_owned() } else { format!("{tags} tags") }
}
