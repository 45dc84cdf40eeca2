//! From the command line's model flags to a loaded model: shared by every command that runs one.
//!
//! Errors of a model are bad input, and name the file and the remedy.

use std::time::Duration;

use tagfleet_fleet::request::TagOverrides;
use tagfleet_model::decode::Limits;
use tagfleet_model::engine::{self, DeviceChoice, EngineOptions, EngineRecord, Resolved};
use tagfleet_model::folder::{Model, ModelOptions, ModelSpec};
use tagfleet_model::isolation::{Isolation, Patience, Setup, StartError};
use tagfleet_model::scores;
use tagfleet_pipeline::run::{ModelRecord, TagOptions, Vector, VectorType};

use crate::args::LoadOptions;
use crate::exit::{Failure, bad_input, broken, tell};
use crate::model_source::ModelSource;
use crate::tagger_process;

/// The length of a vector that the graph does not state: a transformer's 197 tokens of 1,024 values.
const UNKNOWN_LENGTH: u64 = 197 * 1024;

/// A model, its engine, and the tags to keep.
pub(crate) struct Loading {
    pub(crate) model: Model,
    pub(crate) engine: Resolved,
    pub(crate) tags: TagOptions,
    /// The name of the model in a run.
    name: String,
    patience: Patience,
}

impl Loading {
    /// Reads the model's files and chooses the engine for `device`; nothing is loaded yet. `vector` names an
    /// output to keep whole.
    pub(crate) fn new(
        source: ModelSource,
        options: &LoadOptions,
        device: DeviceChoice,
        tags: &TagOverrides,
        vector: Option<&str>,
    ) -> Result<Self, Failure> {
        let model_file = options.model_file.as_deref();
        let model_options = ModelOptions { model_file, vector, exif: !options.no_exif, exact: options.exact };
        let model = Model::open(&source.path, &model_options).map_err(bad_input)?;
        let engine_options = EngineOptions {
            choice: options.engine,
            precision: options.precision,
            device,
            onnxruntime: options.onnxruntime.as_deref(),
            openvino: options.openvino.as_deref(),
        };
        let engine = engine::resolve(&engine_options, &model).map_err(bad_input)?;
        let tags = tags.over(&scores::default_options(model.spec.activation, model.spec.multi_label));
        Ok(Self { model, engine, tags, name: source.name, patience: Patience::default() })
    }

    /// The same with a time limit for each image.
    pub(crate) fn with_image_timeout(mut self, limit: Duration) -> Self {
        self.patience.tagging = limit;
        self
    }

    /// Loads the model into its engine, in a process of its own with this many threads.
    pub(crate) fn isolate(&self, threads: usize) -> Result<Isolation, Failure> {
        self.isolate_with(&self.engine.record, threads)
    }

    /// The same in another engine than the one that was chosen.
    pub(crate) fn isolate_with(&self, engine: &EngineRecord, threads: usize) -> Result<Isolation, Failure> {
        self.isolate_model(self.model.clone(), engine, threads)
    }

    /// The same with another description of the model.
    pub(crate) fn isolate_model(
        &self,
        model: Model,
        engine: &EngineRecord,
        threads: usize,
    ) -> Result<Isolation, Failure> {
        let setup = Setup {
            model,
            engine: engine.clone(),
            options: self.tags.clone(),
            limits: Limits::default(),
            threads,
        };
        let program = tagger_process::program().map_err(broken)?;
        Isolation::start(program, &setup, self.patience).map_err(|error| match error {
            StartError::Refused(reason) => bad_input(reason),
            error => broken(error),
        })
    }

    /// The model as a run records it.
    pub(crate) fn record(&self) -> Result<ModelRecord, Failure> {
        let spec = &self.model.spec;
        Ok(ModelRecord {
            name: self.name.clone(),
            sha256: spec.sha256.clone(),
            location: None,
            multi_label: spec.multi_label,
            warning: spec.warning.clone(),
            spec: serde_json::to_value(spec).map_err(broken)?,
        })
    }

    /// The output that every row keeps whole, if one was asked for.
    pub(crate) fn vector(&self, stored: VectorType) -> Option<Vector> {
        self.model.spec.vector.as_ref().map(|port| {
            let length = port.len.map_or(UNKNOWN_LENGTH, |length| length as u64);
            Vector { output: port.name.clone(), stored, length }
        })
    }
}

/// Printed also with `--quiet`: why the results are probably wrong.
pub(crate) fn warn(spec: &ModelSpec) {
    if let Some(warning) = &spec.warning {
        tell(&format!("\nWARNING: {warning}\n"));
    }
}
