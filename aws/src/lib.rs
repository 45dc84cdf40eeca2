//! The ports of the pipeline over AWS: S3 as the bucket, SQS as the queue; and the other services of a fleet.
//!
//! ```text
//! client ── log-in, regions, retries ──┬── s3: Bucket          executions: Step Functions
//!                                      ├── sqs, queues: Queue   batch, machine: jobs and their hosts
//!                                      └── signed: requests without an SDK (mail, prices, quotas)
//! ```
//!
//! A stage receives an [`S3Bucket`] or an [`SqsQueue`] as a port and does not know AWS:
//!
//! ```text
//! let bucket: Arc<dyn Bucket> = Arc::new(S3Bucket::new(&aws, "shop"));
//! ```
//!
//! Why not the `object_store` crate? A run needs requests that are counted one by one, conditional writes of
//! several parts, and errors that distinguish a denied image from a denied bucket. Why own requests for some
//! services? Each SDK crate costs minutes of compilation, and a signed request is a page of code.
//!
//! The only crate that names an AWS SDK. It keeps the ports' contracts and adds no rule of its own: the
//! pipeline decides what a stage does. It never logs a credential.

pub mod batch;
mod cause;
pub mod client;
pub mod console;
pub mod error;
pub mod executions;
pub mod machine;
pub mod mail;
mod meter;
pub mod prices;
pub mod queues;
pub mod s3;
pub mod signed;
mod sqs;
mod stacks;
mod transport;
pub mod web;
pub mod xml;

pub use client::Aws;
pub use error::ServiceError;
pub use s3::S3Bucket;
pub use sqs::SqsQueue;
