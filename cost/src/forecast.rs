//! Plan: what a run will take and cost, from a sample that was measured beforehand.
//!
//! Pure arithmetic over what others found: the sample's times, the prices, the machines. Every assumption
//! that goes into a figure is a note of the plan. It measures nothing, lists nothing and never looks a price
//! up.

pub mod estimate;
pub mod fixed;
pub mod gpu;
mod text;

use serde::{Deserialize, Serialize};

pub use estimate::Estimate;
pub use fixed::{Fixed, FixedCosts, Work};
pub use gpu::{GpuLine, GpuMachine};

use crate::assumptions::{BOOT_SECONDS, DEFAULT_WORKERS, IMAGES_PER_WORKER, OVERHEAD, S3_GETS_PER_SECOND};

/// The version of the JSON form.
pub const PLAN_VERSION: u32 = 1;
/// vCPUs of one worker on CPU machines, as the job definition has it.
pub const WORKER_VCPUS: u32 = 8;
/// What one vCPU of another machine does, as a share of a core here: a vCPU that is a core of its own, and
/// one that is half of a core. Wide on purpose: measure on the target to narrow it.
const WHOLE_CORE: (f64, f64) = (0.7, 1.1);
const HALF_CORE: (f64, f64) = (0.4, 0.75);
/// The same, if the sample was measured on the target's own type.
const SAME_TYPE: (f64, f64) = (0.95, 1.05);

/// What is to be planned.
#[derive(Clone, Debug)]
pub struct Question {
    /// Images that the run tags.
    pub images: u64,
    /// Rows that it keeps of an earlier run.
    pub kept: u64,
    /// The share of its images that have the same bytes as another, 0 to 1, about.
    pub copies: f64,
    /// How the number of images is known.
    pub images_are: CountSource,
    /// Bytes of an image, on average.
    pub mean_bytes: f64,
    /// Prefixes or folders of the listed images.
    pub prefixes: u32,
    /// Seconds within which it has to be done.
    pub deadline_seconds: Option<u64>,
    /// `us-east-1`
    pub region: String,
    /// What was measured, one for each engine and precision.
    pub engine_rates: Vec<EngineRate>,
    /// What it could run on.
    pub machines: Vec<Machine>,
    /// Machines with a GPU, for which only decoding can be estimated.
    pub gpus: Vec<GpuMachine>,
    /// CPU time of decoding and preparing one image on one core here, without the model, in milliseconds.
    pub decode_ms: Option<f64>,
    /// What everything but machines costs, for all images.
    pub fixed: FixedCosts,
    /// The type of the machine that measured, if it is one of EC2's.
    pub measured_on: Option<String>,
    /// The most vCPUs that the fleet may hold at once.
    pub ceiling: Ceiling,
}

/// The most vCPUs that a fleet may hold at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// How many.
    pub vcpus: u32,
    /// The source of the limit: `the stack tagfleet`.
    pub set_by: String,
}

impl Ceiling {
    /// Machines of this type that fit under it, at least one: Batch goes over its limit by less than one
    /// machine.
    fn machines(&self, machine: &Machine) -> u32 {
        (self.vcpus / machine.vcpus.max(1)).max(1)
    }
}

impl Question {
    /// Images a second that a network carries.
    fn network_rate(&self, mbps: Option<u32>) -> Option<f64> {
        mbps.map(|mbps| f64::from(mbps) * 1e6 / 8.0 / self.mean_bytes.max(1.0))
    }
}

/// How a number of images is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CountSource {
    /// All were listed.
    Counted,
    /// This many were listed, and there are more.
    AtLeast,
    /// The user gave it.
    Said,
}

/// An engine in a precision, measured on the sample.
#[derive(Clone, Debug, Serialize)]
pub struct EngineRate {
    /// `onnxruntime 1.32.0 fp32`
    pub engine: String,
    /// Flags that choose it.
    pub flags: String,
    /// CPU time of one image on one core here, decoding included, in milliseconds.
    pub cpu_ms: f64,
    /// How many images have the same top tag as with fp32, and of how many; `None` for fp32 itself.
    pub agreement: Option<(u32, u32)>,
    /// The instruction set without which a worker refuses it, `vnni` or a set of brain floats.
    pub needs: Option<String>,
}

