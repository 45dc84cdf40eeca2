//! The description of a CloudFormation stack.
//!
//! Only its outputs are read; it never changes a stack.

use std::collections::BTreeMap;

use tagfleet_pipeline::bucket::Kind;

use crate::Aws;
use crate::error::ServiceError;
use crate::signed::{Call, Service};
use crate::xml::Element;

impl Aws {
    /// The outputs of the stack of this name.
    ///
    /// # Errors
    /// See [`ServiceError`]; a stack that does not exist is `Missing`.
    pub async fn stack_outputs(&self, name: &str) -> Result<BTreeMap<String, String>, ServiceError> {
        let call = Call { service: Service::CLOUDFORMATION, action: "DescribeStacks", resource: name };
        let answer = self.query(call, &[("StackName", name)]).await.map_err(missing)?;
        Ok(outputs(&answer))
    }
}

/// CloudFormation has no error code of its own for a missing stack.
fn missing(error: ServiceError) -> ServiceError {
    if error.code == "ValidationError" && error.detail.ends_with("does not exist") {
        return ServiceError { kind: Kind::Missing, ..error };
    }
    error
}

fn outputs(answer: &Element) -> BTreeMap<String, String> {
    let members = answer.find("Outputs").map_or(&[][..], |outputs| outputs.children.as_slice());
    let output =
        |member: &Element| (member.text_of("OutputKey").to_owned(), member.text_of("OutputValue").to_owned());
    members.iter().map(output).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_read() {
        let answer = "<DescribeStacksResponse xmlns='http://cloudformation.amazonaws.com/doc/2010-05-15/'>
            <DescribeStacksResult><Stacks><member><StackName>tagfleet</StackName><Outputs>
            <member><OutputKey>Bucket</OutputKey><OutputValue>b&amp;c</OutputValue></member>
            <member><OutputKey>Sender</OutputKey><OutputValue/></member>
            </Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>";
        let outputs = outputs(&Element::parse(answer).unwrap());
        assert_eq!(outputs["Bucket"], "b&c");
        assert_eq!(outputs["Sender"], "");
        assert_eq!(outputs.len(), 2);
    }
}
