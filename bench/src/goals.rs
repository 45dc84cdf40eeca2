//! The performance goals, as ratios of figures that were measured together.
//!
//! Nothing is asserted: a goal is reached, missed, or not measured.

use crate::engines::EngineConfig;
use crate::models::Network::{MobileNetV2, ResNet50};
use crate::results::{Part, Quantity, Results};
use crate::rows::{
    DECODE, FP32, NO_MODEL, OPENVINO_DEFAULT, PREPARE, cores_row, infer_row, name_of_pool, name_of_ray,
    name_of_spark, name_of_tagfleet,
};
use Bound::{AtLeast, Below};

/// A goal and its state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) target: &'static str,
    /// The figure, for people; `None` if it was not measured.
    pub(crate) measured: Option<String>,
    pub(crate) is_reached: Option<bool>,
}

/// Which side of the bound is good.
#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    Below(f64),
}

/// A goal, and how it follows from the figures.
struct Definition {
    what: &'static str,
    target: &'static str,
    bound: Bound,
    unit: &'static str,
    value: fn(&Results) -> Option<f64>,
}

const fn define(
    (what, target): (&'static str, &'static str),
    bound: Bound,
    unit: &'static str,
    value: fn(&Results) -> Option<f64>,
) -> Definition {
    Definition { what, target, bound, unit, value }
}

const AGAINST_PEERS: [Definition; 8] = [
    define(
        ("images/s over the Python pool's, MobileNetV2 fp32 in ONNX Runtime", "at least 1.15"),
        AtLeast(1.15),
        "",
        |results| usual_over(results, &name_of_pool(FP32), Quantity::ImagesPerSecond),
    ),
    define(("CPU per image over the pool's, the same", "less than 1"), Below(1.0), "", |results| {
        usual_over(results, &name_of_pool(FP32), Quantity::CpuMs)
    }),
    define(("images/s over PySpark's, the same", "at least 1.6"), AtLeast(1.6), "", |results| {
        usual_over(results, &name_of_spark(), Quantity::ImagesPerSecond)
    }),
    define(("images/s over Ray Data's, the same", "at least 1.45"), AtLeast(1.45), "", |results| {
        usual_over(results, &name_of_ray(), Quantity::ImagesPerSecond)
    }),
    define(
        ("images/s over the pool's with OpenVINO, MobileNetV2 bf16", "at least 1.2"),
        AtLeast(1.2),
        "",
        |results| over_pool(results, Part::PeersMobilenet, EngineConfig::bf16(MobileNetV2), OPENVINO_DEFAULT),
    ),
    define(
        ("images/s over the fp32 pool's, MobileNetV2 int8", "at least 2.2, on AMX"),
        AtLeast(2.2),
        "",
        |results| over_pool(results, Part::PeersMobilenet, EngineConfig::int8(MobileNetV2), FP32),
    ),
    define(
        ("images/s over the fp32 pool's, ResNet-50 int8", "at least 6.5, on AMX"),
        AtLeast(6.5),
        "",
        |results| over_pool(results, Part::PeersResnet, EngineConfig::int8(ResNet50), FP32),
    ),
    define(
        ("images/s over the pool's, pictures of 12 megapixels", "at least 2.8"),
        AtLeast(2.8),
        "",
        |results| over_pool(results, Part::PeersLarge, EngineConfig::usual(MobileNetV2), FP32),
    ),
];