/// A type of machine with its prices per hour, disk and address included.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `c7a.2xlarge`
    pub instance_type: String,
    /// Its vCPUs.
    pub vcpus: u32,
    /// 2 if two vCPUs share a core.
    pub threads_per_core: u32,
    /// What its network carries all the time, in Mbit/s.
    pub network_mbps: Option<u32>,
    /// Instruction sets that matter here.
    pub has: Vec<String>,
    /// Dollars per hour, lowest and highest.
    pub spot: (f64, f64),
    /// Dollars per hour.
    pub on_demand: f64,
}

/// From the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

impl Range {
    /// The same of both figures.
    pub(crate) fn map(self, of: impl Fn(f64) -> f64) -> Self {
        Self { low: of(self.low), high: of(self.high) }
    }
}

/// What bounds a fleet's speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bottleneck {
    /// Its processors.
    Processors,
    /// The machine's network.
    Network,
    /// What S3 promises for the prefixes.
    S3Requests,
    /// The stack's limit of vCPUs: the run would have more workers otherwise.
    MaxVcpus,
}

/// One engine on one type of machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// As in [`EngineRate::engine`].
    pub engine: String,
    /// As in [`Machine::instance_type`].
    pub instance_type: String,
    /// Machines at once.
    pub instances: u32,
    /// vCPUs of all of them: what the account's quota has to allow.
    pub vcpus: u32,
    /// Images a second, all machines together.
    pub images_per_second: Range,
    /// From the start to the end.
    pub hours: Range,
    /// Machine hours paid for.
    pub instance_hours: Range,
    /// Dollars in all on spot machines.
    pub spot_usd: Range,
    /// Dollars in all on demand.
    pub on_demand_usd: Range,
    /// What binds.
    pub limit: Bottleneck,
    /// False if it may take longer than the deadline.
    pub keeps_deadline: bool,
    /// True if it was measured on another type of machine.
    pub is_scaled: bool,
}

/// The plan.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// Images that are tagged.
    pub images: u64,
    /// Rows that are kept of an earlier run.
    pub kept: u64,
    /// The share of the images that have the same bytes as another, 0 to 1, about.
    pub copies: f64,
    /// How the number of images is known.
    pub images_are: CountSource,
    /// Bytes of one, on average.
    pub mean_bytes: f64,
    /// The region of the prices.
    pub region: String,
    /// What was measured here.
    pub measured: Vec<EngineRate>,
    /// What no machine changes.
    pub requests: Vec<Fixed>,
    /// The cheapest on spot first.
    pub lines: Vec<Line>,
    /// One sentence.
    pub recommendation: String,
    /// The place in `lines` of what is recommended.
    pub recommended: Option<usize>,
    /// CPU time of decoding and preparing one image on one core here, in milliseconds.
    pub decode_ms: Option<f64>,
    /// What is known of machines with a GPU.
    pub gpu_lines: Vec<GpuLine>,
    /// What was assumed.
    pub notes: Vec<String>,
    /// What is recommended in figures, as a request keeps it.
    pub estimate: Option<Estimate>,
}

/// Plans a run.
#[must_use]
pub fn plan(question: Question) -> Plan {
    let mut lines = Vec::new();
    for way in &question.engine_rates {
        for machine in &question.machines {
            if way.needs.as_ref().is_none_or(|set| machine.has.contains(set)) {
                lines.push(line(&question, way, machine));
            }
        }
    }
    lines.sort_by(|a, b| a.spot_usd.high.total_cmp(&b.spot_usd.high));
    let recommended = recommended(&lines, &question.engine_rates);
    let gpu_lines = gpu::lines(&question, recommended.map(|at| &lines[at]));
    let estimate = recommended.map(|at| Estimate::of(&lines[at], question.images, &question.fixed));
    Plan {
        version: PLAN_VERSION,
        images: question.images,
        kept: question.kept,
        copies: question.copies,
        images_are: question.images_are,
        mean_bytes: question.mean_bytes,
        recommendation: text::recommendation(recommended.map(|at| &lines[at]), &question),
        notes: text::notes(&question, &lines, &gpu_lines),
        region: question.region,
        measured: question.engine_rates,
        requests: question.fixed.lines,
        lines,
        recommended,
        decode_ms: question.decode_ms,
        gpu_lines,
        estimate,
    }
}

