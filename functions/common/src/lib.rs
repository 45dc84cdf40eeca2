//! The code that both Lambda functions share: errors, usage records, the deadline and the environment.
//!
//! ```text
//! payload ──► function ── call: run a step, store its usage, log one line ──► result, or an error by name
//!                          deadline: stop at the next page before Lambda ends the call
//! ```
//!
//! An error has the name that the state machine matches:
//!
//! ```text
//! {"errorType": "BadRequest",
//!  "errorMessage": "the request is wrong: workers: give 1 to 10000, or leave it out"}
//! ```
//!
//! Why a crate? Nothing else may depend on `lambda_runtime`. It does not know any step.

pub mod call;
pub mod deadline;
pub mod environment;
pub mod error;

pub use error::CallError;
