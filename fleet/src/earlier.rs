//! The earlier run that a request continues: found when the run is planned, then fixed with the run.
//!
//! The pipeline finds and compares runs; here are a request's words for it. It reads no row.

use super::{FleetError, FleetRun};
use crate::address::Address;
use tagfleet_pipeline::bucket::KeyRange;
use tagfleet_pipeline::earlier::{EarlierChoice, EarlierRun, Search, SearchFor};
use tagfleet_pipeline::run::{RunRequest, Since};

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
    let bucket = |location: &str| Address::parse(location).ok().map(|address| address.bucket);
    let own = Some(fleet.valid.source.clone());
    let differs = |earlier: &RunRequest| {
        if bucket(&earlier.input.location) == own {
            request.differs_from(earlier)
        } else {
            Some(format!("its input is {}, now {}", earlier.input.location, request.input.location))
        }
    };
    let search = SearchFor { output: fleet.output.as_ref(), keys: &fleet.keys, differs: &differs };
    let (field, output) = (continued.field(), &fleet.valid.output);
    let why = match search.find(&continued.choice).await? {
        Search::Found(run) => return Ok(Some(Since { run, only_failed: continued.only_failed })),
        Search::None if !continued.only_failed => return Ok(None),
        Search::None => format!("{output} has no complete run: start one without {field}"),
        Search::NotComplete(run) => {
            format!("{output} has no complete run {run}: name another, or \"latest\"")
        }
        Search::Differs(run, how) => {
            format!("rows of run {run} cannot be kept: {how}; start a run without {field} once")
        }
    };
    Err(FleetError::Unusable(format!("{field}: {why}")))
}

/// The ranges of a run that has the inputs of `earlier`.
///
/// # Errors
/// If its results cannot be read.
pub(super) async fn ranges(earlier: &EarlierRun) -> Result<Vec<KeyRange>, FleetError> {
    Ok(earlier.open().await?.ranges(MAX_RANGES))
}
