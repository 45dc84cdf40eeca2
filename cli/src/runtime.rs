//! The runtime of commands that only wait for requests: one thread is enough.
//!
//! `run` has a runtime of its own, because its workers tag on other threads.

use tokio::runtime::Builder;

use crate::exit::{Failure, broken};

/// Waits for `work`.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(broken)?.block_on(work)
}
