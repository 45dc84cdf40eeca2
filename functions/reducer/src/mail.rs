//! The mail at a run's end: to whom, and what.
//!
//! Nobody gets one who was not named in the request; where the request is wrong, those still do whom it names readably.

use tagfleet_aws::ServiceError;
use tagfleet_aws::mail::Sent;
use tagfleet_function::CallError;
use tagfleet_pipeline::fleet::Stack;
use tagfleet_pipeline::fleet::finish::read_summary;
use tagfleet_pipeline::report::mail::{Failure, Mail};
use tagfleet_pipeline::run::RunId;

/// Sends the mail and says to how many, and why not to others; to none where nobody wants one or there is no sender.
pub(crate) async fn tell(
    stack: &Stack,
    run: &RunId,
    failure: Option<&Failure>,
    sender: &str,
    send: impl AsyncFnOnce(&[String], &Mail) -> Result<Sent, ServiceError>,
) -> Result<Sent, CallError> {
    let recipients = stack.recipients(run).await?;
    if recipients.is_empty() || sender.is_empty() {
        return Ok(Sent { sent: 0, refused: vec![] });
    }
    let mail = match failure {
        Some(failure) => Mail::of_failure(run, failure),
        None => Mail::of_summary(&read_summary(&stack.find(run).await?).await?),
    };
    Ok(send(&recipients, &mail).await?)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use tagfleet_pipeline::bucket::Bucket;
    use tagfleet_pipeline::bucket::memory::MemoryBucket;
    use tagfleet_pipeline::fleet::ErrorType;
    use tagfleet_pipeline::run::StackKeys;

    use super::*;

    async fn stack(request: &str) -> (Stack, RunId) {
        let (bucket, run) = (MemoryBucket::default(), RunId::try_from("r-1".to_owned()).unwrap());
        bucket.put(&StackKeys::run(&run), request.to_owned().into()).await.unwrap();
        let opened: Arc<dyn Bucket> = Arc::new(bucket);
        let own = opened.clone();
        (Stack { bucket: own, name: "stack".to_owned(), open: Arc::new(move |_| opened.clone()) }, run)
    }

    fn failure() -> Failure {
        Failure {
            state: "Plan".to_owned(),
            error: "BadRequest".to_owned(),
            cause: "no <such> bucket".to_owned(),
        }
    }

    async fn told(
        request: &str,
        failure: Option<&Failure>,
        sender: &str,
    ) -> (Result<usize, CallError>, String) {
        let (stack, run) = stack(request).await;
        let sent = RefCell::new(String::new());
        let send = async |to: &[String], mail: &Mail| {
            *sent.borrow_mut() = format!("{} {} {}", to.join(","), mail.subject, mail.text);
            Ok(Sent { sent: to.len(), refused: vec![] })
        };
        let result = tell(&stack, &run, failure, sender, send).await;
        (result.map(|told| told.sent), sent.into_inner())
    }

    #[tokio::test]
    async fn those_whom_a_wrong_request_names_are_told() {
        let request = r#"{"version": 7, "notify": ["a@example.com", "no\naddress"], "misspelt": 1}"#;
        let (result, sent) = told(request, Some(&failure()), "tagfleet@example.com").await;
        assert_eq!(result.unwrap(), 1);
        assert!(sent.starts_with("a@example.com tagfleet: r-1 failed"), "{sent}");
        assert!(sent.contains("no <such> bucket"), "{sent}");
    }

    #[tokio::test]
    async fn nobody_is_told_who_did_not_ask_or_without_a_sender() {
        let asked = r#"{"notify": ["a@example.com"]}"#;
        for (request, sender) in [("{}", "tagfleet@example.com"), ("not json", "t@example.com"), (asked, "")]
        {
            assert_eq!(told(request, Some(&failure()), sender).await, (Ok(0), String::new()));
        }
    }

    #[tokio::test]
    async fn a_run_without_a_summary_has_no_mail_of_its_end() {
        let request = r#"{"version": 1, "input": ["s3://shop/a/"], "model": "s3://stack/models/m/",
            "notify": ["a@example.com"]}"#;
        let (result, sent) = told(request, None, "tagfleet@example.com").await;
        assert_eq!((result.unwrap_err().error_type, sent.as_str()), (ErrorType::Broken, ""));
    }
}
