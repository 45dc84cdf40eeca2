//! Connects to AWS as a command's flags configure it, and explains AWS's errors.
//!
//! Credentials are found before the first request, so that a login that has expired is reported before
//! anything else is done. A wrong configuration is bad input; a failure of AWS itself is `broken`.

use tagfleet_aws::client::{Options, SetupError};
use tagfleet_aws::error::{NO_CREDENTIALS, NO_REGION};
use tagfleet_aws::{Aws, ServiceError};
use tagfleet_pipeline::bucket::Kind;

use crate::args::{AwsOptions, BucketOptions};
use crate::exit::{Failure, bad_input, broken};

/// Connects for the services of a stack.
pub(crate) async fn to_stack(options: &AwsOptions) -> Result<Aws, Failure> {
    connect(of_flags(options)).await
}

/// Connects for public buckets.
pub(crate) async fn to_buckets(options: &AwsOptions, buckets: &BucketOptions) -> Result<Aws, Failure> {
    let flags = Options {
        is_anonymous: buckets.no_sign_request,
        requester_pays: buckets.request_payer.is_some(),
        ..of_flags(options)
    };
    connect(flags).await
}

/// Connects, and finds the credentials.
pub(crate) async fn connect(options: Options) -> Result<Aws, Failure> {
    let aws = Aws::new(&options).await.map_err(|error| of_setup(&error))?;
    aws.log_in().await.map_err(|error| of_setup(&error))?;
    Ok(aws)
}

fn of_flags(options: &AwsOptions) -> Options {
    Options {
        profile: options.profile.clone(),
        region: options.region.clone(),
        endpoint_url: options.endpoint_url.clone(),
        ..Options::default()
    }
}

fn of_setup(error: &SetupError) -> Failure {
    bad_input(error).with_detail(error.detail())
}

/// The failure of a service: a missing login, region or permission is bad input, because the user can fix it.
pub(crate) fn of_service(error: ServiceError) -> Failure {
    if error.is_refused_login() {
        let message = format!(
            "AWS does not accept these credentials ({}): log in again, or choose other ones with --profile",
            error.code
        );
        return bad_input(message).with_detail(Some(&error.to_string()));
    }
    match (error.kind, error.code.as_str()) {
        (_, NO_REGION | NO_CREDENTIALS) => bad_input(&error.detail),
        (Kind::Denied, _) => {
            bad_input(format!("{error}: ask for this permission, or choose another --profile"))
        }
        _ => broken(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn error(kind: Kind, code: &str) -> ServiceError {
        let (action, resource) = ("DescribeStacks".to_owned(), "tagfleet".to_owned());
        let (code, detail) = (code.to_owned(), "said so".to_owned());
        ServiceError { kind, service: "CloudFormation", action, resource, code, detail }
    }

    #[test]
    fn what_the_user_can_fix_is_bad_input() {
        let codes = [
            "InvalidClientTokenId",
            "ExpiredTokenException",
            "SignatureDoesNotMatch",
            NO_REGION,
            NO_CREDENTIALS,
        ];
        for code in codes {
            assert_eq!(of_service(error(Kind::Denied, code)).exit(), Exit::BadInput, "{code}");
        }
        assert_eq!(of_service(error(Kind::Denied, "AccessDenied")).exit(), Exit::BadInput);
        assert_eq!(of_service(error(Kind::Temporary, "")).exit(), Exit::Broken);
        assert_eq!(of_service(error(Kind::Other, "ValidationError")).exit(), Exit::Broken);
    }

    #[test]
    fn a_refused_login_is_one_sentence_and_the_rest_is_detail() {
        let failure = of_service(error(Kind::Denied, "ExpiredToken"));
        assert!(failure.message().starts_with("AWS does not accept these credentials (ExpiredToken)"));
        assert!(!failure.message().contains("said so"));
    }
}
