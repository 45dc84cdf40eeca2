//! From a model's files to taggers: the one place that says how this worker runs its model.

use anyhow::Context;
use tagfleet_model::decode::Limits;
use tagfleet_model::engine::EngineRecord;
use tagfleet_model::folder::Model;
use tagfleet_model::tagger::TaggerFactory;
use tagfleet_pipeline::run::RunRequest;
use tagfleet_pipeline::tagger::Tagger;

/// Loads `model` into the engine that `request` names, and no other; one tagger per thread.
pub(crate) fn taggers(
    model: Model,
    request: &RunRequest,
    threads: usize,
) -> anyhow::Result<Vec<Box<dyn Tagger>>> {
    let engine = EngineRecord::try_from(&request.engine)?;
    let limits = Limits { max_bytes: request.max_image_bytes, ..Limits::default() };
    let factory = TaggerFactory::new(model, &engine, &request.tags, limits)
        .with_context(|| format!("the model cannot be run with {}", request.engine))?;
    let mut taggers: Vec<Box<dyn Tagger>> = Vec::with_capacity(threads);
    for _ in 0..threads {
        taggers.push(Box::new(factory.tagger()?));
    }
    Ok(taggers)
}
