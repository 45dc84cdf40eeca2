//! Which layout and form a list of keys has: the one whose keys exist.
//!
//! A key may hold a comma, a `%20` or anything else, so nothing is decided by how the list looks. A sample of
//! its keys is looked up. If none exists, or only different forms explain it, the list is refused before
//! anything runs.

use std::collections::{HashMap, HashSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use tagfleet_pipeline::bucket::{Bucket, Kind};
use tagfleet_pipeline::format::visible;

use super::forms::{Form, Root};
use super::layout::{self, Layout};
use crate::exit::{Failure, bad_input};

/// The first entries, of which at least one has to exist.
const FIRST: usize = 100;
/// Entries with `%`, and with `+`, that are looked at among the first [`SCANNED`].
const ENCODED: usize = 20;
const SCANNED: usize = 1_000_000;
/// A longer entry is not a key of any input, which the whole list's reader reports.
const MAX_SAMPLED_BYTES: usize = 4 << 10;
/// Questions at once.
const AT_ONCE: usize = 16;
/// Characters of an entry that an error shows.
const SHOWN: usize = 200;

/// Layout and form of a list.
pub(super) struct Choice {
    pub(super) layout: Layout,
    pub(super) form: Form,
}

impl Choice {
    /// How the list was read; `None` if its lines are keys.
    pub(super) fn in_words(&self) -> Option<String> {
        let words: Vec<String> = self.layout.in_words().into_iter().chain(self.form.in_words()).collect();
        (!words.is_empty()).then(|| format!("read as {}", words.join(", ")))
    }
}

struct Candidate {
    choice: Choice,
    /// Which of the layouts it has.
    layout: usize,
    sample: Vec<SampleEntry>,
}

#[derive(Clone)]
struct SampleEntry {
    line: u64,
    text: Vec<u8>,
    /// `None` until a form is chosen, or if the entry cannot be a key.
    key: Option<String>,
}

impl SampleEntry {
    /// The same with the key that it means in `form`.
    fn in_form(&self, root: &Root, form: Form) -> Self {
        let key = if self.text.len() <= MAX_SAMPLED_BYTES { root.key(&self.text, form) } else { None };
        Self { key, ..self.clone() }
    }
}

/// Which keys exist, as far as the bucket was asked.
#[derive(Default)]
struct KnownKeys(HashMap<String, Exists>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Exists {
    Yes,
    No,
    /// Access is denied.
    Unknown,
}

/// How well a candidate explains the sample; the greatest is the best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    found: usize,
    unknown: usize,
    not_absent: i64,
}

/// Layout and form of a list; none if it has no entries. `place` is how people know the input.
pub(super) async fn choose(
    bytes: &[u8],
    root: &Root,
    bucket: &dyn Bucket,
    place: &str,
) -> Result<Option<Choice>, Failure> {
    let mut candidates = candidates(bytes, root);
    let mut known = KnownKeys::default();
    let mut best: Option<(Score, usize)> = None;
    for (at, candidate) in candidates.iter().enumerate() {
        known.ask(bucket, candidate).await?;
        let score = known.score(candidate);
        if best.is_none_or(|(best, _)| score > best) {
            best = Some((score, at));
        }
        if score.found == candidate.sample.len() {
            break;
        }
    }
    let Some((score, at)) = best else { return Ok(None) };
    if score.found == 0 && score.unknown == 0 {
        return Err(bad_input(refused(&candidates[0], root, place)));
    }
    if let Some(mixed) = known.mixed(&candidates, at) {
        return Err(bad_input(mixed));
    }
    let candidate = candidates.swap_remove(at);
    let header = known.header(&candidate);
    let Choice { layout, form } = candidate.choice;
    Ok(Some(match (layout, header) {
        (Layout::Table(table), Some(name)) => Choice { layout: Layout::Table(table.with_header(name)), form },
        (layout, _) => Choice { layout, form },
    }))
}

/// Every way to read the list that gives other keys.
fn candidates(bytes: &[u8], root: &Root) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut seen = HashSet::new();
    for (number, layout) in layout::layouts(bytes).into_iter().enumerate() {
        let sample = sample(&layout, bytes);
        for form in Form::all() {
            let sample: Vec<SampleEntry> = sample.iter().map(|entry| entry.in_form(root, form)).collect();
            let keys: Vec<Option<String>> = sample.iter().map(|entry| entry.key.clone()).collect();
            if !sample.is_empty() && seen.insert(keys) {
                let choice = Choice { layout: layout.clone(), form };
                candidates.push(Candidate { choice, layout: number, sample });
            }
        }
    }
    candidates
}

