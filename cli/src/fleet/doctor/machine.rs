//! `tagfleet doctor --local`: what this machine has, and whether a small model works on each engine.
//!
//! It opens no connection and leaves no file. The model runs as in a run: in the sandboxed child.

use std::path::Path;

use tagfleet_fleet::request::TagOverrides;
use tagfleet_model::engine::{
    self, DeviceChoice, EngineChoice, Found, FoundLibrary, Precision, available_memory, instruction_sets,
};
use tagfleet_model::sample;
use tagfleet_pipeline::format::size;
use tagfleet_pipeline::tags::Outcome;

use super::finding::Finding;
use crate::args::LoadOptions;
use crate::exit::{Failure, broken};
use crate::loading::Loading;
use crate::model_source::ModelSource;

/// Below this, large pictures fail and engines may be killed: 512 MiB for the decoders, as much for a model.
const ENOUGH_MEMORY: u64 = 1 << 30;

/// All that is found.
pub(super) fn check() -> Result<Vec<Finding>, Failure> {
    let folder = tempfile::tempdir().map_err(broken)?;
    sample::write_model(folder.path()).map_err(broken)?;
    let works = |engine: EngineChoice| check_tag(engine, folder.path());
    let mut findings: Vec<Finding> =
        engine::found().iter().map(|found| judge_engine(found, &works)).collect();
    findings.push(judge_processor(instruction_sets().as_deref(), cores()));
    findings.push(judge_memory(available_memory()));
    Ok(findings)
}

/// Whether the built-in picture gets its tag from the built-in model on this engine.
fn check_tag(engine: EngineChoice, model: &Path) -> Result<(), Failure> {
    let options = LoadOptions {
        model_file: None,
        engine,
        precision: Precision::Fp32,
        onnxruntime: None,
        openvino: None,
        no_exif: false,
        exact: false,
        download: false,
    };
    let tags = TagOverrides { top_k: Some(1), ..TagOverrides::default() };
    let loading = Loading::new(ModelSource::at(model), &options, DeviceChoice::Cpu, &tags, None)?;
    let isolation = loading.isolate(1)?;
    let mut taggers = isolation.taggers();
    let tagger = taggers.first_mut().ok_or_else(|| broken("the model's process has no thread"))?;
    let outcomes = tagger.tag(&[&sample::picture()]).map_err(broken)?;
    let best = match outcomes.into_iter().next() {
        Some(Outcome::Tagged(tagged)) => tagged.tags.into_iter().next().map(|tag| tag.label),
        Some(Outcome::Failed(failure)) => return Err(broken(failure)),
        None => None,
    };
    match best.as_deref().unwrap_or("nothing") {
        sample::BEST_TAG => Ok(()),
        other => Err(broken(format!("a red picture was tagged {other}"))),
    }
}

fn judge_engine(found: &Found, works: &dyn Fn(EngineChoice) -> Result<(), Failure>) -> Finding {
    let (check, engine) = match found.name {
        "ONNX Runtime" => ("onnxruntime", EngineChoice::OnnxRuntime),
        "OpenVINO" => ("openvino", EngineChoice::OpenVino),
        _ => ("tract", EngineChoice::Tract),
    };
    match &found.library {
        Ok(library) => judge_library(check, library, works(engine)),
        Err(_) if check == "openvino" => Finding::ok(
            check,
            "not found; it is optional, for int8 (QDQ) models and bf16: `pip install openvino`",
        ),
        Err(error) => Finding::warn(
            check,
            format!("{error}"),
            "`pip install onnxruntime` into the environment of tagfleet; without it models run on tract, which is slower",
        ),
    }
}

fn judge_library(check: &'static str, library: &FoundLibrary, works: Result<(), Failure>) -> Finding {
    match works {
        Ok(()) => Finding::ok(check, format!("{library}; a small model works")),
        Err(failure) => Finding::fail(
            check,
            format!("{library}; a small model does not work: {}", failure.message()),
            "install this engine again, or choose another with --engine",
        ),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn judge_processor(sets: Option<&[&str]>, cores: usize) -> Finding {
    const CHECK: &str = "processor";
    let cores = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
    let arch = std::env::consts::ARCH;
    match sets {
        Some(sets) if arch == "x86_64" && !sets.contains(&"avx2") => Finding::warn(
            CHECK,
            format!("{cores}, {arch} without avx2: models run several times slower"),
            "use a machine with avx2; in a virtual machine, pass the host's processor through",
        ),
        Some(sets) if !sets.is_empty() => Finding::ok(CHECK, format!("{cores}, {arch}: {}", sets.join(" "))),
        _ => Finding::ok(CHECK, format!("{cores}, {arch}")),
    }
}

fn judge_memory(available: Option<u64>) -> Finding {
    const CHECK: &str = "memory";
    match available {
        Some(bytes) if bytes < ENOUGH_MEMORY => Finding::warn(
            CHECK,
            format!("{} available: large pictures may fail, and the run may be killed", size(bytes)),
            "close other programs, or raise the container's limit",
        ),
        Some(bytes) => Finding::ok(CHECK, format!("{} available", size(bytes))),
        None => Finding::ok(CHECK, "the system does not report it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::doctor::finding::Level;

    fn level(finding: &Finding) -> (Level, bool) {
        (finding.level, finding.to_do.is_some())
    }

    #[test]
    fn an_engine_that_is_found_and_does_not_work_is_to_be_fixed() {
        let library = FoundLibrary { version: "1.32.0".to_owned(), path: Some("/x/lib.so".into()) };
        let good = judge_library("onnxruntime", &library, Ok(()));
        assert_eq!(
            (level(&good), good.found.as_str()),
            ((Level::Ok, false), "1.32.0 from /x/lib.so; a small model works")
        );
        let bad = judge_library("onnxruntime", &library, Err(broken("illegal instruction")));
        assert_eq!(level(&bad), (Level::Fail, true));
        assert!(bad.found.contains("illegal instruction"));
    }

    #[test]
    fn little_memory_is_a_warning() {
        assert_eq!(level(&judge_memory(Some(ENOUGH_MEMORY))), (Level::Ok, false));
        assert_eq!(level(&judge_memory(Some(ENOUGH_MEMORY - 1))), (Level::Warn, true));
        assert_eq!(level(&judge_memory(None)), (Level::Ok, false));
    }

    #[test]
    fn an_old_processor_is_a_warning() {
        if cfg!(target_arch = "x86_64") {
            assert_eq!(level(&judge_processor(Some(&["fma"]), 2)), (Level::Warn, true));
        }
        assert_eq!(level(&judge_processor(Some(&["avx2", "asimd"]), 2)), (Level::Ok, false));
        assert_eq!(level(&judge_processor(None, 1)), (Level::Ok, false));
    }
}
