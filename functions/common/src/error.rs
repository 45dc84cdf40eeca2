//! An error as the state machine sees it: what to do about it, and one line for a person.

use lambda_runtime::Diagnostic;
use tagfleet_aws::ServiceError;
use tagfleet_fleet::{ErrorType, FleetError};
use tagfleet_pipeline::bucket::{BucketError, Kind};
use tagfleet_pipeline::record::RecordError;
use tagfleet_pipeline::reduce::ReduceError;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// What to do about it.
    pub error_type: ErrorType,
    /// One line for a person.
    pub message: String,
}

impl CallError {
    /// The request is wrong, and why.
    #[must_use]
    pub fn bad_request(why: impl Into<String>) -> Self {
        Self { error_type: ErrorType::BadRequest, message: why.into() }
    }

    /// A bug, or a call from outside the state machine.
    #[must_use]
    pub fn broken(why: impl Into<String>) -> Self {
        Self { error_type: ErrorType::Broken, message: why.into() }
    }
}

impl From<FleetError> for CallError {
    fn from(error: FleetError) -> Self {
        Self { error_type: error.error_type(), message: error.to_string() }
    }
}

impl From<BucketError> for CallError {
    fn from(error: BucketError) -> Self {
        FleetError::from(error).into()
    }
}

impl From<ReduceError> for CallError {
    fn from(error: ReduceError) -> Self {
        FleetError::from(error).into()
    }
}

impl From<RecordError> for CallError {
    fn from(error: RecordError) -> Self {
        FleetError::from(error).into()
    }
}

impl From<ServiceError> for CallError {
    fn from(error: ServiceError) -> Self {
        let is_temporary = error.kind == Kind::Temporary;
        let error_type = if is_temporary { ErrorType::Temporary } else { ErrorType::Broken };
        Self { error_type, message: error.to_string() }
    }
}

impl From<CallError> for Diagnostic {
    fn from(error: CallError) -> Self {
        Self { error_type: error.error_type.name().to_owned(), error_message: error.message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket_error(kind: Kind) -> BucketError {
        BucketError { kind, bucket: "s3://b".to_owned(), key: "k".to_owned(), detail: "d".to_owned() }
    }

    #[test]
    fn the_state_machine_is_told_what_to_do() {
        let error_type = |error: CallError| Diagnostic::from(error).error_type;
        assert_eq!(error_type(bucket_error(Kind::Temporary).into()), "Temporary");
        assert_eq!(error_type(bucket_error(Kind::Denied).into()), "Broken");
        assert_eq!(error_type(FleetError::Unusable("x".to_owned()).into()), "BadRequest");
        let service = ServiceError {
            kind: Kind::Temporary,
            service: "SQS",
            action: "CreateQueue".to_owned(),
            resource: "q".to_owned(),
            code: String::new(),
            detail: "timeout".to_owned(),
        };
        let diagnostic = Diagnostic::from(CallError::from(service));
        assert_eq!(diagnostic.error_type, "Temporary");
        assert_eq!(diagnostic.error_message, "SQS CreateQueue: q: timeout");
    }
}
