//! What the child must load, as its parent requests it: the first message.
//!
//! Paths travel as bytes, because they need not be UTF-8; everything else as the JSON that a run's request
//! has too. The child checks that the model's files are still those that were resolved, however late it is
//! started.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tagfleet_pipeline::run::TagOptions;
use tagfleet_pipeline::tagger::Tagger;
use thiserror::Error;

use crate::decode::Limits;
use crate::engine::{Device, EngineRecord};
use crate::folder::{Model, ModelSpec};
use crate::tagger::TaggerFactory;

/// What the child loads.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The model and the place of its files.
    pub model: Model,
    /// The engine of the run.
    pub engine: EngineRecord,
    /// The tags that a row keeps.
    pub options: TagOptions,
    /// What one image may cost.
    pub limits: Limits,
    /// Cores that tag; at least 1.
    pub threads: usize,
}

/// Threads per core that feed a device: while some wait for their rows, others decode.
pub const FEEDERS_PER_CORE: usize = 3;

/// What should be loaded cannot be put in words, or not be understood.
#[derive(Debug, Error)]
#[error("the process that decodes and runs the model cannot be configured: {0}")]
pub struct SetupError(#[from] serde_json::Error);

#[derive(Serialize, Deserialize)]
struct Message {
    root: Vec<u8>,
    spec: ModelSpec,
    engine: EngineRecord,
    library: Option<Vec<u8>>,
    options: TagOptions,
    limits: Limits,
    threads: usize,
}

impl Setup {
    /// Taggers, each with a thread of its own: one per core, but several if a device runs the model.
    pub(super) fn taggers(&self) -> usize {
        match self.engine.device {
            Device::Cpu => self.threads,
            Device::Cuda | Device::Rehearsal => self.threads.saturating_mul(FEEDERS_PER_CORE),
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, SetupError> {
        let message = Message {
            root: bytes(&self.model.root),
            spec: self.model.spec.clone(),
            engine: EngineRecord { library: None, ..self.engine.clone() },
            library: self.engine.library.as_deref().map(bytes),
            options: self.options.clone(),
            limits: self.limits,
            threads: self.threads,
        };
        Ok(serde_json::to_vec(&message)?)
    }

    pub(super) fn decode(message: &[u8]) -> Result<Self, SetupError> {
        let message: Message = serde_json::from_slice(message)?;
        Ok(Self {
            model: Model { root: path(message.root), spec: message.spec },
            engine: EngineRecord { library: message.library.map(path), ..message.engine },
            options: message.options,
            limits: message.limits,
            threads: message.threads,
        })
    }

    /// Loads the model and makes the taggers; pixels in flight are bounded over all of them.
    pub(super) fn load(&self) -> Result<Vec<Box<dyn Tagger>>, String> {
        let model = Model::from_copy(&self.model.root, self.model.spec.clone());
        let model = model.map_err(|error| error.to_string())?;
        let factory = TaggerFactory::new(model, &self.engine, &self.options, self.limits);
        let factory = factory.map_err(|error| error.to_string())?;
        let mut taggers: Vec<Box<dyn Tagger>> = Vec::with_capacity(self.taggers());
        for _ in 0..self.taggers() {
            taggers.push(Box::new(factory.tagger().map_err(|error| error.to_string())?));
        }
        Ok(taggers)
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{EngineChoice, EngineOptions, resolve};
    use crate::folder::ModelOptions;
    use crate::testing::Toy;

    #[test]
    fn it_arrives_as_it_was_sent_and_loads() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(path(vec![b'm', 0xff]));
        Toy::default().write(&root, "model.onnx");
        let model = Model::open(&root, &ModelOptions::default()).unwrap();
        let mut engine = resolve(&EngineOptions::of(EngineChoice::Tract), &model).unwrap().record;
        engine.library = Some(path(vec![b'/', 0xfe]));
        let options = TagOptions { labels: Some(vec!["ü".to_owned()]), ..TagOptions::new(3, 0.1) };
        let setup = Setup { model, engine, options, limits: Limits::default(), threads: 2 };
        let read = Setup::decode(&setup.encode().unwrap()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{setup:?}"));
        let on_gpu = EngineRecord { device: Device::Cuda, ..setup.engine.clone() };
        let on_gpu = Setup { engine: on_gpu, ..setup.clone() };
        assert_eq!((setup.taggers(), on_gpu.taggers()), (2, 6), "others decode while some wait for a device");

        let options = TagOptions { labels: None, ..setup.options.clone() };
        let fitting = Setup { options, ..setup.clone() };
        assert_eq!(fitting.load().unwrap().len(), 2);
        let refusal = setup.load().err().unwrap();
        assert!(refusal.contains("ü"), "{refusal}");
        std::fs::write(root.join("model.onnx"), "another").unwrap();
        let refusal = fitting.load().err().unwrap();
        assert!(refusal.contains("model.onnx"), "{refusal}");
    }
}
