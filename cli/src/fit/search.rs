//! The search: first values and channel order, then the geometry of the best few, then the filter.
//!
//! All combinations would be hundreds; the stages are about fifty trials. Variants of a trial are tried only
//! next to the best. Without labels the last stage looks at the best candidates again, with each picture
//! mirrored and shifted.

use tagfleet_model::folder::ModelSpec;
use tagfleet_model::graph;
use tagfleet_model::preprocessing::{Preprocessing, View};

use super::candidates::{self, Candidate, add};
use super::geometry::{self, Geometry};
use super::pictures::{Picture, Pictures};
use super::rank::{Ranking, Trial, compare};
use super::score::Score;
use super::trial::{self, Answers};
use crate::exit::{Failure, bad_input};
use crate::loading::Loading;

/// Channel orders and ranges whose geometry is searched.
const BEST_SAMPLES: usize = 3;
/// Candidates whose filter is searched.
const BEST_GEOMETRIES: usize = 2;
/// Candidates that are looked at in other views: the best of this many channel orders and ranges, and the
/// best of all.
const FINALISTS: usize = 5;
/// The other views.
const VIEWS: [View; 2] = [View::Mirrored, View::Shifted];
/// Pictures that cannot be tagged are named up to this number.
const MOST_NAMED: usize = 5;

struct Search<'a> {
    loading: &'a Loading,
    pictures: &'a mut Pictures,
    trials: Vec<Trial>,
    notes: Vec<String>,
}

/// Tries all stages. Pictures that cannot be tagged are taken out of `pictures`.
pub(super) fn search(loading: &Loading, pictures: &mut Pictures) -> Result<Ranking, Failure> {
    let spec = &loading.model.spec;
    let is_layout_open = is_layout_open(loading)?;
    let mut search = Search { loading, pictures, trials: Vec::new(), notes: Vec::new() };
    let mut first = vec![Candidate::present(spec)];
    candidates::samples(spec, is_layout_open).into_iter().for_each(|candidate| add(&mut first, candidate));
    search.attempt(first)?;
    search.leave_out_failures()?;
    search.check_scores()?;
    search.attempt(search.geometries(spec))?;
    search.attempt(search.close_geometries(spec))?;
    search.attempt(search.close_samples(spec))?;
    search.attempt(search.filters(spec))?;
    let is_labelled = search.pictures.is_labelled;
    if !is_labelled {
        search.finals();
    }
    let Search { trials, notes, .. } = search;
    if trials.is_empty() {
        return Err(bad_input("nothing could be tried"));
    }
    let is_guess = spec.warning.is_some();
    Ok(Ranking { trials, is_labelled, is_layout_open, is_guess, notes }.sorted())
}

/// Whether the graph's shape allows channels in both places.
fn is_layout_open(loading: &Loading) -> Result<bool, Failure> {
    let graph = graph::read(&loading.model.path()).map_err(bad_input)?;
    let shape = graph.inputs.first().and_then(|input| input.shape.as_deref());
    Ok(matches!(shape, Some(&[_, second, _, fourth]) if second == fourth))
}

