//! Which earlier run `--since` or `--retry` continues.
//!
//! The pipeline finds and compares runs; this module explains the result. It reads no row.

use tagfleet_fleet::earlier::other_place;
use tagfleet_pipeline::earlier::{EarlierRun, Search, SearchFor};
use tagfleet_pipeline::run::{RunRequest, Since};
use tagfleet_pipeline::split::Source;

use crate::args::RunOptions;
use crate::exit::{Failure, bad_input, tell};
use crate::inputs::Inputs;
use crate::run_id::new_run_id;

use super::out::Out;

/// The run that a new one with this request continues, if the options ask for one and there is one.
pub(super) async fn since(
    options: &RunOptions,
    request: &RunRequest,
    out: &Out,
) -> Result<Option<Since>, Failure> {
    let (flag, choice, only_failed) = match (&options.since, &options.retry) {
        (Some(choice), _) => ("--since", choice, false),
        (None, Some(choice)) => ("--retry", choice, true),
        (None, None) => return Ok(None),
    };
    let keys = out.keys(&new_run_id(request)?);
    let differs = |earlier: &RunRequest| {
        other_place(&earlier.input, &request.input).or_else(|| request.differs_from(earlier))
    };
    let search = SearchFor { output: out.bucket.as_ref(), keys: &keys, differs: &differs };
    let found = search.find(choice).await.map_err(bad_input)?;
    let remedy = match &found {
        Search::Found(run) => return Ok(Some(Since { run: run.clone(), only_failed })),
        Search::None if !only_failed => {
            if !options.quiet {
                tell(&format!("note: {} has no complete run yet: all images are tagged", out.name()));
            }
            return Ok(None);
        }
        Search::NotComplete(_) => "name another, or `latest`".to_owned(),
        Search::Differs(..) | Search::None => format!("run once without {flag}"),
    };
    let why = found.problem(&out.name()).unwrap_or_default();
    Err(bad_input(format!("{flag}: {why}: {remedy}")))
}

/// The inputs that a run with this request would compare with the earlier one.
pub(super) fn source(request: &RunRequest, inputs: &Inputs, out: &Out) -> Result<Source, Failure> {
    let run = new_run_id(request)?;
    let earlier = EarlierRun::new(request, &out.bucket, &run, &out.keys(&run));
    Ok(inputs.source.clone().since(earlier))
}

/// Whether the options name an earlier run.
pub(super) fn is_wanted(options: &RunOptions) -> bool {
    options.since.is_some() || options.retry.is_some()
}
