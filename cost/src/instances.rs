//! EC2 instance types: what a plan, a bill and the template know of them, in one table.
//!
//! Facts of AWS's pages, not measured: vCPUs, vCPUs per core, network, instruction sets, GPUs. Prices are in
//! the price book.

/// An instance type that a stack's workers run on.
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    /// `c7a.2xlarge`
    pub name: &'static str,
    /// vCPUs.
    pub vcpus: u32,
    /// vCPUs that share a core: 1 or 2.
    pub threads_per_core: u32,
    /// Sustained network bandwidth in Mbit/s (Karpenter's table of 2026-08-21; a 2xlarge is interpolated from
    /// its neighbours); `None` if unknown.
    pub network_mbps: Option<u32>,
    /// Instruction sets that decide about int8 and bf16, as a run records them.
    pub instruction_sets: &'static [&'static str],
    /// The name of its GPU, if it has one.
    pub gpu: Option<&'static str>,
}

/// The default of `CpuInstanceTypes` in infra/template.yaml.
pub const CPU_INSTANCES: [Instance; 6] = [
    cpu("c7a.2xlarge", 8, 1, Some(3125), &["vnni", "avx512_bf16"]),
    cpu("c7a.4xlarge", 16, 1, Some(6250), &["vnni", "avx512_bf16"]),
    cpu("c7i.2xlarge", 8, 2, Some(3125), &["vnni", "amx_bf16"]),
    cpu("c7i.4xlarge", 16, 2, Some(6250), &["vnni", "amx_bf16"]),
    cpu("c6i.2xlarge", 8, 2, None, &["vnni"]),
    cpu("c6i.4xlarge", 16, 2, None, &["vnni"]),
];

/// The default of `GpuInstanceTypes` in infra/template.yaml, and one more type that a stack may name.
pub const GPU_INSTANCES: [Instance; 7] = [
    gpu("g6.xlarge", "NVIDIA L4", 4, Some(2500)),
    gpu("g6.2xlarge", "NVIDIA L4", 8, Some(5000)),
    gpu("g5.xlarge", "NVIDIA A10G", 4, Some(2500)),
    gpu("g5.2xlarge", "NVIDIA A10G", 8, Some(5000)),
    gpu("g4dn.xlarge", "NVIDIA T4", 4, Some(5000)),
    gpu("g4dn.2xlarge", "NVIDIA T4", 8, Some(10_000)),
    gpu("g6e.xlarge", "NVIDIA L40S", 4, None),
];

const fn cpu(
    name: &'static str,
    vcpus: u32,
    threads_per_core: u32,
    network_mbps: Option<u32>,
    instruction_sets: &'static [&'static str],
) -> Instance {
    Instance { name, vcpus, threads_per_core, network_mbps, instruction_sets, gpu: None }
}

/// One GPU, and two vCPUs per core.
const fn gpu(name: &'static str, gpu: &'static str, vcpus: u32, network_mbps: Option<u32>) -> Instance {
    Instance { name, vcpus, threads_per_core: 2, network_mbps, instruction_sets: &[], gpu: Some(gpu) }
}

/// GPUs of an instance of this type, by AWS's pages on the families g4dn, g5, g6 and g6e; `None` for any
/// other type.
#[must_use]
pub fn gpus_of(instance_type: &str) -> Option<u32> {
    match instance_type.split_once('.')? {
        ("g4dn" | "g5" | "g6" | "g6e", "xlarge" | "2xlarge" | "4xlarge" | "8xlarge" | "16xlarge") => Some(1),
        ("g4dn" | "g5" | "g6" | "g6e", "12xlarge") | ("g5" | "g6" | "g6e", "24xlarge") => Some(4),
        ("g5" | "g6" | "g6e", "48xlarge") | ("g4dn", "metal") => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_defaults_of_the_template() {
        let template = include_str!("../../infra/template.yaml");
        let default = |instances: &[Instance]| {
            let names: Vec<&str> = instances.iter().map(|instance| instance.name).collect();
            format!("Default: {}\n", names.join(","))
        };
        assert!(template.contains(&default(&CPU_INSTANCES)));
        assert!(template.contains(&default(&GPU_INSTANCES[..6])));
    }

    #[test]
    fn a_plan_and_a_bill_count_the_same_gpus() {
        assert!(GPU_INSTANCES.iter().all(|instance| gpus_of(instance.name) == Some(1)));
        assert!(CPU_INSTANCES.iter().all(|instance| gpus_of(instance.name).is_none()));
    }

    #[test]
    fn types_of_machines_have_gpus() {
        let known =
            ["g4dn.xlarge", "g6.16xlarge", "g6.12xlarge", "g5.24xlarge", "g6e.48xlarge", "g4dn.metal"];
        assert_eq!(known.map(gpus_of), [1, 1, 4, 4, 8, 8].map(Some));
        let unknown = ["c7a.2xlarge", "g4dn.48xlarge", "g6.metal", "g6", "", "p5.48xlarge", "g6.xlarge.x"];
        assert_eq!(unknown.map(gpus_of), [None; 7]);
    }
}
