//! One call of a function: its usage is stored next to the run, its result is one line of the log.
//!
//! The line holds numbers, the action and the run, never a key or an address. Only an error names its
//! subject, because the log is its only reader if an event was the caller. No error shows a secret.

use std::io::{self, Write};
use std::time::{Instant, SystemTime};

use lambda_runtime::Context;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tagfleet_aws::Aws;
use tagfleet_cost::usage::{self, FunctionUsage, Requests, USAGE_VERSION, UsageRecord};
use tagfleet_fleet::{ErrorType, FleetRun};

use crate::CallError;

/// A call under way.
#[derive(Debug)]
pub struct Call {
    function: &'static str,
    action: &'static str,
    request_id: String,
    memory_mb: u32,
    began: Instant,
    /// Seconds since 1970.
    began_at: u64,
    aws: Aws,
    /// Requests that the clients sent before this call: a function serves many calls.
    before: Requests,
    details: Map<String, Value>,
}

impl Call {
    /// A call of `function` that starts now and sends its requests with `aws`.
    #[must_use]
    pub fn start(function: &'static str, action: &'static str, context: &Context, aws: &Aws) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            function,
            action,
            request_id: context.request_id.clone(),
            memory_mb: u32::try_from(context.env_config.memory).unwrap_or(0),
            began: Instant::now(),
            began_at: since.map_or(0, |since| since.as_secs()),
            before: aws.requests(),
            aws: aws.clone(),
            details: Map::new(),
        }
    }

    /// Adds a number or a word to the line.
    pub fn detail(&mut self, name: &str, value: impl Into<Value>) {
        self.details.insert(name.to_owned(), value.into());
    }

    /// Ends the call: writes its record if there is a valid run, and its line; returns the answer.
    ///
    /// # Errors
    /// Those of the call itself, else of writing the record: without it the run's reported cost would be too
    /// low.
    pub async fn end(
        mut self,
        fleet: Option<&FleetRun>,
        result: Result<impl Serialize, CallError>,
    ) -> Result<Value, CallError> {
        let mut result = result.and_then(|answer| {
            serde_json::to_value(answer).map_err(|error| CallError::broken(error.to_string()))
        });
        let is_bad_request = result.as_ref().is_err_and(|error| error.error_type == ErrorType::BadRequest);
        if let Some(fleet) = fleet.filter(|_| !is_bad_request) {
            let recorded = self.record(fleet).await;
            result = result.and_then(|answer| recorded.map(|()| answer));
        }
        self.detail("milliseconds", self.milliseconds());
        self.log(&result);
        result
    }

    /// Writes the call's usage so far next to the run; [`Call::end`] does it for most.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn record(&self, fleet: &FleetRun) -> Result<(), CallError> {
        let record = self.used();
        let name = format!("call-{}-{}", self.function, self.request_id);
        Ok(usage::put(fleet.output.as_ref(), &fleet.keys, &name, &record).await?)
    }

    /// What the call used until now, and the request that writes this down.
    #[must_use]
    pub fn used(&self) -> UsageRecord {
        let mut requests = self.aws.requests().since(&self.before);
        requests.count("s3:PutObject");
        UsageRecord::Function(FunctionUsage {
            version: USAGE_VERSION,
            function: self.function.to_owned(),
            action: self.action.to_owned(),
            began: self.began_at,
            milliseconds: self.milliseconds(),
            memory_mb: self.memory_mb,
            requests,
        })
    }

    /// Rounded up, as Lambda bills them.
    fn milliseconds(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
    }

    /// Its start, in seconds since 1970.
    #[must_use]
    pub fn began(&self) -> u64 {
        self.began_at
    }

    fn log(&self, result: &Result<Value, CallError>) {
        let line = self.line(result);
        // Without a log there is no place to report that.
        let _ = writeln!(io::stdout().lock(), "{line}");
    }

    fn line(&self, result: &Result<Value, CallError>) -> Value {
        let mut line = json!({"function": self.function, "action": self.action, "request": self.request_id});
        if let Some(line) = line.as_object_mut() {
            line.extend(self.details.clone());
        }
        match result {
            Ok(answer) => line["answer"] = shown(answer),
            Err(error) => {
                line["error"] = json!({"type": error.error_type.name(), "message": error.message});
            }
        }
        line
    }
}

/// Numbers and booleans of an answer; its texts may be locations.
fn shown(answer: &Value) -> Value {
    let Some(fields) = answer.as_object() else { return Value::Null };
    let plain = fields.iter().filter(|(_, value)| value.is_number() || value.is_boolean());
    Value::Object(plain.map(|(name, value)| (name.clone(), value.clone())).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tagfleet_aws::client::Options;
    use tagfleet_fleet::Stack;
    use tagfleet_pipeline::bucket::memory::MemoryBucket;
    use tagfleet_pipeline::bucket::{Bucket, KeyRange};
    use tagfleet_pipeline::run::{RunId, StackKeys};

    use super::*;

    async fn fleet(bucket: &MemoryBucket) -> FleetRun {
        let run = RunId::try_from("r".to_owned()).unwrap();
        let request = br#"{"version": 1, "input": ["s3://shop/a/"], "model": "s3://stack/models/m/"}"#;
        bucket.put(&StackKeys::run(&run), request.to_vec().into()).await.unwrap();
        let opened: Arc<dyn Bucket> = Arc::new(bucket.clone());
        let own = opened.clone();
        let stack = Stack { bucket: own, name: "stack".to_owned(), open: Arc::new(move |_| opened.clone()) };
        stack.find(&run).await.unwrap()
    }

    async fn call() -> Call {
        let mut context = Context::default();
        context.request_id = "5f0e".to_owned();
        Call::start("splitter", "split", &context, &Aws::for_tests(&Options::default()).await)
    }

    #[tokio::test]
    async fn a_call_leaves_a_record_and_a_wrong_request_leaves_none() {
        let bucket = MemoryBucket::default();
        let fleet = fleet(&bucket).await;
        let wrong = call().await.end(Some(&fleet), Err::<(), _>(CallError::bad_request("x"))).await;
        assert_eq!(wrong.unwrap_err().message, "x");
        let key = fleet.keys.usage("call-splitter-5f0e");
        assert!(!bucket.exists(&key).await.unwrap());
        assert_eq!(call().await.end(Some(&fleet), Ok(json!({"n": 1}))).await.unwrap(), json!({"n": 1}));
        assert!(bucket.exists(&key).await.unwrap());
        let usage = usage::total(&bucket, &fleet.keys).await.unwrap();
        assert_eq!(usage.functions["splitter split"].calls, 1);
        assert_eq!(usage.requests["split"].0["s3:PutObject"].calls, 1, "the record itself");
        assert!(KeyRange::prefix(&fleet.keys.work()).contains(&key));
    }

    #[tokio::test]
    async fn the_line_tells_numbers_and_no_place() {
        let mut call = call().await;
        call.detail("run", "r");
        let answer = json!({"queue_url": "https://secret", "ranges": 3, "resumed": false});
        let line = call.line(&Ok(answer)).to_string();
        assert!(line.contains("\"ranges\":3") && line.contains("\"run\":\"r\""), "{line}");
        assert!(!line.contains("secret"), "{line}");
        let line = call.line(&Err(CallError::broken("two\r\nlines\0\u{1b}[1m"))).to_string();
        assert!(!line.contains(char::is_control), "a record is one line: {line:?}");
        let line = call.line(&Err(CallError::broken("why"))).to_string();
        assert!(line.contains(r#"{"message":"why","type":"Broken"}"#), "{line}");
    }
}
