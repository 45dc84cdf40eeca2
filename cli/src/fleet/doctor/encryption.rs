//! May the workers decrypt the images? A bucket that a key of yours encrypts needs that key among the stack's parameters.

use tagfleet_aws::S3Bucket;
use tagfleet_aws::s3::settings::Encryption;
use tagfleet_aws::signed::{Call, Service};
use tagfleet_aws::xml::Element;

use super::super::stack::FleetStack;
use super::finding::Finding;
use super::unasked;

const CHECK: &str = "encryption";
/// The template's parameter: keys that the workers' role may decrypt with, by ARN.
const PARAMETER: &str = "SourceKeyArns";

pub(super) async fn check(stack: &FleetStack) -> Vec<Finding> {
    let call = Call { service: Service::CLOUDFORMATION, action: "DescribeStacks", thing: &stack.name };
    let keys = match stack.aws.query(call, &[("StackName", stack.name.as_str())]).await {
        Ok(answer) => keys(&answer),
        Err(error) => return vec![unasked(CHECK, &error)],
    };
    let mut findings = Vec::new();
    for name in &stack.outputs.source_buckets {
        findings.push(match S3Bucket::new(&stack.aws, name).encryption().await {
            Ok(encryption) => judge(name, &encryption, &keys),
            Err(error) => unasked(CHECK, &error),
        });
    }
    findings
}

fn keys(answer: &Element) -> Vec<String> {
    let parameters = answer.find("Parameters").map_or(&[][..], |parameters| parameters.children.as_slice());
    let ours = parameters.iter().find(|parameter| parameter.text_of("ParameterKey") == PARAMETER);
    let keys = ours.map_or("", |parameter| parameter.text_of("ParameterValue"));
    keys.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

fn judge(bucket: &str, encryption: &Encryption, keys: &[String]) -> Finding {
    let key = match encryption {
        Encryption::Managed => return Finding::ok(CHECK, format!("s3://{bucket} needs no grant of a key")),
        Encryption::Key(key) => key,
    };
    // S3 takes a key by its id or by its ARN, which ends in the id.
    let id = key.rsplit('/').next().unwrap_or_default();
    if keys.iter().any(|known| known == key || known.rsplit('/').next() == Some(id)) {
        return Finding::ok(CHECK, format!("s3://{bucket} is encrypted with {key}, which workers may use"));
    }
    Finding::fail(
        CHECK,
        format!(
            "s3://{bucket} is encrypted with {key}, which workers may not use: each image would be denied"
        ),
        format!(
            "deploy again with the key's ARN in {PARAMETER}, and let the key's policy allow the account kms:Decrypt"
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
        let keys = keys(&Element::parse(ANSWER).unwrap());
        let key = |key: &str| judge("shop", &Encryption::Key(key.to_owned()), &keys);
        let findings = [
            judge("shop", &Encryption::Managed, &keys),
            key("cd"),
            key("arn:aws:kms:eu-central-1:1:key/ab"),
            key("arn:aws:kms:eu-central-1:1:key/ef"),
        ];
        insta::assert_snapshot!(text(&findings), @r"
        ok    encryption   s3://shop needs no grant of a key
        ok    encryption   s3://shop is encrypted with cd, which workers may use
        ok    encryption   s3://shop is encrypted with arn:aws:kms:eu-central-1:1:key/ab, which workers may use
        FAIL  encryption   s3://shop is encrypted with arn:aws:kms:eu-central-1:1:key/ef, which workers may not use: each image would be denied
                           -> deploy again with the key's ARN in SourceKeyArns, and let the key's policy allow the account kms:Decrypt
        1 to mend before a run can work, 0 to look at
        ");
    }
}
