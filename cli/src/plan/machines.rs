//! The types of machines that a stack's workers run on by default, what matters of them here, and what they cost.
//!
//! Facts of AWS's pages, not measured: vCPUs, vCPUs per core, network, instruction sets. Prices stand in the price book.

use tagfleet_cost::bill::{DISK_GB, HOURS_A_MONTH};
use tagfleet_cost::forecast::{GpuMachine, Machine};
use tagfleet_cost::{PriceBook, UnknownPrice};

use crate::exit::tell;

/// A type of machine.
struct Type {
    name: &'static str,
    vcpus: u32,
    threads_per_core: u32,
    /// All the time, in Mbit/s (Karpenter's table of 2026-08-21; the 2xlarge stands between its neighbours).
    network_mbps: Option<u32>,
    /// AMX is what a run records where a processor has it.
    has: &'static [&'static str],
}

/// What `CpuInstanceTypes` of infra/template.yaml names; a test compares them.
const TYPES: [Type; 6] = [
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

/// A type of machine with one GPU.
struct GpuType {
    name: &'static str,
    gpu: &'static str,
    vcpus: u32,
    /// All the time, in Mbit/s, by the same table.
    network_mbps: Option<u32>,
}

/// What `GpuInstanceTypes` of infra/template.yaml names, which a test holds, and one more that a stack may name. Two vCPUs
/// of each share a core.
const GPU_TYPES: [GpuType; 7] = [
    gpu("g6.xlarge", "NVIDIA L4", 4, Some(2500)),
    gpu("g6.2xlarge", "NVIDIA L4", 8, Some(5000)),
    gpu("g5.xlarge", "NVIDIA A10G", 4, Some(2500)),
    gpu("g5.2xlarge", "NVIDIA A10G", 8, Some(5000)),
    gpu("g4dn.xlarge", "NVIDIA T4", 4, Some(5000)),
    gpu("g4dn.2xlarge", "NVIDIA T4", 8, Some(10_000)),
    gpu("g6e.xlarge", "NVIDIA L40S", 4, None),
];

const fn gpu(name: &'static str, gpu: &'static str, vcpus: u32, network_mbps: Option<u32>) -> GpuType {
    GpuType { name, gpu, vcpus, network_mbps }
}

/// Dollars for an hour of a machine, its disk and address added.
struct Prices {
    spot: (f64, f64),
    on_demand: f64,
}

fn prices(region: &str, book: &PriceBook, name: &str) -> Result<Prices, UnknownPrice> {
    let beside = book.price(region, "EC2", "gp3 storage")?.usd * (DISK_GB / HOURS_A_MONTH)
        + book.price(region, "EC2", "public IPv4 address")?.usd;
    let spot = book.spot(region, name, None)?;
    let on_demand = book.price(region, "EC2", &format!("{name} on-demand"))?;
    Ok(Prices {
        spot: (spot.low_usd.unwrap_or(spot.usd) + beside, spot.usd + beside),
        on_demand: on_demand.usd + beside,
    })
}

/// Those types of which the book has both prices; the others are named.
pub(super) fn with_prices(region: &str, book: &PriceBook) -> Vec<Machine> {
    let mut found = Vec::new();
    for kind in &TYPES {
        match prices(region, book, kind.name) {
            Ok(Prices { spot, on_demand }) => found.push(Machine {
                instance_type: kind.name.to_owned(),
                vcpus: kind.vcpus,
                threads_per_core: kind.threads_per_core,
                network_mbps: kind.network_mbps,
                has: kind.has.iter().map(|&set| set.to_owned()).collect(),
                spot,
                on_demand,
            }),
            Err(error) => tell(&format!("note: {} is left out: {error}", kind.name)),
        }
    }
    found
}

/// The same of types with a GPU.
pub(super) fn gpus_with_prices(region: &str, book: &PriceBook) -> Vec<GpuMachine> {
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for kind in &GPU_TYPES {
        match prices(region, book, kind.name) {
            Ok(Prices { spot, on_demand }) => found.push(GpuMachine {
                instance_type: kind.name.to_owned(),
                gpu: kind.gpu.to_owned(),
                vcpus: kind.vcpus,
                threads_per_core: 2,
                network_mbps: kind.network_mbps,
                spot,
                on_demand,
            }),
            Err(_) => left_out.push(kind.name),
        }
    }
    if !left_out.is_empty() {
        let names = left_out.join(", ");
        tell(&format!(
            "note: {names} are left out: no price of them in {region}: `tagfleet prices refresh --region {region}`"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use tagfleet_cost::usage::gpus_of;

    use super::*;

    #[test]
    fn they_are_those_of_the_template() {
        let template = include_str!("../../../infra/template.yaml");
        let names: Vec<&str> = TYPES.iter().map(|kind| kind.name).collect();
        assert!(template.contains(&format!("Default: {}\n", names.join(","))), "{names:?}");
        assert!(GPU_TYPES.iter().all(|kind| gpus_of(kind.name) == Some(1)), "as a bill counts them");
        let names: Vec<&str> = GPU_TYPES[..6].iter().map(|kind| kind.name).collect();
        assert!(template.contains(&format!("Default: {}\n", names.join(","))), "{names:?}");
    }
}
