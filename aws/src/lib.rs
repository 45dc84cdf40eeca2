//! The pipeline's ports over AWS: S3 behind the bucket, SQS behind the queue; and the other AWS services of a
//! fleet.
//!
//! The only crate that names an AWS SDK. It keeps the ports' contracts and adds no rule of its own: the
//! pipeline decides what a stage does. It never logs a credential and never decides about a run.

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
