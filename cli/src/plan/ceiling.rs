//! The most vCPUs that a planned fleet may hold: a flag, the stack that would run it, or a new stack's
//! default.
//!
//! A plan needs no stack. If none can be reached, the plan names the limit that it used.

use tagfleet_aws::Aws;
use tagfleet_cost::forecast::Ceiling;

use crate::args::PlanOptions;
use crate::fleet::FleetStack;

/// `MaxVcpus` of a stack that is deployed without MAX_VCPUS.
const DEFAULT_VCPUS: u32 = 256;

/// Asks the stack if the images are in a bucket, so that there is a client.
pub(super) async fn find(options: &PlanOptions, aws: Option<&Aws>) -> Ceiling {
    if let Some(vcpus) = options.max_vcpus {
        return Ceiling { vcpus, set_by: "--max-vcpus".to_owned() };
    }
    let name = &options.stack.stack;
    if let Some(aws) = aws
        && let Ok(stack) = FleetStack::find_with(aws.clone(), name).await
        && let Some(vcpus) = stack.outputs.max_vcpus
    {
        return Ceiling { vcpus, set_by: format!("the stack {name}") };
    }
    Ceiling { vcpus: DEFAULT_VCPUS, set_by: "a stack with default settings".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_template_s() {
        let template = include_str!("../../../infra/template.yaml");
        let parameter = template.split("  MaxVcpus:\n").nth(1).unwrap();
        let default = parameter.lines().find_map(|line| line.trim().strip_prefix("Default: ")).unwrap();
        assert_eq!(default.parse(), Ok(DEFAULT_VCPUS));
    }
}