const ALONE: [Definition; 8] = [
    define(
        (
            "CPU of the stages alone over that of the whole run, MobileNetV2 fp32 in ONNX Runtime",
            "at least 0.95",
        ),
        AtLeast(0.95),
        "",
        |results| efficiency(results, EngineConfig::usual(MobileNetV2)),
    ),
    define(
        ("images/s of two cores over one, MobileNetV2 fp32 in ONNX Runtime", "at least 1.9"),
        AtLeast(1.9),
        "",
        |results| two_cores(results, EngineConfig::usual(MobileNetV2)),
    ),
    define(("the same, MobileNetV2 int8 in OpenVINO", "at least 1.9"), AtLeast(1.9), "", |results| {
        two_cores(results, EngineConfig::int8(MobileNetV2))
    }),
    define(
        ("start to first image tagged: at most a whole run of one image", "under 1 s"),
        Below(1.0),
        " s",
        |results| usual_run(results, Quantity::OneImage),
    ),
    define(("peak memory with MobileNetV2", "under 400 MB"), Below(400.0), " MB", |results| {
        usual_run(results, Quantity::PeakMb)
    }),
    define(
        (
            "images/s at 30 ms per GET over a local folder's, MobileNetV2 fp32 in ONNX Runtime",
            "at least 0.97",
        ),
        AtLeast(0.97),
        "",
        |results| late(results, EngineConfig::usual(MobileNetV2)),
    ),
    define(("the same, MobileNetV2 int8 in OpenVINO", "at least 0.97"), AtLeast(0.97), "", |results| {
        late(results, EngineConfig::int8(MobileNetV2))
    }),
    define(
        ("shards, reading, Parquet, queue and progress in the CPU of the whole run", "under 2 %"),
        Below(2.0),
        " %",
        |results| {
            let others = results.median(Part::Overhead, NO_MODEL, Quantity::CpuMs)?;
            Some(others / usual_run(results, Quantity::CpuMs)? * 100.0)
        },
    ),
];

impl Definition {
    fn goal(&self, results: &Results) -> Goal {
        let value = (self.value)(results);
        let decimals = if value.is_some_and(|value| value >= 100.0) { 0 } else { 2 };
        Goal {
            what: self.what,
            target: self.target,
            measured: value.map(|value| format!("{value:.decimals$}{}", self.unit)),
            is_reached: value.map(|value| match self.bound {
                AtLeast(bound) => value >= bound,
                Below(bound) => value < bound,
            }),
        }
    }
}

/// All goals.
pub(crate) fn goals(results: &Results) -> Vec<Goal> {
    AGAINST_PEERS.iter().chain(&ALONE).map(|definition| definition.goal(results)).collect()
}

/// CPU of the stages alone over CPU of the whole run.
fn efficiency(results: &Results, config: EngineConfig) -> Option<f64> {
    let whole = results.median(Part::runs(config.network)?, &config.name(), Quantity::CpuMs)?;
    Some(stages(results, config)? / whole)
}

/// CPU milliseconds of decode, resize and infer, each alone.
pub(crate) fn each_stage(results: &Results, config: EngineConfig) -> Option<[f64; 3]> {
    let stage = |name: &str| results.median(Part::Stages, name, Quantity::CpuMs);
    Some([stage(DECODE)?, stage(PREPARE)?, stage(&infer_row(config))?])
}

/// CPU milliseconds of decode, resize and infer together.
fn stages(results: &Results, config: EngineConfig) -> Option<f64> {
    each_stage(results, config).map(|stages| stages.iter().sum())
}

fn usual_over(results: &Results, theirs: &str, quantity: Quantity) -> Option<f64> {
    let ours = name_of_tagfleet(EngineConfig::usual(MobileNetV2), false);
    ratio(results, Part::PeersMobilenet, (&ours, theirs), quantity)
}

fn over_pool(results: &Results, part: Part, config: EngineConfig, pool: &str) -> Option<f64> {
    let (ours, theirs) = (name_of_tagfleet(config, false), name_of_pool(pool));
    ratio(results, part, (&ours, &theirs), Quantity::ImagesPerSecond)
}

fn two_cores(results: &Results, config: EngineConfig) -> Option<f64> {
    let (one, two) = (cores_row(config, 1), cores_row(config, 2));
    ratio(results, Part::Cores, (&two, &one), Quantity::ImagesPerSecond)
}

fn late(results: &Results, config: EngineConfig) -> Option<f64> {
    let of = |quantity| results.median(Part::Latency, &config.name(), quantity);
    Some(of(Quantity::DelayedImagesPerSecond)? / of(Quantity::ImagesPerSecond)?)
}

fn usual_run(results: &Results, quantity: Quantity) -> Option<f64> {
    results.median(Part::RunsMobilenet, &EngineConfig::usual(MobileNetV2).name(), quantity)
}

fn ratio(results: &Results, part: Part, (ours, theirs): (&str, &str), quantity: Quantity) -> Option<f64> {
    Some(results.median(part, ours, quantity)? / results.median(part, theirs, quantity)?)
}
