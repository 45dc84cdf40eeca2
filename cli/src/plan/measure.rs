//! Each engine and precision that runs on this machine, timed on the sample, and whether its answers are
//! those of fp32.
//!
//! One thread at a time in a process of its own, as a run has it, so that an image that crashes costs itself.
//! The faster of two passes counts, because every disturbance makes one slower.

use std::time::Instant;

use tagfleet_cost::forecast::EngineRate;
use tagfleet_model::decode::{Limits, PixelBudget, decode};
use tagfleet_model::engine::{self, DeviceChoice, EngineChoice, EngineOptions, EngineRecord, Precision};
use tagfleet_model::graph::Quantization;
use tagfleet_model::tensor::{Preprocessor, TensorError};
use tagfleet_pipeline::run;
use tagfleet_pipeline::tagger::Tagger;
use tagfleet_pipeline::tags::Outcome;

use crate::args::LoadOptions;
use crate::exit::{Failure, bad_input, broken, tell};
use crate::loading::Loading;

/// A pass ends after this many seconds, with however many images it has done: slow models need no two
/// hundred.
const MOST_SECONDS: u64 = 30;

/// The engines to try, with the flags that choose them. The others are compared with the first one that runs.
const CHOICES: [(EngineChoice, Precision, &str); 4] = [
    (EngineChoice::OnnxRuntime, Precision::Fp32, "--engine onnxruntime"),
    (EngineChoice::OpenVino, Precision::Fp32, "--engine openvino"),
    (EngineChoice::OpenVino, Precision::Bf16, "--precision bf16"),
    (EngineChoice::Tract, Precision::Fp32, "--engine tract"),
];

/// The top label of each image; `None` if it failed.
type Answers = Vec<Option<u32>>;

/// The measurements of all engines.
pub(super) struct Measurements {
    /// An engine in a precision each.
    pub(super) engine_rates: Vec<EngineRate>,
    /// CPU time of decoding and preparing an image, without the model, in milliseconds; `None` if nothing was
    /// tagged.
    pub(super) decode_ms: Option<f64>,
}

/// Measures every engine that runs; a note names each of the others with the reason.
pub(super) fn measure(
    loading: &Loading,
    options: &LoadOptions,
    images: &[Vec<u8>],
) -> Result<Measurements, Failure> {
    let (mut engine_rates, mut reference): (Vec<EngineRate>, Option<Answers>) = (Vec::new(), None);
    for (choice, precision, flags) in CHOICES {
        if precision == Precision::Bf16 && loading.model.spec.quantization != Quantization::None {
            continue;
        }
        let engine = EngineOptions {
            choice,
            precision,
            device: DeviceChoice::Cpu,
            onnxruntime: options.onnxruntime.as_deref(),
            openvino: options.openvino.as_deref(),
        };
        let resolved = engine::resolve(&engine, &loading.model).map_err(bad_input);
        let Timing { record, cpu_ms, answers } =
            match resolved.and_then(|resolved| time(loading, resolved.record, images)) {
                Ok(timing) => timing,
                Err(failure) => {
                    tell(&format!("note: not measured with {flags}: {}", failure.message()));
                    continue;
                }
            };
        let agreement = reference.as_ref().map(|reference| agreement(reference, &answers));
        reference.get_or_insert(answers);
        engine_rates.push(EngineRate {
            engine: run::EngineRecord::from(&record).to_string(),
            flags: flags.to_owned(),
            cpu_ms,
            agreement,
            needs: record.instructions,
        });
    }
    let Some(answers) = reference else {
        return Err(broken("no engine on this machine can run the model: see the notes"));
    };
    let tagged = images.iter().zip(&answers).filter(|(_, answer)| answer.is_some()).map(|(image, _)| image);
    let decode_ms = decoding(loading, &tagged.collect::<Vec<_>>()).map_err(broken)?;
    Ok(Measurements { engine_rates, decode_ms })
}

/// Milliseconds that decoding and preparing take of an image, the faster of two passes. In this process, so
/// only of images that another one has decoded before without harm.
fn decoding(loading: &Loading, images: &[&Vec<u8>]) -> Result<Option<f64>, TensorError> {
    let spec = &loading.model.spec.preprocessing;
    let mut preprocessor = Preprocessor::new(spec)?;
    let mut tensor = vec![0.0; preprocessor.tensor_len()];
    let budget = PixelBudget::new(Limits::default().max_memory);
    let mut pass = || -> Result<Option<f64>, TensorError> {
        let (began, mut done) = (Instant::now(), 0);
        for image in images {
            if let Ok(decoded) = decode(image, &Limits::default(), &budget, spec.exif, &preprocessor) {
                preprocessor.write(&decoded.pixels, &decoded.grid, &mut tensor)?;
                done += 1;
            }
            if began.elapsed().as_secs() >= MOST_SECONDS {
                break;
            }
        }
        Ok((done > 0).then(|| began.elapsed().as_secs_f64() * 1e3 / f64::from(done)))
    };
    let (first, second) = (pass()?, pass()?);
    Ok(first.zip(second).map(|(first, second)| first.min(second)))
}

/// An engine's time and answers.
struct Timing {
    record: EngineRecord,
    /// CPU time of an image in milliseconds, of the faster of two passes.
    cpu_ms: f64,
    answers: Answers,
}

fn time(loading: &Loading, record: EngineRecord, images: &[Vec<u8>]) -> Result<Timing, Failure> {
    let isolation = loading.isolate_with(&record, 1)?;
    let mut taggers = isolation.taggers();
    let tagger = taggers.first_mut().ok_or_else(|| broken("no tagger was made"))?;
    let mut answers = Answers::new();
    let first = pass(tagger.as_mut(), images, &mut answers)?;
    let second = pass(tagger.as_mut(), images, &mut Answers::new())?;
    Ok(Timing { record, cpu_ms: first.min(second), answers })
}

/// Milliseconds per image.
fn pass(tagger: &mut dyn Tagger, images: &[Vec<u8>], answers: &mut Answers) -> Result<f64, Failure> {
    let began = Instant::now();
    for image in images {
        let outcomes = tagger.tag(&[image.as_slice()]).map_err(broken)?;
        answers.extend(outcomes.iter().map(top));
        if began.elapsed().as_secs() >= MOST_SECONDS {
            break;
        }
    }
    Ok(began.elapsed().as_secs_f64() * 1e3 / answers.len().max(1) as f64)
}

fn top(outcome: &Outcome) -> Option<u32> {
    match outcome {
        Outcome::Tagged(tagged) => tagged.tags.first().map(|tag| tag.index),
        Outcome::Failed(_) => None,
    }
}

/// Of the images that both tagged, how many have the same answer.
fn agreement(reference: &Answers, answers: &Answers) -> (u32, u32) {
    let both = reference.iter().zip(answers).filter_map(|(a, b)| Some(((*a)?, (*b)?)));
    both.fold((0, 0), |(same, of), (a, b)| (same + u32::from(a == b), of + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_tagged_is_compared() {
        let reference = vec![Some(1), Some(2), None, Some(4), Some(5)];
        assert_eq!(agreement(&reference, &vec![Some(1), Some(3), Some(3), None]), (1, 2));
    }
}
