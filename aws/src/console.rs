//! Addresses of the AWS console, which people open in a browser.
//!
//! Nothing in it makes a request, and no address grants anything: the console asks its visitor to sign in.

use crate::signed::path_piece;

/// The page of an object of a bucket, with a button that opens it.
#[must_use]
pub fn object(region: &str, bucket: &str, key: &str) -> String {
    let domain = match region {
        _ if region.starts_with("cn-") => "console.amazonaws.cn",
        _ if region.starts_with("us-gov-") => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    };
    format!("https://{region}.{domain}/s3/object/{bucket}?region={region}&prefix={}", path_piece(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_argument_of_the_address() {
        assert_eq!(
            object("eu-west-1", "shop", "tags/r&a=1/ü report.html"),
            "https://eu-west-1.console.aws.amazon.com/s3/object/shop?region=eu-west-1&prefix=tags%2Fr%26a%3D1%2F%C3%BC%20report.html"
        );
        assert!(
            object("cn-north-1", "b", "k")
                .starts_with("https://cn-north-1.console.amazonaws.cn/s3/object/b?")
        );
    }
}
