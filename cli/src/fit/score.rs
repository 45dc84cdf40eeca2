//! Scores of answers: by labels if pictures have them, otherwise by the information of tags about pictures.
//!
//! Without labels the measure is the mutual information of picture and tag, in bits per picture. It is high
//! if the model is sure of each picture, gives different tags to different pictures, and gives the same to a
//! picture that is mirrored or shifted by a few pixels. A model that gives everything one tag is sure, and
//! its tags carry no information. Pure arithmetic.

use tagfleet_pipeline::tags::Tag;

use super::trial::{Answer, Answers};

/// The smallest probability that counts: one picture does not outweigh all others.
const FLOOR: f64 = 1e-6;

/// The score of answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Score {
    /// Whether the best tag of each picture is right; empty without labels.
    pub(super) right: Vec<bool>,
    /// Per picture: the log-probability of the right label in nats, or the information in bits.
    pub(super) each: Vec<f64>,
    /// The mean score of the best tag.
    pub(super) confidence: f64,
    /// The share of pictures whose best tag is the same in every view; none if there is one view.
    pub(super) agreement: Option<f64>,
}

impl Score {
    pub(super) fn rights(&self) -> usize {
        self.right.iter().filter(|right| **right).count()
    }

    pub(super) fn mean(&self) -> f64 {
        mean(&self.each)
    }

    /// By labels. `truth` has the right labels of each picture.
    pub(super) fn labelled(answers: &Answers, truth: &[&[u32]]) -> Self {
        let (mut right, mut each) = (Vec::new(), Vec::new());
        for (answer, truth) in answers.iter().zip(truth) {
            let is_true = |tag: &&Tag| truth.contains(&tag.index);
            right.push(best(answer).filter(is_true).is_some());
            let tags = answer.iter().flatten();
            let probability = tags.filter(is_true).map(|tag| f64::from(tag.score)).fold(0.0, f64::max);
            each.push(probability.clamp(FLOOR, 1.0).ln());
        }
        Self { right, each, confidence: confidence(answers), agreement: None }
    }

    /// Without labels, from one or several views of the pictures. With `is_multi_label` each label holds by
    /// itself.
    pub(super) fn unlabelled(views: &[&Answers], labels: usize, is_multi_label: bool) -> Self {
        let mut rows = Vec::new();
        for picture in 0..views.first().map_or(0, |view| view.len()) {
            rows.push(row(views, picture, labels));
        }
        let marginal = marginal(&rows, labels);
        let bits = if is_multi_label { bits_of_each_label } else { bits };
        let each = rows.iter().map(|row| bits(row, &marginal)).collect();
        let confidence = views.first().map_or(0.0, |answers| confidence(answers));
        Self { right: Vec::new(), each, confidence, agreement: agreement(views) }
    }
}

fn best(answer: &Answer) -> Option<&Tag> {
    answer.as_ref().ok().and_then(|tags| tags.first())
}

fn confidence(answers: &Answers) -> f64 {
    let scores: Vec<f64> =
        answers.iter().map(|answer| best(answer).map_or(0.0, |tag| f64::from(tag.score))).collect();
    mean(&scores)
}

fn agreement(views: &[&Answers]) -> Option<f64> {
    let (first, others) = views.split_first()?;
    if others.is_empty() {
        return None;
    }
    let index = |view: &Answers, picture: usize| view.get(picture).and_then(best).map(|tag| tag.index);
    let mut same = Vec::with_capacity(first.len());
    for picture in 0..first.len() {
        let is_same = others.iter().all(|view| index(view, picture) == index(first, picture));
        same.push(if is_same { 1.0 } else { 0.0 });
    }
    Some(mean(&same))
}

/// The mean of the views' scores of a picture, per label.
fn row(views: &[&Answers], picture: usize, labels: usize) -> Vec<f64> {
    let mut row = vec![0.0; labels];
    for view in views {
        for tag in view.get(picture).iter().flat_map(|answer| answer.iter()).flatten() {
            if let Some(sum) = row.get_mut(tag.index as usize) {
                *sum += f64::from(tag.score) / views.len() as f64;
            }
        }
    }
    row
}

fn marginal(rows: &[Vec<f64>], labels: usize) -> Vec<f64> {
    let mut marginal = vec![0.0; labels];
    for row in rows {
        for (sum, value) in marginal.iter_mut().zip(row) {
            *sum += value / rows.len() as f64;
        }
    }
    marginal
}

/// The divergence of a picture's scores from those of all pictures.
fn bits(row: &[f64], marginal: &[f64]) -> f64 {
    row.iter().zip(marginal).map(|(part, whole)| term(*part, *whole)).sum()
}

