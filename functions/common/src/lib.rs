//! What both functions are made of: errors as the state machine knows them, the record and the line of every
//! call, the deadline, the environment.
//!
//! It knows nothing of what a function does.

pub mod call;
pub mod deadline;
pub mod environment;
pub mod error;

pub use error::CallError;
