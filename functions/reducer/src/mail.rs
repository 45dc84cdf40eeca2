//! The mail at a run's end: to whom, and what.
//!
//! Only recipients in the request get one. If the request is wrong, those that it names readably still do.

use tagfleet_aws::mail::Sent;
use tagfleet_aws::{ServiceError, console};
use tagfleet_fleet::finish::read_summary;
use tagfleet_fleet::{FleetError, FleetRun, Stack};
use tagfleet_function::CallError;
use tagfleet_pipeline::run::RunId;
use tagfleet_report::mail::{Failure, Mail, Surroundings};
use tagfleet_report::samples::highlights;

/// Where the stack is, for the commands and the link of a mail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whereabouts<'a> {
    /// The stack's name.
    pub(crate) stack: &'a str,
    pub(crate) region: &'a str,
}

/// Sends the mail and returns how many got it, and why others did not; `None` if there are no recipients or
/// there is no sender.
pub(crate) async fn tell(
    stack: &Stack,
    run: &RunId,
    failure: Option<&Failure>,
    (sender, whereabouts): (&str, Whereabouts<'_>),
    send: impl AsyncFnOnce(&[String], &Mail) -> Result<Sent, ServiceError>,
) -> Result<Sent, CallError> {
    let recipients = stack.recipients(run).await?;
    if recipients.is_empty() || sender.is_empty() {
        return Ok(Sent { sent: 0, refused: vec![] });
    }
    let found = stack.find(run).await;
    let mail = match failure {
        Some(failure) => {
            // A request that is wrong names no profile that could be relied on.
            let profile = found.as_ref().ok().and_then(|fleet| fleet.valid.request.profile.as_deref());
            Mail::of_failure(run, failure, &whereabouts.around(profile))
        }
        None => {
            let fleet = found?;
            Mail::of_summary(&read_summary(&fleet).await?, &surroundings(&fleet, whereabouts).await?)
        }
    };
    Ok(send(&recipients, &mail).await?)
}

impl Whereabouts<'_> {
    fn around(self, profile: Option<&str>) -> Surroundings {
        Surroundings::of_stack(self.stack, self.region, profile)
    }
}

/// The link and the pictures of a run that came to its end.
async fn surroundings(fleet: &FleetRun, whereabouts: Whereabouts<'_>) -> Result<Surroundings, CallError> {
    let request = &fleet.valid.request;
    let bucket = &fleet.valid.output.bucket;
    let link = request.mail_link.then(|| console::object(whereabouts.region, bucket, &fleet.keys.report()));
    let highlights = highlights(fleet.output.as_ref(), &fleet.keys).await.map_err(FleetError::from)?;
    Ok(Surroundings { link, highlights, ..whereabouts.around(request.profile.as_deref()) })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use tagfleet_fleet::ErrorType;
    use tagfleet_pipeline::bucket::Bucket;
    use tagfleet_pipeline::bucket::memory::MemoryBucket;
    use tagfleet_pipeline::run::StackKeys;

    use super::*;

    const HERE: Whereabouts<'static> = Whereabouts { stack: "tagfleet", region: "eu-west-1" };

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
        let result = tell(&stack, &run, failure, (sender, HERE), send).await;
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
