//! The instance types that a plan compares, with their prices.
//!
//! The types are [`tagfleet_cost::instances`], the prices those of the price book. It asks AWS for nothing.

use tagfleet_cost::bill::{DISK_GB, HOURS_A_MONTH};
use tagfleet_cost::forecast::{GpuMachine, Machine};
use tagfleet_cost::instances::{CPU_INSTANCES, GPU_INSTANCES};
use tagfleet_cost::{PriceBook, UnknownPrice};

use crate::exit::tell;

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
    for kind in &CPU_INSTANCES {
        match prices(region, book, kind.name) {
            Ok(Prices { spot, on_demand }) => found.push(Machine {
                instance_type: kind.name.to_owned(),
                vcpus: kind.vcpus,
                threads_per_core: kind.threads_per_core,
                network_mbps: kind.network_mbps,
                has: kind.instruction_sets.iter().map(|&set| set.to_owned()).collect(),
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
    for kind in &GPU_INSTANCES {
        match prices(region, book, kind.name) {
            Ok(Prices { spot, on_demand }) => found.push(GpuMachine {
                instance_type: kind.name.to_owned(),
                gpu: kind.gpu.unwrap_or_default().to_owned(),
                vcpus: kind.vcpus,
                threads_per_core: kind.threads_per_core,
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
