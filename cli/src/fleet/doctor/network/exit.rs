//! Do the workers reach the services of AWS that they depend on? Through a route out of their subnets, or
//! through endpoints.
//!
//! A worker in a subnet with neither never starts: its machine cannot join the cluster or fetch the image,
//! and the job waits.

use tagfleet_aws::xml::Element;

use super::super::finding::Finding;
use super::CHECK;

/// Services that a worker's machine or the worker itself asks for, besides S3: the interface endpoints that a
/// subnet without a way out needs, as AWS documents them for ECS on EC2, ECR, CloudWatch Logs and SQS.
const NEEDED: [&str; 7] = ["ecs", "ecs-agent", "ecs-telemetry", "ecr.api", "ecr.dkr", "logs", "sqs"];

/// The subnets' route tables and the VPC's endpoints, combined.
pub(super) fn judge(vpc: &str, tables: &Element, endpoints: &Element) -> Finding {
    if has_way_out(tables) {
        return Finding::ok(CHECK, format!("the workers' subnets in {vpc} have a route to the internet"));
    }
    let missing: Vec<&str> = NEEDED.into_iter().filter(|service| !has_endpoint(endpoints, service)).collect();
    if missing.is_empty() {
        return Finding::ok(
            CHECK,
            format!("{vpc} has no route to the internet, and every endpoint that workers need"),
        );
    }
    Finding::fail(
        CHECK,
        format!(
            "the workers' subnets in {vpc} have no route to the internet and no endpoint for {}",
            missing.join(", ")
        ),
        "add interface endpoints for these services with private DNS, or a NAT gateway: without them no worker starts",
    )
}

/// A route to everywhere that works: to an internet or NAT gateway, a transit gateway, an appliance.
fn has_way_out(tables: &Element) -> bool {
    let tables = tables.find("routeTableSet").map_or(&[][..], |tables| tables.children.as_slice());
    let routes = |table: &Element| -> Vec<Element> {
        table.child("routeSet").map_or_else(Vec::new, |routes| routes.children.clone())
    };
    tables.iter().flat_map(routes).any(|route| {
        ["0.0.0.0/0", "::/0"].contains(&first(&route, &["destinationCidrBlock", "destinationIpv6CidrBlock"]))
            && route.text_of("state") != "blackhole"
    })
}

/// The first of these texts that is not empty.
fn first<'a>(element: &'a Element, names: &[&str]) -> &'a str {
    names.iter().map(|name| element.text_of(name)).find(|text| !text.is_empty()).unwrap_or_default()
}

fn has_endpoint(endpoints: &Element, service: &str) -> bool {
    let all = endpoints.find("vpcEndpointSet").map_or(&[][..], |endpoints| endpoints.children.as_slice());
    all.iter().any(|endpoint| {
        let name = endpoint.text_of("serviceName");
        // `com.amazonaws.REGION.ecr.api`
        let known = name.splitn(4, '.').nth(3).unwrap_or_default();
        known == service && endpoint.text_of("state").eq_ignore_ascii_case("available")
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::text;
    use super::*;

    fn tables(routes: &str) -> Element {
        let answer =
            format!("<R><routeTableSet><item><routeSet>{routes}</routeSet></item></routeTableSet></R>");
        Element::parse(&answer).unwrap()
    }

    fn route(destination: &str, state: &str) -> String {
        format!(
            "<item><destinationCidrBlock>{destination}</destinationCidrBlock><state>{state}</state></item>"
        )
    }

    fn endpoints(services: &[&str]) -> Element {
        let item = |service: &&str| {
            format!(
                "<item><serviceName>com.amazonaws.eu-central-1.{service}</serviceName><state>available</state></item>"
            )
        };
        let items: String = services.iter().map(item).collect();
        Element::parse(&format!("<R><vpcEndpointSet>{items}</vpcEndpointSet></R>")).unwrap()
    }

    #[test]
    fn a_subnet_without_a_way_out_needs_every_endpoint() {
        let local = route("10.0.0.0/16", "active");
        let findings = [
            judge("vpc-1", &tables(&format!("{local}{}", route("0.0.0.0/0", "active"))), &endpoints(&[])),
            judge(
                "vpc-1",
                &tables(&format!("{local}{}", route("0.0.0.0/0", "blackhole"))),
                &endpoints(&["ecs", "ecr.api", "s3"]),
            ),
            judge("vpc-1", &tables(&local), &endpoints(&NEEDED)),
        ];
        insta::assert_snapshot!(text(&findings), @r"
        ok    network      the workers' subnets in vpc-1 have a route to the internet
        FAIL  network      the workers' subnets in vpc-1 have no route to the internet and no endpoint for ecs-agent, ecs-telemetry, ecr.dkr, logs, sqs
                           -> add interface endpoints for these services with private DNS, or a NAT gateway: without them no worker starts
        ok    network      vpc-1 has no route to the internet, and every endpoint that workers need
        1 problem to fix before a run can start, 0 warnings
        ");
    }
}
