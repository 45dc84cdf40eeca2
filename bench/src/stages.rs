//! Each stage alone, in one thread, through the model crate: the least that a whole run can cost.
//!
//! Resizing, cropping, normalising and the copy to the tensor are one call, so they are one figure. CPU
//! time is that of the whole process, because engines compute in threads of their own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tagfleet_model::decode::{Limits, PixelBudget, decode};
use tagfleet_model::engine::{EngineName, EngineRecord, Loaded};
use tagfleet_model::folder::Model;
use tagfleet_model::tagger::TaggerFactory;
use tagfleet_model::tensor::Preprocessor;
use tagfleet_model::thumbnail::Draft;
use tagfleet_pipeline::run::TagOptions;
use tagfleet_pipeline::tagger::Tagger;

use crate::context::Bench;
use crate::engines::EngineConfig;
use crate::measure::{cpu_time, per_image};
use crate::models::Network;
use crate::output::progress;
use crate::pictures::read;
use crate::results::{Quantity, Rows};
use crate::rows::{DECODE, PREPARE, THUMBNAIL, infer_row};

/// The suffix of a stage's name for large pictures.
const LARGE: &str = "12 megapixels";
/// Pictures that are held in memory.
const ORDINARY: usize = 200;
const LARGE_ONES: usize = 20;
/// A model runs for this CPU time, or for the requested number of images if that takes less.
const ENOUGH: Duration = Duration::from_secs(4);
/// Images before the first that counts: engines arrange their memory on the first ones.
const WARM_UP: usize = 3;

/// Measures every stage.
pub(crate) fn measure(bench: &Bench) -> Result<Rows> {
    let ordinary = read(&bench.pictures.ordinary.long.path, ORDINARY)?;
    let large = read(&bench.pictures.large.long.path, LARGE_ONES)?;
    let mut rows = Rows::default();
    for repetition in 1..=bench.repetitions {
        progress(format!("stages, repetition {repetition} of {}", bench.repetitions));
        prepare_all(bench, &mut rows, &ordinary, "", false)?;
        prepare_all(bench, &mut rows, &large, &format!(", {LARGE}"), false)?;
        prepare_all(bench, &mut rows, &large, &format!(", {LARGE}, --exact"), true)?;
        for config in EngineConfig::all() {
            with_model(bench, &mut rows, config, &ordinary)?;
        }
    }
    Ok(rows)
}

/// One thread's decoder and resizer.
struct Preparation {
    preprocessor: Preprocessor,
    budget: Arc<PixelBudget>,
    tensor: Vec<f32>,
    decoding: Duration,
    resizing: Duration,
    thumbnails: Duration,
}

impl Preparation {
    fn new(model: &Model) -> Result<Self> {
        let preprocessor = Preprocessor::new(&model.spec.preprocessing)?;
        let tensor = vec![0.0; preprocessor.tensor_len()];
        let budget = PixelBudget::new(Limits::default().max_memory);
        let [decoding, resizing, thumbnails] = [Duration::ZERO; 3];
        Ok(Self { preprocessor, budget, tensor, decoding, resizing, thumbnails })
    }

    /// Fills the tensor, unless the picture is broken.
    fn prepare(&mut self, picture: &[u8]) -> Result<()> {
        let began = cpu_time();
        let Ok(decoded) = decode(picture, &Limits::default(), &self.budget, true, &self.preprocessor) else {
            return Ok(());
        };
        let decoded_at = cpu_time();
        self.preprocessor.write(&decoded.pixels, &decoded.grid, &mut self.tensor)?;
        let written_at = cpu_time();
        drop(decoded);
        self.decoding += cpu_time() - written_at + (decoded_at - began);
        self.resizing += written_at - decoded_at;
        Ok(())
    }

    /// Makes the thumbnail of a report. Only that is timed, not the decoding for it.
    fn show(&mut self, picture: &[u8]) {
        let decoded = decode(picture, &Limits::default(), &self.budget, true, &self.preprocessor);
        let Ok(decoded) = decoded else { return };
        let began = cpu_time();
        let shown = Draft::new(&decoded.pixels).encode();
        self.thumbnails += cpu_time() - began;
        drop(shown);
    }
}