impl Search<'_> {
    /// Tries candidates that were not tried before.
    fn attempt(&mut self, candidates: Vec<Candidate>) -> Result<(), Failure> {
        let is_new = |new: &Candidate| !self.trials.iter().any(|trial| trial.candidate.is_like(new));
        let candidates: Vec<Candidate> = candidates.into_iter().filter(is_new).collect();
        let steps: Vec<Preprocessing> = candidates.iter().map(|candidate| candidate.steps.clone()).collect();
        let mut refused = None;
        let results = trial::run_all(self.loading, &steps, &self.pictures.all);
        for (candidate, result) in candidates.into_iter().zip(results) {
            match result {
                Ok(answers) => {
                    let score = self.score(&[&answers]);
                    self.trials.push(Trial { candidate, answers, score, is_finalist: false });
                }
                Err(failure) => {
                    self.notes.push(format!("not tried: {}: {}", candidate.name(true), failure.message()));
                    refused = Some(failure);
                }
            }
        }
        match refused {
            Some(failure) if self.trials.is_empty() => Err(failure),
            _ => Ok(()),
        }
    }

    fn score(&self, views: &[&Answers]) -> Score {
        let spec = &self.loading.model.spec;
        match views.first() {
            Some(answers) if self.pictures.is_labelled => Score::labelled(answers, &self.truth()),
            _ => Score::unlabelled(views, spec.labels.len(), spec.multi_label),
        }
    }

    fn truth(&self) -> Vec<&[u32]> {
        self.pictures.all.iter().map(|picture| picture.truth.as_slice()).collect()
    }

    /// Removes the pictures that have no tags in any trial, because they decide nothing.
    ///
    /// # Errors
    /// If fewer than two are left.
    fn leave_out_failures(&mut self) -> Result<(), Failure> {
        let mut is_kept = Vec::with_capacity(self.pictures.all.len());
        let mut reasons = Vec::new();
        for (number, picture) in self.pictures.all.iter().enumerate() {
            let answers = || self.trials.iter().filter_map(|trial| trial.answers.get(number));
            let failure = answers().next().and_then(|answer| answer.as_ref().err());
            let failure = failure.filter(|_| answers().all(Result::is_err));
            is_kept.push(failure.is_none());
            reasons.extend(failure.map(|why| format!("{} cannot be tagged: {why}", picture.key)));
        }
        let tagged = is_kept.iter().filter(|is_kept| **is_kept).count();
        if tagged < 2 {
            let why = reasons.first().map_or("", |reason| reason.as_str());
            return Err(bad_input(format!(
                "{tagged} of the pictures can be tagged, 2 are needed at least: {why}"
            )));
        }
        self.note_failures(reasons);
        self.keep(&is_kept);
        Ok(())
    }

    fn note_failures(&mut self, reasons: Vec<String>) {
        let (number, all) = (reasons.len(), self.pictures.all.len());
        if number > 0 {
            self.notes.extend(reasons.into_iter().take(MOST_NAMED));
            self.notes
                .push(format!("{number} of {all} pictures cannot be tagged: left out of the counts below"));
        }
    }

    fn keep(&mut self, is_kept: &[bool]) {
        self.pictures.keep(is_kept);
        for number in 0..self.trials.len() {
            let mut flags = is_kept.iter();
            self.trials[number].answers.retain(|_| flags.next().copied().unwrap_or(true));
            self.trials[number].score = self.score(&[&self.trials[number].answers]);
        }
    }

    /// # Errors
    /// If tags are not probabilities and there are no labels.
    fn check_scores(&self) -> Result<(), Failure> {
        let tags = self.trials.iter().flat_map(|trial| trial.answers.iter().flatten().flatten());
        let is_raw = tags.into_iter().any(|tag| !(-1e-3..=1.001).contains(&tag.score));
        if is_raw && !self.pictures.is_labelled {
            return Err(bad_input(
                "the scores are not probabilities, so they decide nothing without labels: state activation in tagfleet.toml, or sort the pictures into folders named after labels",
            ));
        }
        Ok(())
    }

    /// Positions of the trials, the best first.
    fn ranked(&self) -> Vec<&Trial> {
        let mut ranked: Vec<&Trial> = self.trials.iter().collect();
        ranked.sort_by(|a, b| compare(a, b));
        ranked
    }

    /// The best trial of each channel order and range, the best first.
    fn best_samples(&self, count: usize) -> Vec<&Trial> {
        let mut best: Vec<&Trial> = Vec::new();
        for trial in self.ranked() {
            if !best.iter().any(|better| better.candidate.has_samples_of(&trial.candidate)) {
                best.push(trial);
            }
        }
        best.truncate(count);
        best
    }

    /// What is close to the best channel order and range.
    fn close_samples(&self, spec: &ModelSpec) -> Vec<Candidate> {
        let best = self.ranked().into_iter().next();
        best.map_or_else(Vec::new, |best| candidates::close_samples(spec, &best.candidate))
    }

    /// What is close to the usual geometries, with the best channel order and range.
    fn close_geometries(&self, spec: &ModelSpec) -> Vec<Candidate> {
        let mut found = Vec::new();
        for trial in self.ranked().into_iter().take(1) {
            for close in geometry::close(spec.preprocessing.input) {
                add(&mut found, trial.candidate.with_geometry(close.geometry).closely());
            }
        }
        found
    }

    /// Every usual geometry, and the one of the folder, with the best channel orders and ranges.
    fn geometries(&self, spec: &ModelSpec) -> Vec<Candidate> {
        let usual = geometry::usual(spec.preprocessing.input).into_iter().map(|usual| usual.geometry);
        let present = Candidate::present(spec).geometry();
        let geometries: Vec<Geometry> = usual.chain([present]).collect();
        let mut found = Vec::new();
        for trial in self.best_samples(BEST_SAMPLES) {
            for geometry in &geometries {
                add(&mut found, trial.candidate.with_geometry(*geometry));
            }
        }
        found
    }

    /// Every filter with the best geometries.
    fn filters(&self, spec: &ModelSpec) -> Vec<Candidate> {
        let mut found = Vec::new();
        for trial in self.ranked().into_iter().take(BEST_GEOMETRIES) {
            for filter in candidates::filters(spec) {
                add(&mut found, trial.candidate.with_filter(filter));
            }
        }
        found
    }

    /// Looks at the best candidates in other views; one that cannot be tried again keeps its rank behind
    /// them.
    fn finals(&mut self) {
        let finalists = self.finalists();
        let mut steps = Vec::new();
        for number in &finalists {
            for view in VIEWS {
                steps.push(Preprocessing { view, ..self.trials[*number].candidate.steps.clone() });
            }
        }
        let mut results = trial::run_all(self.loading, &steps, &self.pictures.all).into_iter();
        for number in finalists {
            let views: Vec<Answers> = results.by_ref().take(VIEWS.len()).filter_map(Result::ok).collect();
            if views.len() == VIEWS.len() {
                let all: Vec<&Answers> =
                    std::iter::once(&self.trials[number].answers).chain(&views).collect();
                let score = self.score(&all);
                self.trials[number].score = score;
                self.trials[number].is_finalist = true;
            }
        }
    }

    fn finalists(&self) -> Vec<usize> {
        let best = self.best_samples(BEST_SAMPLES);
        let mut chosen: Vec<usize> = Vec::new();
        for trial in best.into_iter().chain(self.ranked()) {
            let number = self.trials.iter().position(|other| std::ptr::eq(other, trial));
            chosen.extend(number.filter(|number| !chosen.contains(number)));
        }
        chosen.truncate(FINALISTS);
        let present = self.trials.iter().position(|trial| trial.candidate.is_present);
        chosen.extend(present.filter(|number| !chosen.contains(number)));
        chosen
    }
}

/// Small JPEGs of the pictures, for the page.
pub(super) fn thumbnails(
    loading: &Loading,
    best: &Candidate,
    pictures: &[Picture],
) -> Result<Vec<Option<Vec<u8>>>, Failure> {
    trial::thumbnails(loading, &best.steps, pictures)
}
