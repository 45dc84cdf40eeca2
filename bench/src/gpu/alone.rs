//! One stage of a run on a GPU, in a process of its own, with the ONNX Runtime of GPUs and the cores that
//! it was started on.
//!
//! Its last line of output is its figures as JSON.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use tagfleet_model::decode::{Limits, PixelBudget, decode};
use tagfleet_model::engine::{
    DeviceChoice, EngineChoice, EngineOptions, EngineRecord, Loaded, Precision, resolve,
};
use tagfleet_model::folder::{Model, ModelOptions};
use tagfleet_model::isolation::FEEDERS_PER_CORE;
use tagfleet_model::tagger::TaggerFactory;
use tagfleet_model::tensor::Preprocessor;
use tagfleet_pipeline::run::TagOptions;
use tagfleet_pipeline::tagger::Tagger;
use tagfleet_pipeline::tags::Outcome;

use super::options::{AloneOptions, Task};
use crate::output::print;
use crate::pictures::read;

/// Seconds before what counts, and of what counts.
const WARM_UP: Duration = Duration::from_secs(1);
const ENOUGH: Duration = Duration::from_secs(4);
/// Scores of a picture that are compared: all of them.
const ALL: u32 = 1000;

/// The figures of a task; each task fills its own fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct AloneFigures {
    /// The engine, where one ran.
    #[serde(default)]
    pub(super) engine: Option<String>,
    #[serde(default)]
    pub(super) images_per_second: Option<f64>,
    /// Notes for people on how it ran.
    #[serde(default)]
    pub(super) notes: Vec<String>,
    /// Images that the device runs at once.
    #[serde(default)]
    pub(super) batch: Option<usize>,
    /// Share of the pictures whose best class is the processor's.
    #[serde(default)]
    pub(super) agreement: Option<f64>,
    /// Between a score and the processor's.
    #[serde(default)]
    pub(super) difference: Option<f64>,
}

/// Runs the task.
pub(crate) fn run(options: &AloneOptions) -> Result<()> {
    let model = Model::open(&options.model, &ModelOptions::default())?;
    let found = match options.task {
        Task::Device => device(options, &model)?,
        Task::Decode => decoding(&model, &options.pictures)?,
        Task::Agree => agree(options, &model)?,
    };
    print(serde_json::to_string(&found)?);
    Ok(())
}

