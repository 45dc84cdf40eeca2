//! What S3's errors mean to a stage.
//!
//! By code, as S3's documentation lists them, and by status if there is no code, as in an answer to HEAD: one
//! status means temporary and permanent errors. An unknown error is reported unchanged.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tagfleet_pipeline::bucket::{BucketError, Kind};

use super::S3Bucket;
use crate::cause::cause;

const CONFLICT: &str = "ConditionalRequestConflict";

impl S3Bucket {
    pub(super) fn error<E>(&self, key: &str, error: &SdkError<E, HttpResponse>) -> BucketError
    where
        E: ProvideErrorMetadata + RequestId + std::error::Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().unwrap_or_default();
        let detail = match error.as_service_error() {
            Some(service) if !code.is_empty() => {
                format!("{code}: {}", remedy(code).unwrap_or(service.message().unwrap_or("no message")))
            }
            Some(_) => format!("HTTP {}", status.unwrap_or(0)),
            None => no_answer(&cause(error)),
        };
        self.fail(kind(status, code), key, detail)
    }
}

/// What a person can do, for codes whose message does not explain it.
fn remedy(code: &str) -> Option<&'static str> {
    match code {
        "NoSuchBucket" => Some("this bucket does not exist"),
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" => Some(
            "the store does not accept these credentials: log in again, or choose other ones with --profile",
        ),
        "ExpiredToken" | "TokenRefreshRequired" => Some("the credentials have expired: log in again"),
        "RequestTimeTooSkewed" => Some("the clock of this machine is wrong: set it"),
        _ => None,
    }
}

/// Why there was no answer.
fn no_answer(cause: &str) -> String {
    match cause {
        _ if cause.contains("failed to lookup address") => {
            format!(
                "the host of this bucket is unknown ({cause}): check the network, --region and --endpoint-url"
            )
        }
        _ if cause.contains("UnknownIssuer") => format!(
            "its certificate is not trusted ({cause}): name your authority's certificates with AWS_CA_BUNDLE"
        ),
        cause => cause.to_owned(),
    }
}

fn kind(status: Option<u16>, code: &str) -> Kind {
    match (status, code) {
        (_, "InvalidObjectState") => Kind::Archived,
        (_, "NoSuchBucket") => Kind::Other,
        (_, code) if passes(code) => Kind::Temporary,
        (_, code) if is_of_credentials(code) => Kind::Other,
        // `None` means no answer at all: a timeout, a broken connection.
        (None | Some(408 | 409 | 429 | 500 | 502..), _) => Kind::Temporary,
        // The object's key is disabled, deleted, of another use.
        (_, code) if code.starts_with("KMS.") => Kind::Denied,
        (Some(404), _) => Kind::Missing,
        (Some(412), _) => Kind::Changed,
        (Some(416), _) => Kind::OutOfRange,
        // 451: unavailable for legal reasons, in some stores.
        (Some(401 | 403 | 451), _) => Kind::Denied,
        // 501 too: the store lacks the operation, so a retry does not help.
        _ => Kind::Other,
    }
}

/// Codes of temporary errors, whatever their status: S3 sends some of them with 400.
fn passes(code: &str) -> bool {
    matches!(
        code,
        "RequestTimeout"
            | "SlowDown"
            | "Busy"
            | "InternalError"
            | "ServiceUnavailable"
            | "OperationAborted"
            | "PriorRequestNotComplete"
            | "RequestLimitExceeded"
            | "BandwidthLimitExceeded"
            | "KMS.KMSInternalException"
            | "KMS.DependencyTimeoutException"
    ) || code.contains("Throttl")
        || code.contains("TooManyRequests")
}

/// Codes that depend on the caller only, not on the requested object.
fn is_of_credentials(code: &str) -> bool {
    matches!(
        code,
        "AccountProblem"
            | "AuthorizationHeaderMalformed"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "InvalidSecurity"
            | "InvalidToken"
            | "MissingAuthenticationToken"
            | "MissingSecurityHeader"
            | "NotSignedUp"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
            | "SignatureDoesNotMatch"
            | "TokenRefreshRequired"
            | "UnrecognizedClientException"
    )
}

/// The error of a read. S3 refuses an object that is encrypted with its owner's key (SSE-C) as an invalid
/// request.
pub(super) fn of_read(error: BucketError) -> BucketError {
    match error.kind {
        Kind::Other if error.detail.starts_with("InvalidRequest") => {
            BucketError { kind: Kind::Denied, ..error }
        }
        _ => error,
    }
}

/// Another conditional write of the same key is under way.
pub(super) fn is_conflict(error: &BucketError) -> bool {
    error.kind == Kind::Temporary && error.detail.starts_with(CONFLICT)
}

/// The store does not know conditional writes.
pub(super) fn lacks_conditions(error: &BucketError) -> bool {
    error.kind == Kind::Other && error.detail.starts_with("NotImplemented")
}

/// The store refuses a parameter: directory buckets list from their start only.
pub(super) fn is_unsupported(error: &BucketError) -> bool {
    let codes = ["InvalidArgument", "InvalidRequest", "NotImplemented"];
    codes.iter().any(|code| error.detail.starts_with(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_errors_mean() {
        assert_eq!(kind(Some(403), "InvalidObjectState"), Kind::Archived);
        assert_eq!(kind(Some(403), "AccessDenied"), Kind::Denied);
        assert_eq!(kind(Some(404), ""), Kind::Missing);
        assert_eq!(kind(Some(404), "NoSuchBucket"), Kind::Other);
        assert_eq!(kind(Some(412), "PreconditionFailed"), Kind::Changed);
        assert_eq!(kind(Some(416), "InvalidRange"), Kind::OutOfRange);
        assert_eq!(kind(Some(503), "SlowDown"), Kind::Temporary);
        assert_eq!(kind(Some(409), CONFLICT), Kind::Temporary);
        assert_eq!(kind(None, ""), Kind::Temporary);
        assert_eq!(kind(Some(400), "InvalidRequest"), Kind::Other);
    }

    #[test]
    fn a_code_counts_more_than_a_status() {
        let passing = ["RequestTimeout", "ThrottlingException", "KMS.ThrottlingException", "SlowDown"];
        for code in passing {
            for status in [400, 403, 503] {
                assert_eq!(kind(Some(status), code), Kind::Temporary, "{status} {code}");
            }
        }
        for code in ["ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"] {
            for status in [400, 403] {
                assert_eq!(kind(Some(status), code), Kind::Other, "no object is to blame for {code}");
            }
        }
        for code in ["KMS.DisabledException", "KMS.NotFoundException", "KMS.KMSInvalidStateException"] {
            assert_eq!(kind(Some(400), code), Kind::Denied, "{code}");
        }
        assert_eq!(kind(Some(500), "KMS.AnyException"), Kind::Temporary);
    }

    #[test]
    fn an_object_whose_key_is_its_owners_is_denied() {
        let met = |kind, detail: &str| {
            let (bucket, key) = ("s3://shop".to_owned(), "a.jpg".to_owned());
            of_read(BucketError { kind, bucket, key, detail: detail.to_owned() }).kind
        };
        assert_eq!(met(Kind::Other, "InvalidRequest: encrypted"), Kind::Denied);
        assert_eq!(met(Kind::Other, "InvalidArgument: no"), Kind::Other);
        assert_eq!(met(Kind::Temporary, "InvalidRequest: encrypted"), Kind::Temporary);
    }
}