fn line(question: &Question, way: &EngineRate, machine: &Machine) -> Line {
    let is_scaled = question.measured_on.as_deref() != Some(&machine.instance_type);
    let share = share_of_a_core(is_scaled, machine.threads_per_core);
    let network = question.network_rate(machine.network_mbps);
    let of_processors = |share: f64| f64::from(machine.vcpus) * share * 1000.0 / way.cpu_ms;
    let of_one = |share: f64| of_processors(share).min(network.unwrap_or(f64::INFINITY));
    let (slow, fast) = (of_one(share.0), of_one(share.1));
    let s3 = S3_GETS_PER_SECOND * f64::from(question.prefixes.max(1));
    // More than S3 can feed would only wait.
    let wanted = instances(question, machine, slow).min((s3 / slow).ceil() as u32).max(1);
    let instances = wanted.min(question.ceiling.machines(machine));
    let of_all = |rate: f64| (rate * f64::from(instances)).min(s3);
    let rate = Range { low: of_all(slow), high: of_all(fast) };
    let limit = match (rate.low * 1.0001 >= s3, network) {
        (true, _) => Bottleneck::S3Requests,
        (false, _) if instances < wanted => Bottleneck::MaxVcpus,
        (false, Some(network)) if of_processors(share.0) > network => Bottleneck::Network,
        _ => Bottleneck::Processors,
    };
    let images = question.images as f64;
    let hours = |rate: f64| (images / rate * (1.0 + OVERHEAD) + BOOT_SECONDS as f64) / 3600.0;
    let hours = Range { low: hours(rate.high), high: hours(rate.low) };
    let instance_hours =
        Range { low: hours.low * f64::from(instances), high: hours.high * f64::from(instances) };
    let fixed = question.fixed.usd(|_| true);
    let usd = |(low, high): (f64, f64)| Range {
        low: fixed + instance_hours.low * low,
        high: fixed + instance_hours.high * high,
    };
    Line {
        engine: way.engine.clone(),
        instance_type: machine.instance_type.clone(),
        instances,
        vcpus: instances * machine.vcpus,
        images_per_second: rate,
        hours,
        instance_hours,
        spot_usd: usd(machine.spot),
        on_demand_usd: usd((machine.on_demand, machine.on_demand)),
        limit,
        keeps_deadline: question
            .deadline_seconds
            .is_none_or(|deadline| hours.high * 3600.0 <= deadline as f64),
        is_scaled,
    }
}

/// What a vCPU does of what a core here does, least and most.
fn share_of_a_core(is_scaled: bool, threads_per_core: u32) -> (f64, f64) {
    match (is_scaled, threads_per_core) {
        (false, _) => SAME_TYPE,
        (true, 1) => WHOLE_CORE,
        (true, _) => HALF_CORE,
    }
}

/// As many as the deadline needs at the lowest rate; else as many as a request gets that names no number.
fn instances(question: &Question, machine: &Machine, slow: f64) -> u32 {
    let needed = match question.deadline_seconds {
        Some(deadline) => {
            let seconds = deadline.saturating_sub(BOOT_SECONDS).max(1) as f64;
            (question.images as f64 * (1.0 + OVERHEAD) / slow / seconds).ceil()
        }
        None => {
            let workers = question.images.div_ceil(IMAGES_PER_WORKER).clamp(1, DEFAULT_WORKERS);
            (workers as f64 * f64::from(WORKER_VCPUS) / f64::from(machine.vcpus)).ceil()
        }
    };
    // A cast of a float saturates.
    (needed as u32).clamp(1, 10_000)
}

/// The cheapest that keeps the deadline and whose answers are those of fp32 in at least 99 of 100 images of
/// the sample.
fn recommended(lines: &[Line], engine_rates: &[EngineRate]) -> Option<usize> {
    let agrees = |line: &&Line| {
        let way = engine_rates.iter().find(|way| way.engine == line.engine);
        way.and_then(|way| way.agreement).is_none_or(|(same, of)| same * 100 >= of * 99)
    };
    let best = lines.iter().filter(agrees).find(|line| line.keeps_deadline);
    let best = best.or_else(|| lines.iter().find(agrees))?;
    lines.iter().position(|line| line == best)
}

impl Plan {
    /// The plan for a person.
    #[must_use]
    pub fn text(&self) -> String {
        text::text(self)
    }
}

#[cfg(test)]
mod tests;