fn prepare_all(bench: &Bench, rows: &mut Rows, pictures: &[Vec<u8>], what: &str, exact: bool) -> Result<()> {
    let mut preparation = Preparation::new(&bench.models.open(Network::MobileNetV2, false, exact)?)?;
    for picture in pictures.iter().take(WARM_UP) {
        preparation.prepare(picture)?;
    }
    (preparation.decoding, preparation.resizing) = (Duration::ZERO, Duration::ZERO);
    for picture in pictures {
        preparation.prepare(picture)?;
    }
    // Last, because decoding for it would leave the caches in another state.
    for picture in pictures {
        preparation.show(picture);
    }
    rows.add(&format!("{DECODE}{what}"), Quantity::CpuMs, per_image(preparation.decoding, pictures.len()));
    rows.add(&format!("{PREPARE}{what}"), Quantity::CpuMs, per_image(preparation.resizing, pictures.len()));
    rows.add(
        &format!("{THUMBNAIL}{what}"),
        Quantity::CpuMs,
        per_image(preparation.thumbnails, pictures.len()),
    );
    Ok(())
}

/// The model alone; then all stages as one thread of a run has them.
fn with_model(bench: &Bench, rows: &mut Rows, config: EngineConfig, pictures: &[Vec<u8>]) -> Result<()> {
    let name = infer_row(config);
    if rows.has_failed(&name) {
        return Ok(());
    }
    let model = bench.models.open(config.network, config.is_int8(), false)?;
    let record = match config.resolve(&model) {
        Ok(record) => record,
        Err(error) => {
            rows.fail(&name, bench.publishable(&error.to_string()));
            return Ok(());
        }
    };
    match infer(&model, &record, pictures, bench.counts.alone) {
        Ok(cpu_ms) => rows.add(&name, Quantity::CpuMs, cpu_ms),
        Err(error) => rows.fail(&name, bench.publishable(&format!("{error:#}"))),
    }
    // tract is slow, and more stages of it show nothing new.
    if config.engine == EngineName::Tract || rows.has_failed(&name) {
        return Ok(());
    }
    let cpu_ms = all_stages(model, &record, pictures, bench.counts.alone)?;
    rows.add(&format!("all stages: {}", config.name()), Quantity::CpuMs, cpu_ms);
    Ok(())
}

/// CPU milliseconds per image, on the tensors of real pictures.
fn infer(model: &Model, record: &EngineRecord, pictures: &[Vec<u8>], images: usize) -> Result<f64> {
    let mut session = Loaded::load(record, model)?.session()?;
    let batch = session.batch_size();
    let mut preparation = Preparation::new(model)?;
    let mut tensors = Vec::new();
    for picture in pictures.iter().take(16) {
        preparation.prepare(picture)?;
        tensors.push(preparation.tensor.repeat(batch));
    }
    for tensor in tensors.iter().take(WARM_UP) {
        session.run(tensor, batch)?;
    }
    repeat(&tensors, batch, images, |tensor| Ok(_ = session.run(tensor, batch)?))
}

fn all_stages(model: Model, record: &EngineRecord, pictures: &[Vec<u8>], images: usize) -> Result<f64> {
    let options = TagOptions::new(5, 0.0);
    let factory = TaggerFactory::new(model, record, &options, Limits::default())?;
    let mut tagger = factory.tagger()?;
    for picture in pictures.iter().take(WARM_UP) {
        tagger.tag(&[picture])?;
    }
    repeat(pictures, 1, images, |picture| Ok(_ = tagger.tag(&[picture])?))
}

/// Repeats `work` on `inputs` in turn, until `enough` images or [`ENOUGH`] time; returns CPU milliseconds
/// per image.
fn repeat<T>(
    inputs: &[T],
    images_each: usize,
    enough: usize,
    mut work: impl FnMut(&T) -> Result<()>,
) -> Result<f64> {
    let began = cpu_time();
    let mut images = 0;
    for input in inputs.iter().cycle() {
        work(input)?;
        images += images_each;
        let took = cpu_time() - began;
        if images >= enough || took >= ENOUGH {
            return Ok(per_image(took, images));
        }
    }
    Err(anyhow!("there are no pictures to measure with"))
}