/// The same if each label holds by itself.
fn bits_of_each_label(row: &[f64], marginal: &[f64]) -> f64 {
    let both = |(part, whole): (&f64, &f64)| term(*part, *whole) + term(1.0 - part, 1.0 - whole);
    row.iter().zip(marginal).map(both).sum()
}

fn term(part: f64, whole: f64) -> f64 {
    if part <= 0.0 || whole <= 0.0 { 0.0 } else { part * (part / whole).log2() }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// How much one score is better than another on the same pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Margin {
    /// In the unit of [`Score::each`].
    pub(super) mean: f64,
    /// Twice the standard error of `mean`: a margin below this may be chance.
    pub(super) noise: f64,
    /// Whether it is more than chance, in the means or in the pictures that are right.
    pub(super) is_decided: bool,
}

impl Margin {
    pub(super) fn of(better: &Score, worse: &Score) -> Self {
        let differences: Vec<f64> = better.each.iter().zip(&worse.each).map(|(a, b)| a - b).collect();
        let number = |right: &bool| f64::from(u8::from(*right));
        let rights: Vec<f64> =
            better.right.iter().zip(&worse.right).map(|(a, b)| number(a) - number(b)).collect();
        let (difference, right) = (Estimate::new(&differences), Estimate::new(&rights));
        let is_decided = difference.is_above_noise() || right.is_above_noise();
        Self { mean: difference.mean, noise: difference.noise, is_decided }
    }
}

/// A mean and twice its standard error.
struct Estimate {
    mean: f64,
    noise: f64,
}

impl Estimate {
    fn new(values: &[f64]) -> Self {
        let mean = mean(values);
        if values.len() < 2 {
            return Self { mean, noise: f64::INFINITY };
        }
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let count = values.len() as f64;
        Self { mean, noise: 2.0 * (squares / (count - 1.0) / count).sqrt() }
    }

    /// Differences from rounding do not count.
    fn is_above_noise(&self) -> bool {
        self.mean > 1e-4 && self.mean > self.noise
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(scores: &[f32]) -> Answer {
        let mut tags = Vec::new();
        for (index, score) in (0..).zip(scores) {
            tags.push(Tag { label: format!("l{index}"), index, score: *score });
        }
        tags.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(tags)
    }

    #[test]
    fn labels_count_right_tags_and_their_probability() {
        let answers = vec![answer(&[0.9, 0.1]), answer(&[0.6, 0.4]), Err("broken".to_owned())];
        let score = Score::labelled(&answers, &[&[0], &[1], &[0]]);
        assert_eq!((score.rights(), &score.right), (1, &vec![true, false, false]));
        let expected = [f64::from(0.9_f32).ln(), f64::from(0.4_f32).ln(), FLOOR.ln()];
        assert_eq!(score.each, expected);
    }

    #[test]
    fn one_name_for_everything_tells_nothing_and_a_name_for_each_tells_all() {
        let same = vec![answer(&[1.0, 0.0]), answer(&[1.0, 0.0])];
        let each = vec![answer(&[1.0, 0.0]), answer(&[0.0, 1.0])];
        let unsure = vec![answer(&[0.5, 0.5]), answer(&[0.5, 0.5])];
        let mean = |views: &[&Answers]| Score::unlabelled(views, 2, false).mean();
        assert_eq!([mean(&[&same]), mean(&[&each]), mean(&[&unsure])], [0.0, 1.0, 0.0]);
        let other: Answers = each.iter().rev().cloned().collect();
        let turned = Score::unlabelled(&[&each, &other], 2, false);
        assert_eq!(
            (turned.mean(), turned.agreement),
            (0.0, Some(0.0)),
            "a mirrored picture is another thing"
        );
        assert_eq!(Score::unlabelled(&[&each], 2, true).mean(), 2.0, "two questions, each answered");
    }

    #[test]
    fn a_margin_is_chance_unless_most_pictures_agree() {
        let score =
            |each: &[f64]| Score { right: vec![], each: each.to_vec(), confidence: 1.0, agreement: None };
        let zero = score(&[0.0; 4]);
        assert!(Margin::of(&score(&[1.0, 1.1, 0.9, 1.0]), &zero).is_decided);
        assert!(!Margin::of(&score(&[3.0, -1.0, 2.0, -2.0]), &zero).is_decided);
        assert!(!Margin::of(&zero, &zero).is_decided);
        let one = score(&[1.0]);
        assert!(!Margin::of(&one, &score(&[0.0])).is_decided, "one picture decides nothing");
    }
}
