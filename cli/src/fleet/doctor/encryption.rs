//! May the images be decrypted, and the results be encrypted? A bucket that a key of yours encrypts needs
//! that key among the stack's parameters.

use tagfleet_aws::S3Bucket;
use tagfleet_aws::s3::settings::Encryption;
use tagfleet_aws::signed::{Call, Service};
use tagfleet_aws::xml::Element;
use tagfleet_fleet::rules::names;

use super::super::stack::FleetStack;
use super::finding::Finding;
use super::unasked;

const CHECK: &str = "encryption";
/// The template's parameter of the keys that the workers may read sources with, by ARN.
const SOURCE_KEYS: &str = "SourceKeyArns";
/// That of the keys that functions and workers may read and write the stack's and the outputs' buckets with,
/// by ARN.
const OWN_KEYS: &str = "OwnKeyArns";
/// That of the buckets that runs may write to, besides the stack's own.
const OUTPUT_BUCKETS: &str = "OutputBuckets";

pub(super) async fn check(stack: &FleetStack) -> Vec<Finding> {
    let call = Call { service: Service::CLOUDFORMATION, action: "DescribeStacks", resource: &stack.name };
    let answer = match stack.aws.query(call, &[("StackName", stack.name.as_str())]).await {
        Ok(answer) => answer,
        Err(error) => return vec![unasked(CHECK, &error)],
    };
    let own = [vec![stack.outputs.bucket.clone()], list_of(&answer, OUTPUT_BUCKETS)].concat();
    let mut findings = Vec::new();
    for (buckets, parameter) in [(&stack.outputs.source_buckets, SOURCE_KEYS), (&own, OWN_KEYS)] {
        let grant = Grant { parameter, keys: list_of(&answer, parameter) };
        for name in buckets {
            findings.push(match S3Bucket::new(&stack.aws, name).encryption().await {
                Ok(encryption) => judge(name, &encryption, &grant),
                Err(error) => unasked(CHECK, &error),
            });
        }
    }
    findings
}

/// The values of a parameter that is a list; empty if the stack has no such parameter.
fn list_of(answer: &Element, name: &str) -> Vec<String> {
    let parameters = answer.find("Parameters").map_or(&[][..], |parameters| parameters.children.as_slice());
    let ours = parameters.iter().find(|parameter| parameter.text_of("ParameterKey") == name);
    let values = ours.map_or("", |parameter| parameter.text_of("ParameterValue"));
    names(values)
}

/// The keys that a parameter of the stack lets it use.
struct Grant {
    parameter: &'static str,
    keys: Vec<String>,
}

fn judge(bucket: &str, encryption: &Encryption, grant: &Grant) -> Finding {
    let Grant { parameter, keys } = grant;
    let may_be_read = |what: &str| {
        if encryption.asks_kms && *parameter == SOURCE_KEYS {
            Finding::warn(
            CHECK,
            format!(
                "s3://{bucket} {what}; without an S3 Bucket Key each new image costs a request to KMS when it is read"
            ),
            "turn on S3 Bucket Keys for the bucket, which applies to objects that are written from then on"
                .to_owned(),
        )
        } else {
            Finding::ok(CHECK, format!("s3://{bucket} {what}"))
        }
    };
    let Some(key) = &encryption.key else { return may_be_read("needs no grant of a key") };
    // S3 takes a key by its id or by its ARN, which ends in the id.
    let id = key.rsplit('/').next().unwrap_or_default();
    if keys.iter().any(|known| known == key || known.rsplit('/').next() == Some(id)) {
        return may_be_read(&format!("is encrypted with {key}, which the stack may use"));
    }
    Finding::fail(
        CHECK,
        format!(
            "s3://{bucket} is encrypted with {key}, which the stack may not use: each object would be denied"
        ),
        format!(
            "deploy again with the key's ARN in {parameter}, and let the key's policy allow the account to use it"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::text;
    use super::*;

    const ANSWER: &str = "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><Parameters>
        <member><ParameterKey>MaxVcpus</ParameterKey><ParameterValue>256</ParameterValue></member>
        <member><ParameterKey>SourceKeyArns</ParameterKey>
        <ParameterValue>arn:aws:kms:eu-central-1:1:key/ab, arn:aws:kms:eu-central-1:1:key/cd</ParameterValue></member>
        </Parameters></member></Stacks></DescribeStacksResult></DescribeStacksResponse>";

    #[test]
    fn keys_that_workers_have_and_have_not() {
        let keys = list_of(&Element::parse(ANSWER).unwrap(), SOURCE_KEYS);
        let (sources, own) =
            (Grant { parameter: SOURCE_KEYS, keys }, Grant { parameter: OWN_KEYS, keys: vec![] });
        let of_key = |key: &str| Encryption { key: Some(key.to_owned()), asks_kms: false };
        let key = |key: &str| judge("shop", &of_key(key), &sources);
        let asking = |encryption: Encryption| Encryption { asks_kms: true, ..encryption };
        let findings = [
            judge("shop", &Encryption::default(), &sources),
            judge("shop", &asking(Encryption::default()), &sources),
            judge("results", &asking(Encryption::default()), &own),
            key("cd"),
            judge("shop", &asking(of_key("cd")), &sources),
            key("arn:aws:kms:eu-central-1:1:key/ab"),
            key("arn:aws:kms:eu-central-1:1:key/ef"),
            judge("results", &of_key("cd"), &own),
        ];
        insta::assert_snapshot!(text(&findings), @"
        ok    encryption   s3://shop needs no grant of a key
        WARN  encryption   s3://shop needs no grant of a key; without an S3 Bucket Key each new image costs a request to KMS when it is read
                           -> turn on S3 Bucket Keys for the bucket, which applies to objects that are written from then on
        ok    encryption   s3://results needs no grant of a key
        ok    encryption   s3://shop is encrypted with cd, which the stack may use
        WARN  encryption   s3://shop is encrypted with cd, which the stack may use; without an S3 Bucket Key each new image costs a request to KMS when it is read
                           -> turn on S3 Bucket Keys for the bucket, which applies to objects that are written from then on
        ok    encryption   s3://shop is encrypted with arn:aws:kms:eu-central-1:1:key/ab, which the stack may use
        FAIL  encryption   s3://shop is encrypted with arn:aws:kms:eu-central-1:1:key/ef, which the stack may not use: each object would be denied
                           -> deploy again with the key's ARN in SourceKeyArns, and let the key's policy allow the account to use it
        FAIL  encryption   s3://results is encrypted with cd, which the stack may not use: each object would be denied
                           -> deploy again with the key's ARN in OwnKeyArns, and let the key's policy allow the account to use it
        2 problems to fix before a run can start, 2 warnings
        ");
    }
}
