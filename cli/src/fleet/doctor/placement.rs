//! Can a worker's job be placed at all? Its vCPUs, memory and GPUs against what its compute environments may
//! start.
//!
//! A job that fits nowhere waits for an hour before it is given up. This check finds it before a run.

#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use tagfleet_aws::ServiceError;
use tagfleet_aws::signed::{Call, Service};
use tagfleet_aws::xml::Element;

use super::super::stack::FleetStack;
use super::finding::Finding;
use super::{list_at, rest, text_at, texts_at, unasked};

/// Batch chooses the types itself if one of these is among them.
const OPTIMAL: [&str; 2] = ["optimal", "default_x86_64"];

/// What runs workers of one kind, as AWS describes it.
pub(super) struct Device {
    /// `cpu workers` or `gpu workers`.
    pub(super) check: &'static str,
    pub(super) answers: Result<Answers, ServiceError>,
}

/// The answers about one job queue.
pub(super) struct Answers {
    /// Of `DescribeJobQueues`, its first.
    pub(super) queue: Value,
    /// Of `DescribeComputeEnvironments`, in the queue's order.
    pub(super) environments: Vec<Value>,
    pub(super) needs: Needs,
    /// Of `DescribeInstanceTypes`: what the environments may start.
    pub(super) types: Vec<InstanceType>,
}

/// What one job takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) vcpus: u64,
    pub(super) memory_mib: u64,
    pub(super) gpus: u64,
}

/// What one machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InstanceType {
    pub(super) name: String,
    pub(super) has: Needs,
}

/// Describes both kinds of workers.
pub(super) async fn devices(stack: &FleetStack) -> Vec<Device> {
    let (outputs, name) = (&stack.outputs, &stack.name);
    let cpu = describe(stack, &outputs.cpu_job_queue, &format!("{name}-cpu")).await;
    let gpu = describe(stack, &outputs.gpu_job_queue, &format!("{name}-gpu")).await;
    vec![Device { check: "cpu workers", answers: cpu }, Device { check: "gpu workers", answers: gpu }]
}

async fn describe(stack: &FleetStack, queue: &str, definition: &str) -> Result<Answers, ServiceError> {
    let body = json!({ "jobQueues": [queue] });
    let queues = rest(stack, batch("DescribeJobQueues", queue), "/v1/describejobqueues", Some(&body)).await?;
    let queue = list_at(&queues, "/jobQueues").first().cloned().unwrap_or_default();
    let mut environments = Vec::new();
    for order in list_at(&queue, "/computeEnvironmentOrder") {
        let environment = text_at(order, "/computeEnvironment");
        let body = json!({ "computeEnvironments": [environment] });
        let call = batch("DescribeComputeEnvironments", environment);
        let described = rest(stack, call, "/v1/describecomputeenvironments", Some(&body)).await?;
        environments.extend(list_at(&described, "/computeEnvironments").iter().cloned());
    }
    let body = json!({ "jobDefinitionName": definition, "status": "ACTIVE" });
    let call = batch("DescribeJobDefinitions", definition);
    let definitions = rest(stack, call, "/v1/describejobdefinitions", Some(&body)).await?;
    let types = instance_types(stack, &environments).await?;
    Ok(Answers { queue, environments, needs: needs(&definitions), types })
}

fn batch<'a>(action: &'a str, resource: &'a str) -> Call<'a> {
    Call { service: Service::BATCH, action, resource }
}

/// Every type that an environment names, or all of a family that it names.
async fn instance_types(
    stack: &FleetStack,
    environments: &[Value],
) -> Result<Vec<InstanceType>, ServiceError> {
    let mut names: Vec<String> = environments.iter().flat_map(named_types).collect();
    names.sort();
    names.dedup();
    names.retain(|name| !OPTIMAL.contains(&name.as_str()));
    let mut types = Vec::new();
    for name in names {
        let filter = if name.contains('.') { name.clone() } else { format!("{name}.*") };
        let call = Call { service: Service::EC2, action: "DescribeInstanceTypes", resource: &name };
        // A family has far fewer sizes than one answer holds.
        let filters = [("Filter.1.Name", "instance-type"), ("Filter.1.Value.1", filter.as_str())];
        types.extend(read_types(&stack.aws.query(call, &filters).await?));
    }
    Ok(types)
}

fn named_types(environment: &Value) -> Vec<String> {
    texts_at(environment, "/computeResources/instanceTypes")
}

fn read_types(answer: &Element) -> Vec<InstanceType> {
    let items = answer.find("instanceTypeSet").map_or(&[][..], |types| types.children.as_slice());
    let number = |item: &Element, name: &str| item.text_of(name).parse().unwrap_or(0);
    let read = |item: &Element| InstanceType {
        name: item.text_of("instanceType").to_owned(),
        has: Needs {
            vcpus: number(item, "defaultVCpus"),
            memory_mib: item.find("memoryInfo").map_or(0, |memory| number(memory, "sizeInMiB")),
            gpus: item
                .find("gpus")
                .map_or(0, |gpus| gpus.children.iter().map(|gpu| number(gpu, "count")).sum()),
        },
    };
    items.iter().map(read).collect()
}

