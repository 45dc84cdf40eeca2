//! BENCHMARKS.md as it comes out, of figures that were never measured.

use std::collections::BTreeMap;

use super::*;
use crate::engines::EngineConfig;
use crate::gpu;
use crate::gpu::options::GpuPrecision;
use crate::machine::Machine;
use crate::measure::Slope;
use crate::models::Network;
use crate::results::Rows;
use crate::rows::{DECODE, PREPARE, cores_row, infer_row, name_of_pool, name_of_spark, name_of_tagfleet};

fn measured(rows: Rows) -> Measured {
    let Rows(rows) = rows;
    Measured {
        date: "2026-11-25".to_owned(),
        load: Some(0.12),
        command: "make bench".to_owned(),
        repetitions: 3,
        pictures: "200 different generated pictures".to_owned(),
        versions: BTreeMap::from([("tagfleet".to_owned(), "0.1.0 (0000000)".to_owned())]),
        rows,
    }
}

fn slopes(rows: &mut Rows, name: &str, rates: [f64; 3]) {
    for images_per_second in rates {
        let cpu_ms = 2000.0 / images_per_second;
        rows.add_slope(name, Some(Slope { images_per_second, cpu_ms, start_up: 0.5 }));
    }
}

/// Figures of some parts: whole runs at `rate`, one core and two, stages, and peers of which one is absent.
pub(crate) fn results(rate: f64) -> Results {
    let machine = Machine {
        processor: "Some CPU".to_owned(),
        cores: 2,
        instructions: vec!["avx2".to_owned(), "avx512_vnni".to_owned()],
        memory_gib: 24,
        system: "linux x86_64".to_owned(),
        gpu: None,
    };
    let config = EngineConfig::usual(Network::MobileNetV2);
    let (mut stages, mut runs, mut peers) = (Rows::default(), Rows::default(), Rows::default());
    for (name, cpu_ms) in [(DECODE.to_owned(), 1.7), (PREPARE.to_owned(), 0.5), (infer_row(config), 5.4)] {
        stages.add(&name, Quantity::CpuMs, cpu_ms);
    }
    slopes(&mut runs, &config.name(), [rate, rate + 2.0, rate - 1.0]);
    runs.add(&config.name(), Quantity::OneImage, 0.4);
    runs.add(&config.name(), Quantity::PeakMb, 210.4);
    runs.fail(&EngineConfig::bf16(Network::MobileNetV2).name(), "this processor has no bf16");
    let mut cores = Rows::default();
    slopes(&mut cores, &cores_row(config, 1), [rate / 2.0; 3]);
    slopes(&mut cores, &cores_row(config, 2), [rate * 0.96; 3]);
    slopes(&mut peers, &name_of_tagfleet(config, false), [rate; 3]);
    slopes(&mut peers, &name_of_pool("ONNX Runtime fp32"), [200.0; 3]);
    peers.fail(&name_of_spark(), "absent: no module named 'pyspark'");
    let mut results = Results::new(machine);
    results.parts.insert(Part::Stages, measured(stages));
    results.parts.insert(Part::RunsMobilenet, measured(runs));
    results.parts.insert(Part::Cores, measured(cores));
    results.parts.insert(Part::PeersMobilenet, measured(peers));
    results
}

#[test]
fn the_whole_file() {
    insta::assert_snapshot!(markdown(&results(250.0), None));
}

/// Figures of a GPU that was never there.
fn on_gpu() -> Results {
    let mut rows = Rows::default();
    for precision in [GpuPrecision::Fp32, GpuPrecision::Fp16] {
        let config = gpu::GpuConfig { network: Network::MobileNetV2, precision };
        for (contender, rate) in [(gpu::Contender::Tagfleet, 4000.0), (gpu::Contender::PyTorch, 3800.0)] {
            rows.add(&config.alone(contender), Quantity::ImagesPerSecond, rate);
            rows.add(&config.alone(contender), Quantity::Batch, 64.0);
        }
        slopes(&mut rows, &config.whole(gpu::Contender::Tagfleet, 4), [1450.0, 1440.0, 1460.0]);
        slopes(&mut rows, &config.whole(gpu::Contender::Tagfleet, 8), [2600.0; 3]);
        slopes(&mut rows, &config.whole(gpu::Contender::PyTorch, 4), [900.0; 3]);
    }
    rows.add(&gpu::decode_row(4), Quantity::ImagesPerSecond, 1500.0);
    rows.add(&gpu::decode_row(8), Quantity::ImagesPerSecond, 2900.0);
    rows.add("MobileNetV2 fp16 beside fp32 on the processor", Quantity::Agreement, 99.5);
    rows.add("MobileNetV2 fp16 beside fp32 on the processor", Quantity::Difference, 0.0032);
    let machine = Machine { gpu: Some("Some GPU".to_owned()), cores: 8, ..results(250.0).machine };
    let mut results = Results::new(machine);
    results.parts.insert(Part::GpuMobilenet, measured(rows));
    results
}

#[test]
fn figures_of_a_gpu_stand_behind_the_others() {
    let text = markdown(&Results::new(results(250.0).machine), Some(&on_gpu()));
    let (_, text) = text.split_once("# On a GPU").unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn figures_are_stored_as_they_are() {
    let results = results(250.0);
    let text = serde_json::to_string_pretty(&results).unwrap();
    assert_eq!(Results::parse(&text).unwrap(), results);
    let newer = text.replacen("\"version\": 1", "\"version\": 2", 1);
    let error = Results::parse(&newer).unwrap_err().to_string();
    assert!(error.contains("version 2"), "{error}");
}

#[test]
fn what_is_committed_is_what_was_measured() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let results = Results::parse(&read("bench/results.json")).unwrap();
    let on_gpu =
        root.join("bench/gpu.json").exists().then(|| Results::parse(&read("bench/gpu.json")).unwrap());
    assert!(
        markdown(&results, on_gpu.as_ref()) == read("BENCHMARKS.md"),
        "write it again: target/debug/bench --render"
    );
}
