//! An error of a service that is behind none of the ports, in one line for a person.
//!
//! It names the service, the action, the resource and the service's message. It never shows a credential: it
//! repeats only what came back, never what was sent.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use tagfleet_pipeline::bucket::Kind;
use thiserror::Error;

use aws_sdk_sfn::error::ProvideErrorMetadata;

use crate::cause::cause;

/// The code of an error without a region: no request was sent.
pub const NO_REGION: &str = "NoRegion";
/// The code of an error without credentials: no request was sent.
pub const NO_CREDENTIALS: &str = "NoCredentials";

/// Codes of AWS for credentials that it does not accept.
const REFUSED_CREDENTIALS: [&str; 9] = [
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "AuthFailure",
];

/// A call that failed.
#[derive(Clone, Debug, Error)]
#[error("{service} {action}: {resource}: {detail}")]
pub struct ServiceError {
    /// What kind it is: [`Kind::Missing`], [`Kind::Denied`], [`Kind::Temporary`] or [`Kind::Other`].
    pub kind: Kind,
    /// The service, `Step Functions`.
    pub service: &'static str,
    /// The action as IAM spells it, `StartExecution`.
    pub action: String,
    /// The resource that it was about: the name of a queue or a stack.
    pub resource: String,
    /// The service's code, `AccessDeniedException`; empty if no answer came.
    pub code: String,
    /// One line for a person.
    pub detail: String,
}

impl ServiceError {
    /// Whether AWS does not accept the credentials.
    #[must_use]
    pub fn is_refused_login(&self) -> bool {
        REFUSED_CREDENTIALS.contains(&self.code.as_str())
    }

    /// An SDK's error about `resource`.
    pub(crate) fn from_sdk<E>(
        service: &'static str,
        action: &str,
        resource: &str,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = plain_code(error.code().unwrap_or_default());
        let detail = match error.as_service_error() {
            Some(error) => describe(status, &code, error.message()),
            None => cause(error),
        };
        Self {
            kind: kind(status, &code),
            service,
            action: action.to_owned(),
            resource: resource.to_owned(),
            code,
            detail,
        }
    }
}

/// One line of a status, a code and a message, as far as there are any.
pub(crate) fn describe(status: Option<u16>, code: &str, message: Option<&str>) -> String {
    let message = message.map_or_else(|| "no message".to_owned(), |text| text.replace(['\r', '\n'], " "));
    match status {
        _ if !code.is_empty() => format!("{code}: {message}"),
        Some(status) => format!("HTTP {status}: {message}"),
        None => message,
    }
}

/// The code without what some protocols put around it: `com.amazonaws.sqs#QueueDoesNotExist`,
/// `AWS.SimpleQueueService.NonExistentQueue`, `NotFoundException:http://...`.
pub(crate) fn plain_code(code: &str) -> String {
    let code = code.split(':').next().unwrap_or_default();
    code.rsplit(['#', '.']).next().unwrap_or_default().to_owned()
}

/// What an error means, by the codes that the services document.
pub(crate) fn kind(status: Option<u16>, code: &str) -> Kind {
    match (status, code) {
        (
            _,
            "ExecutionDoesNotExist"
            | "StateMachineDoesNotExist"
            | "QueueDoesNotExist"
            | "NonExistentQueue"
            | "NotFoundException"
            | "NoSuchResourceException"
            | "ResourceNotFound",
        ) => Kind::Missing,
        // After the fourth a queue of the same name may be made once a minute has passed.
        (
            _,
            "RequestTimeout"
            | "PriorRequestNotComplete"
            | "RequestLimitExceeded"
            | "QueueDeletedRecently"
            | "SlowDown",
        ) => Kind::Temporary,
        (_, code) if code.contains("Throttl") || code.contains("TooManyRequests") => Kind::Temporary,
        (_, "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "AuthFailure") => {
            Kind::Denied
        }
        (Some(401 | 403), _) => Kind::Denied,
        (Some(404), _) => Kind::Missing,
        // `None` means no answer at all: a timeout, a broken connection.
        (None | Some(408 | 429 | 500..), _) => Kind::Temporary,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_errors_mean() {
        assert_eq!(kind(Some(400), "ExecutionDoesNotExist"), Kind::Missing);
        assert_eq!(kind(Some(400), "ThrottlingException"), Kind::Temporary);
        assert_eq!(kind(Some(400), "AccessDeniedException"), Kind::Denied);
        assert_eq!(kind(Some(400), "ValidationError"), Kind::Other);
        assert_eq!(kind(Some(503), ""), Kind::Temporary);
        assert_eq!(kind(None, ""), Kind::Temporary);
    }

    #[test]
    fn codes_are_told_without_what_protocols_put_around_them() {
        for code in
            ["com.amazonaws.sqs#QueueDoesNotExist", "QueueDoesNotExist:http://x/", "QueueDoesNotExist"]
        {
            assert_eq!(plain_code(code), "QueueDoesNotExist");
        }
        assert_eq!(plain_code("AWS.SimpleQueueService.NonExistentQueue"), "NonExistentQueue");
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(describe(Some(400), "Bad", Some("a\nb")), "Bad: a b");
        assert_eq!(describe(Some(502), "", None), "HTTP 502: no message");
    }
}
