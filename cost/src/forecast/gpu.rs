//! Machines with a GPU in a plan: what their vCPUs decode, what they cost, and how fast the GPU would have to
//! be to pay off.
//!
//! No GPU was measured, so the speed of a model on it is unknown and never invented: the plan gives only a
//! bound on either side. It never recommends such a machine.

use serde::Serialize;

use super::{Line, OVERHEAD, Question, Range, share_of_a_core};

/// A type of machine with one GPU, with its prices per hour, disk and address included.
#[derive(Clone, Debug)]
pub struct GpuMachine {
    /// `g6.xlarge`
    pub instance_type: String,
    /// `NVIDIA L4`
    pub gpu: String,
    /// Its vCPUs.
    pub vcpus: u32,
    /// 2 if two vCPUs share a core.
    pub threads_per_core: u32,
    /// What its network carries all the time, in Mbit/s.
    pub network_mbps: Option<u32>,
    /// Dollars per hour, lowest and highest.
    pub spot: (f64, f64),
    /// Dollars per hour.
    pub on_demand: f64,
}

/// What is known of one type of machine with a GPU.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GpuLine {
    /// As in [`GpuMachine::instance_type`].
    pub instance_type: String,
    /// As in [`GpuMachine::gpu`].
    pub gpu: String,
    /// Images a second that one machine's vCPUs decode and prepare, its network permitting: more than that no
    /// GPU gets.
    pub decodes: Range,
    /// Images a second of the model on the GPU: `None`, because it was not measured.
    pub infers: Option<Range>,
    /// Dollars of the whole run on spot machines at the least: at the highest rate of decoding and the lowest
    /// price.
    pub spot_usd_at_least: f64,
    /// The same on demand.
    pub on_demand_usd_at_least: f64,
    /// Images a second that one machine has to do, decoding and model together, to cost no more at the lowest
    /// spot price than what is recommended costs at the most; `None` if nothing is recommended.
    pub pays_from: Option<f64>,
    /// True if decoding was measured on another type of machine.
    pub is_scaled: bool,
}

impl GpuLine {
    /// Whether a fast enough GPU could make it cheaper than what is recommended.
    #[must_use]
    pub fn may_pay(&self) -> bool {
        self.pays_from.is_some_and(|rate| rate < self.decodes.high)
    }
}

/// A line for each type; `None` if decoding was not measured.
pub(super) fn lines(question: &Question, recommended: Option<&Line>) -> Vec<GpuLine> {
    let Some(decode_ms) = question.decode_ms.filter(|decode_ms| *decode_ms > 0.0) else { return vec![] };
    question.gpus.iter().map(|machine| line(question, decode_ms, machine, recommended)).collect()
}

fn line(question: &Question, decode_ms: f64, machine: &GpuMachine, recommended: Option<&Line>) -> GpuLine {
    let is_scaled = question.measured_on.as_deref() != Some(&machine.instance_type);
    let share = share_of_a_core(is_scaled, machine.threads_per_core);
    let network = question.network_rate(machine.network_mbps).unwrap_or(f64::INFINITY);
    let of = |share: f64| (f64::from(machine.vcpus) * share * 1000.0 / decode_ms).min(network);
    let decodes = Range { low: of(share.0), high: of(share.1) };
    let images = question.images as f64;
    let fixed = question.fixed.usd(|_| true);
    let at_least = |hour_usd: f64| fixed + images / decodes.high * (1.0 + OVERHEAD) / 3600.0 * hour_usd;
    let pays_from = recommended.map(|line| {
        let of_machines = line.spot_usd.high - fixed;
        images * (1.0 + OVERHEAD) / 3600.0 * machine.spot.0 / of_machines
    });
    GpuLine {
        instance_type: machine.instance_type.clone(),
        gpu: machine.gpu.clone(),
        decodes,
        infers: None,
        spot_usd_at_least: at_least(machine.spot.0),
        on_demand_usd_at_least: at_least(machine.on_demand),
        pays_from,
        is_scaled,
    }
}
