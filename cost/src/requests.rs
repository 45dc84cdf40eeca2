//! What AWS bills a request as, by its operation as IAM spells it.

use crate::usage::Usage;

/// How a request is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Billed {
    /// As this item of S3's.
    S3(&'static str),
    /// By chunks, as a request to a standard queue.
    Sqs,
    /// As any request to KMS.
    Kms,
    /// Not at all.
    Free,
}

/// What S3 calls the dear requests, in the price book.
const WRITES: &str = "PUT, COPY, POST, LIST";
/// And the cheap ones.
const READS: &str = "GET and all other";
/// Beginnings of dear operations: the parts of an upload are written with one.
const WRITE_VERBS: [&str; 6] = ["Put", "Copy", "Post", "List", "Upload", "Create"];
/// Beginnings of operations that cost nothing.
const FREE_VERBS: [&str; 2] = ["Delete", "Abort"];

/// How a request of this operation is billed; calls that manage services rather than move data cost nothing.
pub(super) fn billed(operation: &str) -> Billed {
    match operation.split_once(':') {
        Some(("s3", action)) => of_s3(action),
        Some(("sqs", _)) => Billed::Sqs,
        Some(("kms", _)) => Billed::Kms,
        _ => Billed::Free,
    }
}

/// Requests that cost something, of all stages.
pub(crate) fn billed_requests(usage: &Usage) -> u64 {
    let counts = usage.requests.values().flat_map(|requests| &requests.0);
    counts.filter(|(operation, _)| billed(operation) != Billed::Free).map(|(_, count)| count.calls).sum()
}

fn of_s3(action: &str) -> Billed {
    if FREE_VERBS.iter().any(|verb| action.starts_with(verb)) {
        return Billed::Free;
    }
    let is_write = action.starts_with("Complete") || WRITE_VERBS.iter().any(|verb| action.starts_with(verb));
    Billed::S3(if is_write { WRITES } else { READS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_billed_as_aws_does() {
        for (operation, as_what) in [
            ("s3:GetObject", Billed::S3(READS)),
            ("s3:HeadObject", Billed::S3(READS)),
            ("s3:HeadBucket", Billed::S3(READS)),
            ("s3:PutObject", Billed::S3(WRITES)),
            ("s3:ListBucket", Billed::S3(WRITES)),
            ("s3:CreateMultipartUpload", Billed::S3(WRITES)),
            ("s3:UploadPart", Billed::S3(WRITES)),
            ("s3:CompleteMultipartUpload", Billed::S3(WRITES)),
            ("s3:DeleteObject", Billed::Free),
            ("s3:AbortMultipartUpload", Billed::Free),
            ("sqs:SendMessage", Billed::Sqs),
            ("sqs:DeleteQueue", Billed::Sqs),
            ("kms:Decrypt", Billed::Kms),
            ("kms:GenerateDataKey", Billed::Kms),
            ("states:StartExecution", Billed::Free),
            ("batch:SubmitJob", Billed::Free),
            ("nonsense", Billed::Free),
        ] {
            assert_eq!(billed(operation), as_what, "{operation}");
        }
    }
}
