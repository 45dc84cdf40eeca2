//! The id of a run that begins now.

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tagfleet_pipeline::run::RunId;

use crate::exit::{Failure, broken};

/// Time first, so that runs sort by their beginning; a hash behind it, so that two of one second differ.
pub(crate) fn begin(request: &impl Serialize) -> Result<RunId, Failure> {
    let now = Timestamp::now();
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(request).map_err(broken)?);
    hash.update(now.as_nanosecond().to_le_bytes());
    hash.update(std::process::id().to_le_bytes());
    let short: String = hash.finalize().iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    RunId::try_from(format!("{}-{short}", now.strftime("%Y%m%d-%H%M%S"))).map_err(broken)
}
