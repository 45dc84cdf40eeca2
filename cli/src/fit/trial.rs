//! Tags pictures with each candidate, in a child process per candidate, several at once.
//!
//! Nothing is judged here.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use tagfleet_model::folder::Model;
use tagfleet_model::preprocessing::Preprocessing;
use tagfleet_pipeline::tagger::Wanted;
use tagfleet_pipeline::tags::{Outcome, Tag};

use super::pictures::Picture;
use crate::exit::{Failure, broken};
use crate::loading::Loading;

/// More processes need more memory and are rarely faster.
const MOST_PROCESSES: usize = 4;

/// The tags of a picture, the best first, or why there are none.
pub(super) type Answer = Result<Vec<Tag>, String>;

/// The answers to all pictures, in their order.
pub(super) type Answers = Vec<Answer>;

/// Tries each of `candidates`; the results are in their order.
pub(super) fn run_all(
    loading: &Loading,
    candidates: &[Preprocessing],
    pictures: &[Picture],
) -> Vec<Result<Answers, Failure>> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(candidates.len())));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(steps) = candidates.get(number) else { return };
            let result = run(loading, steps, pictures);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
        }
    };
    let processes = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_PROCESSES);
    thread::scope(|scope| {
        for _ in 0..processes.min(candidates.len()) {
            scope.spawn(work);
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

fn run(loading: &Loading, steps: &Preprocessing, pictures: &[Picture]) -> Result<Answers, Failure> {
    Ok(tag(loading, steps, pictures, Wanted::Never)?.into_iter().map(|seen| seen.answer).collect())
}

/// Small JPEGs of the pictures.
pub(super) fn thumbnails(
    loading: &Loading,
    steps: &Preprocessing,
    pictures: &[Picture],
) -> Result<Vec<Option<Vec<u8>>>, Failure> {
    Ok(tag(loading, steps, pictures, Wanted::Always)?.into_iter().map(|seen| seen.thumbnail).collect())
}

struct TriedPicture {
    answer: Answer,
    thumbnail: Option<Vec<u8>>,
}

fn tag(
    loading: &Loading,
    steps: &Preprocessing,
    pictures: &[Picture],
    wanted: Wanted,
) -> Result<Vec<TriedPicture>, Failure> {
    let mut model = Model { root: loading.model.root.clone(), spec: loading.model.spec.clone() };
    model.spec.preprocessing = steps.clone();
    let isolation = loading.isolate_model(model, &loading.engine.record, 1)?;
    let mut taggers = isolation.taggers();
    let tagger = taggers.first_mut().ok_or_else(|| broken("no tagger was made"))?;
    let mut all = Vec::with_capacity(pictures.len());
    for chunk in pictures.chunks(tagger.batch_size()) {
        let bytes: Vec<&[u8]> = chunk.iter().map(|picture| picture.bytes.as_slice()).collect();
        let seen = tagger.tag_with_thumbnails(&bytes, &vec![wanted; bytes.len()]).map_err(broken)?;
        for seen in seen {
            let answer = match seen.outcome {
                Outcome::Tagged(tagged) => Ok(tagged.tags),
                Outcome::Failed(failure) => Err(failure.to_string()),
            };
            all.push(TriedPicture { answer, thumbnail: seen.thumbnail });
        }
    }
    Ok(all)
}
