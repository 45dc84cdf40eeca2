//! The pipeline's ports over AWS: S3 behind the bucket, SQS behind the queue.
//!
//! The only crate that names an AWS SDK. It keeps the ports' contracts and adds no rule of its own: what a stage does
//! stands in the pipeline. It never logs a credential and never decides about a run.

mod cause;
pub mod client;
mod s3;
mod sqs;

pub use client::Aws;
pub use s3::S3Bucket;
pub use sqs::SqsQueue;
