//! The mail at a run's end: to whom, and what.
//!
//! Only recipients that the request names and the stack may mail get one. If the request is invalid, the
//! recipients that can be read from it still get one.

use tagfleet_aws::mail::MailOutcome;
use tagfleet_aws::{ServiceError, console};
use tagfleet_fleet::finish::read_summary;
use tagfleet_fleet::rules::Rules;
use tagfleet_fleet::{FleetError, FleetRun, Stack, page};
use tagfleet_function::CallError;
use tagfleet_pipeline::run::RunId;
use tagfleet_report::mail::{Failure, Mail, Surroundings};

/// Where the stack is, for the commands and the link of a mail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StackPlace<'a> {
    /// The stack's name.
    pub(crate) stack: &'a str,
    pub(crate) region: &'a str,
}

/// Who sends mails, and to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MailSettings<'a> {
    /// Empty if no mail is sent.
    pub(crate) sender: &'a str,
    pub(crate) rules: &'a Rules,
    pub(crate) place: StackPlace<'a>,
}

/// The outcome of a mail.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) sent: MailOutcome,
    /// Recipients that the request names and the stack does not mail.
    pub(crate) strangers: usize,
}

/// Sends the mail to each recipient, if there are any and there is a sender.
pub(crate) async fn send(
    stack: &Stack,
    run: &RunId,
    failure: Option<&Failure>,
    settings: MailSettings<'_>,
    send: impl AsyncFnOnce(&[String], &Mail) -> Result<MailOutcome, ServiceError>,
) -> Result<Delivery, CallError> {
    let place = settings.place;
    let mut recipients = stack.recipients(run).await?;
    let named = recipients.len();
    recipients.retain(|address| settings.rules.may_mail(address));
    let strangers = named - recipients.len();
    if recipients.is_empty() || settings.sender.is_empty() {
        return Ok(Delivery { sent: MailOutcome { sent: 0, refused: vec![] }, strangers });
    }
    let found = stack.find(run).await;
    let mail = match failure {
        Some(failure) => {
            // A request that is wrong names no profile that could be relied on.
            let profile = found.as_ref().ok().and_then(|fleet| fleet.valid.request.profile.as_deref());
            Mail::of_failure(run, failure, &place.around(profile))
        }
        None => {
            let fleet = found?;
            Mail::of_summary(&read_summary(&fleet).await?, &surroundings(&fleet, place).await?)
        }
    };
    Ok(Delivery { sent: send(&recipients, &mail).await?, strangers })
}

impl StackPlace<'_> {
    fn around(self, profile: Option<&str>) -> Surroundings {
        Surroundings::of_stack(self.stack, self.region, profile)
    }
}

/// The link and the pictures of a run that came to its end.
async fn surroundings(fleet: &FleetRun, place: StackPlace<'_>) -> Result<Surroundings, CallError> {
    let request = &fleet.valid.request;
    let bucket = &fleet.valid.output.bucket;
    let link = request.mail_link.then(|| console::object(place.region, bucket, &fleet.keys.report()));
    let highlights = page::highlights(fleet.output.as_ref(), &fleet.keys).await.map_err(FleetError::from)?;
    Ok(Surroundings { link, highlights, ..place.around(request.profile.as_deref()) })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use tagfleet_fleet::ErrorType;
    use tagfleet_fleet::rules::RuleTexts;
    use tagfleet_pipeline::bucket::Bucket;
    use tagfleet_pipeline::bucket::memory::MemoryBucket;
    use tagfleet_pipeline::run::StackKeys;

    use super::*;

    const HERE: StackPlace<'static> = StackPlace { stack: "tagfleet", region: "eu-west-1" };

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
            Ok(MailOutcome { sent: to.len(), refused: vec![] })
        };
        let texts = RuleTexts {
            model_buckets: "",
            manifest_buckets: "",
            recipients: "*@example.com",
            max_usd_per_run: "0",
            max_usd_per_day: "0",
        };
        let rules = Rules::parse(&texts).unwrap();
        let settings = MailSettings { sender, rules: &rules, place: HERE };
        let result = super::send(&stack, &run, failure, settings, send).await;
        (result.map(|told| told.sent.sent), sent.into_inner())
    }

    #[tokio::test]
    async fn those_whom_a_wrong_request_names_are_told() {
        let request = r#"{"version": 7, "notify": ["a@example.com", "no\naddress"], "misspelt": 1}"#;
        let (result, sent) = told(request, Some(&failure()), "tagfleet@example.com").await;
        assert_eq!(result.unwrap(), 1);
        assert!(sent.starts_with("a@example.com tagfleet: r-1 failed"), "{sent}");
        assert!(sent.contains("no <such> bucket"), "{sent}");
    }

    /// One small file would otherwise send a mail of the account to fifty strangers, even if it is not a
    /// request.
    #[tokio::test]
    async fn a_stranger_is_told_nothing_whatever_the_request() {
        let strangers = r#"{"notify": ["you@example.org", "a@example.com.evil.org"], "read this": 1}"#;
        assert_eq!(told(strangers, Some(&failure()), "t@example.com").await, (Ok(0), String::new()));
        let mixed = r#"{"notify": ["you@example.org", "me@example.com"], "version": 1}"#;
        let (result, sent) = told(mixed, Some(&failure()), "t@example.com").await;
        assert!(result == Ok(1) && sent.starts_with("me@example.com tagfleet"), "{sent}");
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
