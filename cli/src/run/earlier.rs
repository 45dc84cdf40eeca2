//! Which earlier run `--since` or `--retry` continues.
//!
//! The pipeline finds and compares runs; here are the words for what it found. It reads no row.

use tagfleet_fleet::address::Address;
use tagfleet_pipeline::earlier::{EarlierChoice, EarlierRun, Search, SearchFor};
use tagfleet_pipeline::run::{Input, RunRequest, Since};
use tagfleet_pipeline::split::Source;

use crate::args::RunOptions;
use crate::exit::{Failure, bad_input, tell};
use crate::inputs::Inputs;
use crate::run_id::begin;

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
    let keys = out.keys(&begin(request)?);
    let differs = |earlier: &RunRequest| {
        other_place(&earlier.input, &request.input).or_else(|| request.differs_from(earlier))
    };
    let search = SearchFor { output: out.bucket.as_ref(), keys: &keys, differs: &differs };
    match search.find(choice).await.map_err(bad_input)? {
        Search::Found(run) => Ok(Some(Since { run, only_failed })),
        Search::Differs(run, how) => Err(bad_input(format!(
            "{flag}: rows of run {run} cannot be kept: {how}: run once without {flag}"
        ))),
        Search::NotComplete(run) => Err(bad_input(format!(
            "{flag}: {} has no complete run {run}: name another, or `latest`",
            out.name()
        ))),
        Search::None if only_failed => {
            Err(bad_input(format!("{flag}: {} has no complete run: run once without {flag}", out.name())))
        }
        Search::None => {
            if !options.quiet {
                tell(&format!("note: {} has no complete run yet: all images are tagged", out.name()));
            }
            Ok(None)
        }
    }
}

/// Why the keys of two runs cannot be compared, if they cannot.
pub(crate) fn other_place(earlier: &Input, now: &Input) -> Option<String> {
    let (then, now) = (&earlier.location, &now.location);
    (!is_same_place(then, now)).then(|| format!("its input is {then}, now {now}"))
}

/// Keys of a bucket are whole; those of a folder are relative to it.
fn is_same_place(earlier: &str, now: &str) -> bool {
    let bucket =
        |location: &str| Some(Address::parse(location).ok().filter(|_| Address::is_meant(location))?.bucket);
    match (bucket(earlier), bucket(now)) {
        (None, None) => earlier == now,
        (earlier, now) => earlier == now,
    }
}

/// The inputs that a run with this request would compare with the earlier one.
pub(super) fn source(request: &RunRequest, inputs: &Inputs, out: &Out) -> Result<Source, Failure> {
    let run = begin(request)?;
    let earlier = EarlierRun::new(request, &out.bucket, (&run, &out.keys(&run)));
    Ok(inputs.source.clone().since(earlier))
}

/// Whether the options name an earlier run.
pub(super) fn is_wanted(options: &RunOptions) -> bool {
    let is_choice = |choice: &Option<EarlierChoice>| choice.is_some();
    is_choice(&options.since) || is_choice(&options.retry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_one_bucket_are_one_place() {
        assert!(is_same_place("s3://shop/photos/", "s3://shop/"));
        assert!(!is_same_place("s3://shop/photos/", "s3://other/photos/"));
        assert!(!is_same_place("s3://shop/", "/photos"));
        assert!(is_same_place("/photos", "/photos"));
        assert!(!is_same_place("/photos", "/photos/a"));
    }
}
