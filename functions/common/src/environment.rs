//! What the template tells a function, and the clients that it works with.

use std::env;
use std::sync::Arc;

use tagfleet_aws::client::Options;
use tagfleet_aws::{Aws, S3Bucket};
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_pipeline::fleet::{OpenBucket, Stack};

/// A variable that the template always sets.
///
/// # Errors
/// Where it is not set: the function can do nothing then.
pub fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("the function's environment: {name}: {error}"))
}

/// A variable that the template always sets to a number of at least 1.
///
/// # Errors
/// Where it is not set, or is none.
pub fn number(name: &str) -> Result<u32, String> {
    let value = variable(name)?;
    let number = value.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("the function's environment: {name}: {value:?} is no number of at least 1"))
}

/// The clients of the region that the function runs in.
pub async fn clients() -> Aws {
    Aws::new(&Options::default()).await
}

/// The stack whose bucket has this name.
#[must_use]
pub fn stack(aws: &Aws, bucket: &str) -> Stack {
    let opener = aws.clone();
    let open: OpenBucket = Arc::new(move |name| Arc::new(S3Bucket::new(&opener, name)) as Arc<dyn Bucket>);
    Stack { bucket: open(bucket), name: bucket.to_owned(), open }
}
