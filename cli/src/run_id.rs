//! The ID of a run that starts now, when a run started by its ID, and the clock that both use.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tagfleet_pipeline::format::hex;
use tagfleet_pipeline::run::RunId;

use crate::exit::{Failure, broken};

/// The form of the time in an id, UTC.
const TIME: &str = "%Y%m%d-%H%M%S";

/// A 256th of a second.
const NANOSECONDS_OF_A_FRACTION: i32 = 1_000_000_000 / 256;

/// The ID of a run that starts now. It starts with the time, to the 256th of a second, so that runs sort by
/// their start: a run continues the latest one. A hash follows, so that two runs of one moment differ.
pub(crate) fn new_run_id(request: &impl Serialize) -> Result<RunId, Failure> {
    let now = Timestamp::now();
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(request).map_err(broken)?);
    hash.update(now.as_nanosecond().to_le_bytes());
    hash.update(std::process::id().to_le_bytes());
    let fraction = now.subsec_nanosecond() / NANOSECONDS_OF_A_FRACTION;
    let short = hex(&hash.finalize()[..2]);
    RunId::try_from(format!("{}-{fraction:02x}{short}", now.strftime(TIME))).map_err(broken)
}

/// Seconds since 1970, UTC.
pub(crate) fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

/// When the run of this id started, in seconds since 1970, UTC; `None` if another tool named it.
pub(crate) fn started_at(run: &RunId) -> Option<u64> {
    let time = TimeZone::UTC.to_timestamp(DateTime::strptime(TIME, run.started()?).ok()?).ok()?;
    u64::try_from(time.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_second_sort_by_their_start() {
        let mut last = new_run_id(&"a request").unwrap();
        for _ in 0..20 {
            // Ids of one fraction differ in their hash only.
            let next = loop {
                let next = new_run_id(&"a request").unwrap();
                if next.as_str()[..18] != last.as_str()[..18] {
                    break next;
                }
            };
            assert!(next > last, "{next} is after {last}");
            last = next;
        }
    }

    #[test]
    fn an_id_shows_when_its_run_started() {
        let run = |text: &str| RunId::try_from(text.to_owned()).unwrap();
        assert_eq!(started_at(&run("20261123-170000-0a1b2c")), Some(1_795_453_200));
        assert_eq!(started_at(&run("nightly-20261123-170000-0a1b2c3d4e5f")), Some(1_795_453_200));
        assert_eq!(started_at(&run("nightly-0a1b2c3d4e5f")), None);
        assert!(started_at(&new_run_id(&"a request").unwrap()).unwrap().abs_diff(now()) < 60);
    }
}
