//! The types of machines that a stack's workers run on by default, and what matters of them here.
//!
//! Facts of AWS's pages, not measured: vCPUs, vCPUs per core, network, instruction sets. Prices stand in the price book.

/// A type of machine.
pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) vcpus: u32,
    pub(super) threads_per_core: u32,
    /// All the time, in Mbit/s (Karpenter's table of 2026-08-21; the 2xlarge stands between its neighbours).
    pub(super) network_mbps: Option<u32>,
    /// AMX is what a run records where a processor has it.
    pub(super) has: &'static [&'static str],
}

/// What `CpuInstanceTypes` of infra/template.yaml names; a test compares them.
pub(super) const TYPES: [Type; 6] = [
    of("c7a.2xlarge", 8, 1, Some(3125), &["vnni", "avx512_bf16"]),
    of("c7a.4xlarge", 16, 1, Some(6250), &["vnni", "avx512_bf16"]),
    of("c7i.2xlarge", 8, 2, Some(3125), &["vnni", "amx_bf16"]),
    of("c7i.4xlarge", 16, 2, Some(6250), &["vnni", "amx_bf16"]),
    of("c6i.2xlarge", 8, 2, None, &["vnni"]),
    of("c6i.4xlarge", 16, 2, None, &["vnni"]),
];

const fn of(
    name: &'static str,
    vcpus: u32,
    threads_per_core: u32,
    network_mbps: Option<u32>,
    has: &'static [&'static str],
) -> Type {
    Type { name, vcpus, threads_per_core, network_mbps, has }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_template() {
        let template = include_str!("../../../infra/template.yaml");
        let names: Vec<&str> = TYPES.iter().map(|kind| kind.name).collect();
        assert!(template.contains(&format!("Default: {}\n", names.join(","))), "{names:?}");
    }
}