fn engine(
    options: &AloneOptions,
    device: DeviceChoice,
    precision: Precision,
    model: &Model,
) -> Result<EngineRecord> {
    let onnxruntime = options.onnxruntime.as_deref();
    let choice =
        EngineOptions { device, precision, onnxruntime, ..EngineOptions::of(EngineChoice::OnnxRuntime) };
    Ok(resolve(&choice, model)?.record)
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The model on its device, fed with bytes that are decoded already.
fn device(options: &AloneOptions, model: &Model) -> Result<AloneFigures> {
    let engine = engine(options, options.device.choice(), options.precision.precision(), model)?;
    let loaded = Loaded::load(&engine, model)?;
    let length = Preprocessor::new(&model.spec.preprocessing)?.crop_len();
    // All of them first: how many crops each has at once follows from their number.
    let mut feeders = Vec::new();
    for _ in 0..cores() * FEEDERS_PER_CORE {
        feeders.push((loaded.feeder().context("no device runs the model")?, Vec::new()));
    }
    let (first, _) = feeders.first().context("no device runs the model")?;
    let (batch, notes) = (first.inference_batch_size(), first.notes().to_vec());
    let images_per_second = rate(feeders, |(feeder, crops)| {
        let images = feeder.batch_size();
        // Filled once: the memory is lent, and comes back.
        let filled = crops.len();
        crops.resize(images * length, 0);
        for (place, byte) in crops.iter_mut().enumerate().skip(filled) {
            *byte = (place * 37 % 251) as u8;
        }
        feeder.run(crops, images)?;
        Ok(images)
    })?;
    let (engine, images_per_second) = (Some(engine.version), Some(images_per_second));
    Ok(AloneFigures { engine, images_per_second, batch: Some(batch), notes, ..AloneFigures::default() })
}

/// Decoding, resizing and cropping on every core, and nothing behind it.
fn decoding(model: &Model, folder: &Path) -> Result<AloneFigures> {
    let pictures = read(folder, 200)?;
    let budget = PixelBudget::new(Limits::default().max_memory);
    let mut threads = Vec::new();
    for number in 0..cores() {
        let preprocessor = Preprocessor::new(&model.spec.preprocessing)?;
        let crop = vec![0; preprocessor.crop_len()];
        threads.push((preprocessor, crop, number));
    }
    let images_per_second = rate(threads, |(preprocessor, crop, next)| {
        let picture = &pictures[*next % pictures.len()];
        *next += 1;
        // A broken photo is not measured.
        let Ok(decoded) = decode(picture, &Limits::default(), &budget, true, preprocessor) else {
            return Ok(0);
        };
        preprocessor.write_crop(&decoded.pixels, &decoded.grid, crop)?;
        Ok(1)
    })?;
    Ok(AloneFigures { images_per_second: Some(images_per_second), ..AloneFigures::default() })
}

/// Images per second of all `workers`, each in a thread, each doing `work` again and again.
fn rate<T: Send>(workers: Vec<T>, work: impl Fn(&mut T) -> Result<usize> + Sync) -> Result<f64> {
    let (began, counted) = (Instant::now(), AtomicUsize::new(0));
    let (counted_from, counted_to) = (began + WARM_UP, began + WARM_UP + ENOUGH);
    let each = |mut worker: T| -> Result<()> {
        loop {
            let images = work(&mut worker)?;
            let now = Instant::now();
            if now >= counted_to {
                return Ok(());
            }
            if now >= counted_from {
                counted.fetch_add(images, Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = workers.into_iter().map(|worker| scope.spawn(|| each(worker))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })?;
    Ok(counted.load(Relaxed) as f64 / ENOUGH.as_secs_f64())
}

/// Compares every score of some pictures with the processor's, in the precision of the model's file.
fn agree(options: &AloneOptions, model: &Model) -> Result<AloneFigures> {
    let pictures = read(&options.pictures, options.images)?;
    let usual = engine(options, DeviceChoice::Cpu, Precision::Fp32, model)?;
    let other = engine(options, options.device.choice(), options.precision.precision(), model)?;
    let (usual, other) = (scores(model, &usual, &pictures)?, scores(model, &other, &pictures)?);
    let pairs: Vec<_> = usual.iter().zip(&other).filter(|(usual, _)| !usual.is_empty()).collect();
    let agree = pairs.iter().filter(|(usual, other)| best(usual) == best(other)).count();
    let differences = pairs.iter().flat_map(|(usual, other)| usual.iter().zip(*other));
    let difference = differences.map(|(usual, other)| f64::from((usual - other).abs())).fold(0.0, f64::max);
    let agreement = Some(agree as f64 / pairs.len().max(1) as f64);
    Ok(AloneFigures { agreement, difference: Some(difference), ..AloneFigures::default() })
}

/// Each picture's scores by class, none of one that is broken; spread over all cores.
fn scores(model: &Model, engine: &EngineRecord, pictures: &[Vec<u8>]) -> Result<Vec<Vec<f32>>> {
    let tags = TagOptions::new(ALL, 0.0);
    let factory = TaggerFactory::new(model.clone(), engine, &tags, Limits::default())?;
    let mut found = vec![Vec::new(); pictures.len()];
    let share = pictures.len().div_ceil(cores()).max(1);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (pictures, found) in pictures.chunks(share).zip(found.chunks_mut(share)) {
            let mut tagger = factory.tagger()?;
            threads.push(scope.spawn(move || -> Result<()> {
                let pictures: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
                for (found, outcome) in found.iter_mut().zip(tagger.tag(&pictures)?) {
                    *found = by_class(&outcome);
                }
                Ok(())
            }));
        }
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })?;
    Ok(found)
}

fn by_class(outcome: &Outcome) -> Vec<f32> {
    let Outcome::Tagged(tagged) = outcome else { return Vec::new() };
    let mut scores = vec![0.0; tagged.tags.len()];
    for tag in &tagged.tags {
        if let Some(score) = scores.get_mut(tag.index as usize) {
            *score = tag.score;
        }
    }
    scores
}

fn best(scores: &[f32]) -> Option<usize> {
    (0..scores.len()).max_by(|&one, &other| scores[one].total_cmp(&scores[other]))
}
