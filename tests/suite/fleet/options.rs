//! Parameters of the stack: a path and a boundary for roles, a cost tag, zones, and an existing VPC.

use serde_json::{Value, json};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::Fleet;

const BOUNDARY: &str = "arn:aws:iam::aws:policy/PowerUserAccess";

fn machines(fleet: &Fleet) -> Vec<Value> {
    let client = fleet.cloud.emulator().client();
    let described = client.post("batch", "/v1/describecomputeenvironments", &json!({}));
    let environments = described["computeEnvironments"].as_array().unwrap().iter();
    environments.map(|environment| environment["computeResources"].clone()).collect()
}

/// The roles of the stack, each as XML.
fn roles(fleet: &Fleet) -> Vec<String> {
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let iam = |form: String| {
        fleet.cloud.emulator().client().send("iam", "POST /", &headers, form.as_bytes()).text()
    };
    let listed = iam("Action=ListRoles&Version=2010-05-08".to_owned());
    let names = listed.split("<RoleName>").skip(1).filter_map(|part| Some(part.split_once('<')?.0));
    let of_stack = names.filter(|name| name.starts_with("tagfleet-"));
    of_stack.map(|name| iam(format!("Action=GetRole&RoleName={name}&Version=2010-05-08"))).collect()
}

#[test]
fn roles_and_hosts_follow_the_parameters_of_the_stack() {
    let parameters =
        [("PermissionsBoundaryArn", BOUNDARY), ("RolePath", "/team/"), ("Project", "shop"), ("Zones", "2")];
    let fleet = Fleet::deploy(&Options::default(), &parameters);
    let roles = roles(&fleet);
    assert_eq!(roles.len(), 5, "{roles:?}");
    for role in &roles {
        // The emulator does not store the boundary.
        assert!(role.contains("<Path>/team/</Path>"), "{role}");
    }
    let machines = machines(&fleet);
    assert_eq!(machines.len(), 3, "{machines:?}");
    for machine in &machines {
        assert_eq!(machine["tags"]["project"], "shop", "{machine}");
        assert_eq!(machine["subnets"].as_array().map(Vec::len), Some(2), "{machine}");
    }
    fleet.upload_demo("photos/");
    let run = fleet.submit(&fleet.request(&json!({})));
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!(status, "SUCCEEDED", "{ended}");
    super::policy::every_call_is_allowed(&fleet.cloud);
}

/// The emulator's region has three zones. The linters check the fourth.
#[test]
fn hosts_are_in_three_zones_by_default() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    for machine in machines(&fleet) {
        assert_eq!(machine["subnets"].as_array().map(Vec::len), Some(3), "{machine}");
    }
}

#[test]
fn a_stack_in_an_existing_vpc_uses_its_subnets_and_has_a_cost_tag() {
    let parameters = [("VpcId", "vpc-1"), ("SubnetIds", "subnet-1,subnet-2")];
    let fleet = Fleet::deploy(&Options::default(), &parameters);
    for machine in machines(&fleet) {
        assert_eq!(machine["subnets"], json!(["subnet-1", "subnet-2"]));
        assert_eq!(machine["tags"]["project"], "tagfleet", "{machine}");
    }
    assert!(roles(&fleet).iter().all(|role| role.contains("<Path>/</Path>")));
}