/// The first entries, and a few that an encoding would change.
fn sample(layout: &Layout, bytes: &[u8]) -> Vec<SampleEntry> {
    let (mut percent, mut plus) = (0, 0);
    let mut sample = Vec::new();
    for (number, entry) in layout.entries(bytes).take(SCANNED).enumerate() {
        let is_one_of = |byte: u8, taken: &mut usize| {
            let is = *taken < ENCODED && entry.text.contains(&byte);
            *taken += usize::from(is);
            is
        };
        let is_encoded = number >= FIRST && (is_one_of(b'%', &mut percent) || is_one_of(b'+', &mut plus));
        if number < FIRST || is_encoded {
            let end = entry.text.len().min(MAX_SAMPLED_BYTES + 1);
            sample.push(SampleEntry { line: entry.line, text: entry.text[..end].to_owned(), key: None });
        }
    }
    sample
}

impl KnownKeys {
    async fn ask(&mut self, bucket: &dyn Bucket, candidate: &Candidate) -> Result<(), Failure> {
        let keys = candidate.sample.iter().filter_map(|entry| entry.key.clone());
        let new: HashSet<String> = keys.filter(|key| !self.0.contains_key(key)).collect();
        let questions = stream::iter(new).map(|key| async move {
            let exists = match bucket.exists(&key).await {
                Ok(true) => Exists::Yes,
                Ok(false) => Exists::No,
                Err(error) if error.kind == Kind::Denied => Exists::Unknown,
                // No input has a key like this.
                Err(error) if error.kind == Kind::Other => Exists::No,
                Err(error) => return Err(bad_input(error)),
            };
            Ok((key, exists))
        });
        let answers: Vec<(String, Exists)> = questions.buffer_unordered(AT_ONCE).try_collect().await?;
        self.0.extend(answers);
        Ok(())
    }

    fn of(&self, entry: &SampleEntry) -> Exists {
        entry.key.as_ref().and_then(|key| self.0.get(key)).copied().unwrap_or(Exists::No)
    }

    fn score(&self, candidate: &Candidate) -> Score {
        let count = |wanted| candidate.sample.iter().filter(|entry| self.of(entry) == wanted).count();
        let absent = i64::try_from(count(Exists::No)).unwrap_or(i64::MAX);
        Score { found: count(Exists::Yes), unknown: count(Exists::Unknown), not_absent: -absent }
    }

    /// Why the list cannot be of one form: an entry exists only in another form than the best one.
    fn mixed(&self, candidates: &[Candidate], best: usize) -> Option<String> {
        let best = &candidates[best];
        let fits = best.sample.iter().find(|entry| self.of(entry) == Exists::Yes)?;
        for other in candidates.iter().filter(|other| other.layout == best.layout) {
            for (here, there) in best.sample.iter().zip(&other.sample) {
                if self.of(here) == Exists::No && self.of(there) == Exists::Yes {
                    return Some(format!(
                        "line {} ({}) and line {} ({}) exist only if they are read in different forms ({} and {}): \
                         write all lines in one form",
                        fits.line,
                        shown(&fits.text),
                        there.line,
                        shown(&there.text),
                        words(best.choice.form),
                        words(other.choice.form),
                    ));
                }
            }
        }
        None
    }

    /// The first cell of a table without a known header, if it is a word among names of files: it heads the
    /// column.
    fn header(&self, candidate: &Candidate) -> Option<String> {
        let first = candidate.sample.first()?;
        let is_word = !first.text.contains(&b'.') && !first.text.contains(&b'/');
        (is_word && self.of(first) == Exists::No).then(|| String::from_utf8_lossy(&first.text).into_owned())
    }
}

fn words(form: Form) -> String {
    form.in_words().unwrap_or_else(|| "as they are written".to_owned())
}

fn refused(candidate: &Candidate, root: &Root, place: &str) -> String {
    let entries = match candidate.sample.len() {
        1 => "its only entry is not a key".to_owned(),
        few if few < FIRST => format!("none of its {few} entries is a key"),
        _ => format!("none of its first {FIRST} entries is a key"),
    };
    let Some(first) = candidate.sample.first() else { return entries };
    format!(
        "{entries} of {place}: line {} is {}, which {}: give keys, paths or addresses of this input, one per line or in a \
         column of a CSV file",
        first.line,
        shown(&first.text),
        root.why_not(&first.text),
    )
}

/// An entry as an error shows it.
fn shown(text: &[u8]) -> String {
    let text = visible(&String::from_utf8_lossy(text));
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    format!("\"{short}\"")
}

#[cfg(test)]
mod tests;
