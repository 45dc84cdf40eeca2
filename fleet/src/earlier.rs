//! The earlier run that a request continues: found when the run is planned, then fixed with the run.
//!
//! The pipeline finds and compares runs; here are a request's words for it. It reads no row.

use super::{FleetError, FleetRun};
use crate::address::Address;
use tagfleet_pipeline::bucket::KeyRange;
use tagfleet_pipeline::earlier::{EarlierChoice, EarlierRun, Search, SearchFor};
use tagfleet_pipeline::run::{Input, RunRequest, Since};

/// Ranges of a run that only tags failed images again.
const MAX_RANGES: usize = 128;

/// Which earlier run a request continues, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continued {
    /// The run, or the latest that fits.
    pub choice: EarlierChoice,
    /// Whether only its failed images are tagged again.
    pub only_failed: bool,
}

impl Continued {
    /// The field of the request that asks for it.
    fn field(&self) -> &'static str {
        if self.only_failed { "retry" } else { "since" }
    }
}

/// The run that a run with this request continues; `None` if it asks for none, or for the latest and there is
/// none yet.
///
/// # Errors
/// If the run that is asked for cannot be continued.
pub(super) async fn find(fleet: &FleetRun, request: &RunRequest) -> Result<Option<Since>, FleetError> {
    let Some(continued) = &fleet.valid.continued else { return Ok(None) };
    let differs = |earlier: &RunRequest| {
        other_place(&earlier.input, &request.input).or_else(|| request.differs_from(earlier))
    };
    let search = SearchFor { output: fleet.output.as_ref(), keys: &fleet.keys, differs: &differs };
    let (field, output) = (continued.field(), &fleet.valid.output);
    let found = search.find(&continued.choice).await?;
    let remedy = match &found {
        Search::Found(run) => {
            return Ok(Some(Since { run: run.clone(), only_failed: continued.only_failed }));
        }
        Search::None if !continued.only_failed => return Ok(None),
        Search::None => format!(": start one without {field}"),
        Search::NotComplete(_) => ": name another, or \"latest\"".to_owned(),
        Search::Differs(..) => format!("; start a run without {field} once"),
    };
    let why = found.problem(&output.to_string()).unwrap_or_default();
    Err(FleetError::Unusable(format!("{field}: {why}{remedy}")))
}

/// Why the keys of two runs cannot be compared, if they cannot.
#[must_use]
pub fn other_place(earlier: &Input, now: &Input) -> Option<String> {
    let (then, now) = (&earlier.location, &now.location);
    (!is_same_place(then, now)).then(|| format!("its input is {then}, now {now}"))
}

/// Keys of a bucket are whole; those of a folder are relative to it.
fn is_same_place(earlier: &str, now: &str) -> bool {
    let bucket =
        |location: &str| Some(Address::parse(location).ok().filter(|_| Address::is_meant(location))?.bucket);
    match (bucket(earlier), bucket(now)) {
        (None, None) => earlier == now,
        buckets => buckets.0 == buckets.1,
    }
}

/// The ranges of a run that has the inputs of `earlier`.
///
/// # Errors
/// If its results cannot be read.
pub(super) async fn ranges(earlier: &EarlierRun) -> Result<Vec<KeyRange>, FleetError> {
    Ok(earlier.open().await?.ranges(MAX_RANGES))
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
