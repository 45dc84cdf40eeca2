//! What `run` prints besides its result: before the wait, and about troubles at its end.
//!
//! Words for people on the terminal. It decides nothing.

use tagfleet_pipeline::infer::Worker;
use tagfleet_pipeline::run::{RunId, Since};

use crate::exit::tell;
use crate::inputs::Inputs;
use crate::loading::Loading;

/// What the user should know before the wait: which engine and why, every assumption, and the engine's notes
/// when the model was loaded.
pub(super) fn before(loading: &Loading, inputs: &Inputs, loaded: &[&String]) {
    tell(&format!("engine: {}", loading.engine.why));
    for note in inputs.notes.iter().chain(&loading.model.spec.notes).chain(loaded.iter().copied()) {
        tell(&format!("note: {note}"));
    }
}

/// Which run starts or is resumed, and which one it continues.
pub(super) fn run(run: &RunId, is_new: bool, since: Option<&Since>) {
    if is_new {
        tell(&format!("run {run}"));
    } else {
        tell(&format!(
            "resuming run {run}: finished work is kept; files added since it started are not included (--new starts \
             another run)"
        ));
    }
    let Some(since) = since else { return };
    let what = if since.only_failed { "tags the failed images of" } else { "keeps unchanged rows of" };
    tell(&format!("it {what} run {}", since.run));
}

/// What went wrong and changes no row.
pub(super) fn troubles(worker: &Worker) {
    for (trouble, times) in worker.progress.troubles() {
        let again = if times.count > 1 { format!(" ({} times)", times.count) } else { String::new() };
        tell(&format!("note: {trouble}{again}: {}", times.last));
    }
}
