//! The region of a bucket: S3 answers for a bucket in its own region only, and elsewhere names that region.
//!
//! A client follows the first such answer and stays there, as the AWS CLI does, so that people need not know
//! the region of a bucket. It sends no request by itself, and it follows once: a second redirect is an error.

use std::sync::{Arc, PoisonError, RwLock};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Region;
use aws_sdk_s3::error::SdkError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::xml::Element;

/// The header in which S3 names a bucket's region.
const HEADER: &str = "x-amz-bucket-region";
/// More than any error's body.
const MAX_BODY_BYTES: usize = 64 << 10;

/// A client of one bucket, which moves to the bucket's region.
#[derive(Clone, Debug)]
pub(super) struct RegionalClient {
    client: Arc<RwLock<Client>>,
}

impl RegionalClient {
    pub(super) fn new(client: Client) -> Self {
        Self { client: Arc::new(RwLock::new(client)) }
    }

    /// The client of the region that is known so far.
    pub(super) fn current(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends all later requests to `region`.
    pub(super) fn move_to(&self, region: &str) {
        let config = self.current().config().to_builder().region(Region::new(region.to_owned())).build();
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = Client::from_conf(config);
    }

    /// Sends a request, and once more if the answer names another region.
    pub(super) async fn send<T, E, F, Answer>(&self, request: F) -> Result<T, SdkError<E, HttpResponse>>
    where
        F: Fn(Client) -> Answer,
        Answer: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let client = self.current();
        let region_before = client.config().region().map(ToString::to_string);
        let answer = request(client).await;
        let Some(region) = answer.as_ref().err().and_then(SdkError::raw_response).and_then(named) else {
            return answer;
        };
        if region_before.as_deref() == Some(&region) {
            return answer;
        }
        self.move_to(&region);
        request(self.current()).await
    }
}

/// The region that an error's answer names: in a header, or, as other stores do, in its body.
pub(super) fn named(response: &HttpResponse) -> Option<String> {
    if let Some(region) = response.headers().get(HEADER) {
        return is_plain(region).then(|| region.to_owned());
    }
    let body = response.body().bytes().filter(|body| body.len() <= MAX_BODY_BYTES)?;
    let error = Element::parse(std::str::from_utf8(body).ok()?).ok()?;
    let region = error.text_of("Region");
    (error.text_of("Code") == "AuthorizationHeaderMalformed" && is_plain(region)).then(|| region.to_owned())
}

/// It becomes part of a host name.
fn is_plain(region: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&region.len()) && region.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn answer(header: Option<&'static str>, body: &str) -> HttpResponse {
        let status = StatusCode::try_from(400).unwrap();
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        if let Some(region) = header {
            response.headers_mut().insert(HEADER, region);
        }
        response
    }

    #[test]
    fn the_region_is_in_the_header_or_in_the_body() {
        let malformed = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>";
        assert_eq!(named(&answer(Some("eu-central-1"), "")).as_deref(), Some("eu-central-1"));
        assert_eq!(named(&answer(None, malformed)).as_deref(), Some("eu-west-3"));
        for nothing in ["", "<Error><Code>AccessDenied</Code></Error>", "no XML"] {
            assert_eq!(named(&answer(None, nothing)), None, "{nothing}");
        }
    }

    #[test]
    fn what_cannot_be_part_of_a_host_name_is_not_followed() {
        assert_eq!(named(&answer(Some("evil.example/"), "")), None);
    }
}