/// Of the newest revision.
fn needs(definitions: &Value) -> Needs {
    let definitions = list_at(definitions, "/jobDefinitions").iter();
    let newest = definitions.max_by_key(|definition| definition["revision"].as_u64());
    let mut needs = Needs::default();
    for requirement in
        newest.map_or(&[][..], |newest| list_at(newest, "/containerProperties/resourceRequirements"))
    {
        // Fractions of a vCPU exist only on Fargate.
        let value = text_at(requirement, "/value").parse().unwrap_or(0);
        match text_at(requirement, "/type") {
            "VCPU" => needs.vcpus = value,
            "MEMORY" => needs.memory_mib = value,
            "GPU" => needs.gpus = value,
            _ => {}
        }
    }
    needs
}

/// What the answers about one kind of workers mean.
pub(super) fn judge(device: &Device) -> Vec<Finding> {
    match &device.answers {
        Ok(answers) => judge_answers(device.check, answers),
        Err(error) => vec![unasked(device.check, error)],
    }
}

fn judge_answers(check: &'static str, answers: &Answers) -> Vec<Finding> {
    let Answers { queue, environments, needs, .. } = answers;
    if queue.is_null() {
        return vec![Finding::fail(check, "the job queue does not exist", "deploy the stack again")];
    }
    if text_at(queue, "/state") != "ENABLED" || text_at(queue, "/status") != "VALID" {
        let (state, status) = (text_at(queue, "/state"), text_at(queue, "/status"));
        let found = format!("the job queue is {state:?} and {status:?}: {}", text_at(queue, "/statusReason"));
        return vec![Finding::fail(check, found, "enable it, or deploy the stack again")];
    }
    if needs.vcpus == 0 {
        return vec![Finding::fail(check, "there is no active job definition", "deploy the stack again")];
    }
    let problems: Vec<Finding> =
        environments.iter().filter_map(|environment| problem(check, environment, answers)).collect();
    if problems.len() < environments.len() {
        let Needs { vcpus, memory_mib, gpus } = needs;
        let gpus = if *gpus > 0 { format!(", {gpus} GPU") } else { String::new() };
        let fits = format!("a job needs {vcpus} vCPUs, {memory_mib} MiB{gpus}, and can be placed");
        // Another environment takes the jobs: what is wrong with this one is not fatal.
        let warnings = problems.into_iter().map(|problem| Finding { level: super::Level::Warn, ..problem });
        return [Finding::ok(check, fits)].into_iter().chain(warnings).collect();
    }
    if problems.is_empty() {
        return vec![Finding::fail(
            check,
            "the job queue has no compute environment",
            "deploy the stack again",
        )];
    }
    problems
}

/// Why no job can be placed in an environment; `None` if it can.
fn problem(check: &'static str, environment: &Value, answers: &Answers) -> Option<Finding> {
    let Answers { needs, types, .. } = answers;
    let name = text_at(environment, "/computeEnvironmentName");
    let (state, status) = (text_at(environment, "/state"), text_at(environment, "/status"));
    if state != "ENABLED" || status != "VALID" {
        let found = format!("{name} is {state:?} and {status:?}: {}", text_at(environment, "/statusReason"));
        return Some(Finding::fail(check, found, "fix the reported problem, then deploy the stack again"));
    }
    let most = environment.pointer("/computeResources/maxvCpus").and_then(Value::as_u64).unwrap_or(0);
    if most < needs.vcpus {
        let found = format!("a job needs {} vCPUs, but the limit of {name} is {most}", needs.vcpus);
        return Some(Finding::fail(check, found, "raise the stack's MaxVcpus"));
    }
    let allowed = named_types(environment);
    let is_allowed = |known: &&InstanceType| {
        let family = known.name.split('.').next().unwrap_or_default();
        allowed.iter().any(|allowed| *allowed == known.name || *allowed == family)
    };
    let chooses_itself = allowed.iter().any(|allowed| OPTIMAL.contains(&allowed.as_str()));
    if chooses_itself || types.iter().filter(is_allowed).any(|known| known.has.hold(needs)) {
        return None;
    }
    let found = format!(
        "a job needs {} vCPUs, {} MiB and {} GPU; no instance type of {name} has that: {}",
        needs.vcpus,
        needs.memory_mib,
        needs.gpus,
        allowed.join(", ")
    );
    Some(Finding::fail(check, found, "give the stack larger instance types, or types that this region has"))
}

impl Needs {
    /// The system of a machine takes some memory for itself.
    fn hold(&self, needs: &Self) -> bool {
        self.vcpus >= needs.vcpus && self.memory_mib > needs.memory_mib && self.gpus >= needs.gpus
    }
}
