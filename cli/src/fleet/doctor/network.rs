//! Do the workers reach what they need? S3 through a gateway endpoint, which costs nothing while a NAT
//! gateway is paid by the byte; and the services that start them.

mod exit;

use tagfleet_aws::ServiceError;
use tagfleet_aws::signed::{Call, Service};
use tagfleet_aws::xml::Element;

use super::super::stack::FleetStack;
use super::finding::Finding;
use super::placement::Device;
use super::{texts_at, unasked};

const CHECK: &str = "network";

pub(super) async fn check(stack: &FleetStack, devices: &[Device]) -> Vec<Finding> {
    let answers = devices.iter().filter_map(|device| device.answers.as_ref().ok());
    let environments = answers.flat_map(|answers| &answers.environments);
    let mut subnets: Vec<String> =
        environments.flat_map(|environment| texts_at(environment, "/computeResources/subnets")).collect();
    subnets.sort();
    subnets.dedup();
    if subnets.is_empty() {
        return vec![unasked(CHECK, &"the compute environments' subnets are not known")];
    }
    check_subnets(stack, &subnets).await.unwrap_or_else(|error| vec![unasked(CHECK, &error)])
}

async fn check_subnets(stack: &FleetStack, subnets: &[String]) -> Result<Vec<Finding>, ServiceError> {
    let parameters: Vec<(String, &String)> =
        (1..).zip(subnets).map(|(number, subnet)| (format!("SubnetId.{number}"), subnet)).collect();
    let parameters: Vec<(&str, &str)> =
        parameters.iter().map(|(name, subnet)| (name.as_str(), subnet.as_str())).collect();
    let call = Call { service: Service::EC2, action: "DescribeSubnets", resource: &subnets.join(", ") };
    let vpcs = vpcs(&stack.aws.query(call, &parameters).await?);
    let mut findings = Vec::new();
    for vpc in vpcs {
        let call = Call { service: Service::EC2, action: "DescribeVpcEndpoints", resource: &vpc };
        let filter = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc.as_str())];
        let endpoints = stack.aws.query(call, &filter).await?;
        findings.push(judge(&vpc, &endpoints));
        findings.push(exit::judge(&vpc, &route_tables(stack, &vpc, subnets).await?, &endpoints));
    }
    Ok(findings)
}

/// The route tables of the subnets; the VPC's main one if they have none of their own.
async fn route_tables(stack: &FleetStack, vpc: &str, subnets: &[String]) -> Result<Element, ServiceError> {
    let call = Call { service: Service::EC2, action: "DescribeRouteTables", resource: vpc };
    let values: Vec<String> = (1..=subnets.len()).map(|number| format!("Filter.1.Value.{number}")).collect();
    let mut own = vec![("Filter.1.Name", "association.subnet-id")];
    own.extend(values.iter().map(String::as_str).zip(subnets.iter().map(String::as_str)));
    let found = stack.aws.query(call, &own).await?;
    if found.find("routeTableSet").is_some_and(|tables| !tables.children.is_empty()) {
        return Ok(found);
    }
    let main = [
        ("Filter.1.Name", "vpc-id"),
        ("Filter.1.Value.1", vpc),
        ("Filter.2.Name", "association.main"),
        ("Filter.2.Value.1", "true"),
    ];
    stack.aws.query(call, &main).await
}

/// The VPCs of some subnets, each once.
fn vpcs(answer: &Element) -> Vec<String> {
    let subnets = answer.find("subnetSet").map_or(&[][..], |subnets| subnets.children.as_slice());
    let mut vpcs: Vec<String> = subnets.iter().map(|subnet| subnet.text_of("vpcId").to_owned()).collect();
    vpcs.sort();
    vpcs.dedup();
    vpcs
}

fn judge(vpc: &str, answer: &Element) -> Finding {
    let endpoints = answer.find("vpcEndpointSet").map_or(&[][..], |endpoints| endpoints.children.as_slice());
    let is_gateway = |endpoint: &&Element| {
        endpoint.text_of("serviceName").ends_with(".s3")
            && endpoint.text_of("vpcEndpointType") == "Gateway"
            && endpoint.text_of("state").eq_ignore_ascii_case("available")
    };
    let Some(gateway) = endpoints.iter().find(is_gateway) else {
        return Finding::warn(
            CHECK,
            format!(
                "{vpc} has no gateway endpoint for S3: a NAT gateway charges for every byte of every image"
            ),
            "make one (it costs nothing), with the route tables of the workers' subnets",
        );
    };
    let name = gateway.text_of("vpcEndpointId");
    if gateway.find("routeTableIdSet").is_none_or(|tables| tables.children.is_empty()) {
        return Finding::warn(
            CHECK,
            format!("the gateway endpoint {name} of {vpc} is in no route table, so nothing goes through it"),
            "add the route tables of the workers' subnets",
        );
    }
    Finding::ok(CHECK, format!("{vpc} reaches S3 through the gateway endpoint {name}"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::text;
    use super::*;

    fn endpoints(items: &str) -> Element {
        let answer = format!(
            "<DescribeVpcEndpointsResponse><requestId>1</requestId><vpcEndpointSet>{items}</vpcEndpointSet></DescribeVpcEndpointsResponse>"
        );
        Element::parse(&answer).unwrap()
    }

    fn endpoint(kind: &str, tables: &str) -> String {
        format!(
            "<item><vpcEndpointId>vpce-1</vpcEndpointId><vpcEndpointType>{kind}</vpcEndpointType><vpcId>vpc-1</vpcId>
            <serviceName>com.amazonaws.eu-central-1.s3</serviceName><state>available</state>
            <routeTableIdSet>{tables}</routeTableIdSet></item>"
        )
    }

    #[test]
    fn subnets_of_one_vpc() {
        let item = "<item><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId></item>";
        let answer =
            format!("<DescribeSubnetsResponse><subnetSet>{item}{item}</subnetSet></DescribeSubnetsResponse>");
        assert_eq!(vpcs(&Element::parse(&answer).unwrap()), ["vpc-1"]);
    }

    #[test]
    fn endpoints_are_judged() {
        let findings = [
            judge("vpc-1", &endpoints(&endpoint("Gateway", "<item>rtb-1</item>"))),
            judge("vpc-1", &endpoints(&endpoint("Gateway", ""))),
            judge("vpc-1", &endpoints(&endpoint("Interface", "<item>rtb-1</item>"))),
            judge("vpc-1", &endpoints("")),
        ];
        insta::assert_snapshot!(text(&findings), @r"
        ok    network      vpc-1 reaches S3 through the gateway endpoint vpce-1
        WARN  network      the gateway endpoint vpce-1 of vpc-1 is in no route table, so nothing goes through it
                           -> add the route tables of the workers' subnets
        WARN  network      vpc-1 has no gateway endpoint for S3: a NAT gateway charges for every byte of every image
                           -> make one (it costs nothing), with the route tables of the workers' subnets
        WARN  network      vpc-1 has no gateway endpoint for S3: a NAT gateway charges for every byte of every image
                           -> make one (it costs nothing), with the route tables of the workers' subnets
        the fleet can run; 3 warnings
        ");
    }
}
