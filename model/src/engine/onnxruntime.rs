//! ONNX Runtime, loaded at run time from a shared library: once per process, and never unloaded.
//!
//! Sessions have one thread inside and never spin; the library logs errors only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use half::f16;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::Session as OrtSession;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{DynValue, Tensor, TensorRef};

use super::batching::Session;
use super::library::{self, Kind, Library};
use super::model_io::{signed, unsigned};
use super::{EngineError, ModelIo};
use crate::folder::Model;
use crate::graph::Element;
use crate::graph::stored::LARGEST;
use crate::rewrite;
use crate::rewrite::weights::{self, GraphAndFiles};

static LOADED: Mutex<Option<Library<Environment>>> = Mutex::new(None);

const KIND: Kind = Kind {
    name: "ONNX Runtime",
    stem: "libonnxruntime.",
    in_wheel: "onnxruntime/capi",
    variable: Some("ORT_DYLIB_PATH"),
    home: None,
    folders: &["/opt/onnxruntime/lib"],
    flag: "--onnxruntime",
    file: "libonnxruntime.so, version 1.24.1 or newer",
    install: "pip install onnxruntime",
};

/// Where this process would look for the library.
pub(super) fn places() -> Vec<PathBuf> {
    library::places(&KIND)
}

/// The library of this process, loading it on the first call. `asked` is a file, a folder or a Python
/// environment to take it from.
pub(super) fn load(asked: Option<&Path>) -> Result<Library<Environment>, EngineError> {
    library::load(&KIND, &LOADED, asked, try_load)
}

fn try_load(path: &Path) -> Result<Library<Environment>, String> {
    let path = library::file(path)?;
    let shown = path.display();
    let builder = ort::init_from(&path).map_err(|error| format!("{shown}: {error}"))?;
    let builder = builder.with_name("tagfleet").with_telemetry(false);
    let environment = builder.build().map_err(|error| format!("{shown}: {error}"))?;
    environment.set_log_level(LogLevel::Error);
    let version = version(ort::info(), &path);
    if is_too_old(&version) {
        return Err(format!("{shown} is version {version}"));
    }
    Ok(Library { version, path, handle: environment })
}

/// Before 1.24.1 it reads weights from any file, and from any place in memory, that a model names.
fn is_too_old(version: &str) -> bool {
    let parts: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
    !parts.is_empty() && parts < vec![1, 24, 1]
}

/// The version in the library's name, else that of the branch it was built from, else the build's
/// description.
fn version(info: &str, path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let from_name =
        name.trim_start_matches("libonnxruntime.").trim_start_matches("so.").trim_end_matches(".dylib");
    if from_name.split('.').count() == 3 && from_name.split('.').all(|part| part.parse::<u32>().is_ok()) {
        return from_name.to_owned();
    }
    let branch = info.split([' ', ',']).find_map(|word| word.strip_prefix("git-branch=rel-"));
    branch.unwrap_or(info).to_owned()
}

/// A model's graph, from which every thread makes its own session.
pub(super) struct Program {
    path: PathBuf,
    model: GraphAndFiles,
    environment: Environment,
}

/// The graph of `model` as a processor gets it if it must not stay what it is: encoded, its weights inside,
/// with 32-bit floats in the place of 16-bit ones and tensors in the place of maps. `None` if it stays.
///
/// # Errors
/// If the model's files can't be read, or what it becomes can't be handed over.
pub fn graph_for_processor(model: &Model) -> Result<Option<Vec<u8>>, EngineError> {
    let spec = &model.spec;
    let is_rewritten = spec.half || spec.input.element == Element::F16 || spec.has_maps;
    let rewritten = is_rewritten.then(|| rewrite::for_processor(model)).transpose();
    rewritten.map_err(|error| EngineError::new(error.to_string()))
}

impl Program {
    pub(super) fn load(model: &Model, model_io: &ModelIo) -> Result<Self, EngineError> {
        Self::with_at_most(LARGEST, model, model_io)
    }

    /// Loads like [`Self::load`], with weights next to the graph if it takes more than `most` bytes with
    /// them.
    pub(super) fn with_at_most(most: u64, model: &Model, model_io: &ModelIo) -> Result<Self, EngineError> {
        let stored = match graph_for_processor(model)? {
            Some(graph) => GraphAndFiles { graph, files: BTreeMap::new() },
            None => weights::encoded_with_files(model, most)
                .map_err(|error| EngineError::new(error.to_string()))?,
        };
        let program = Self { path: model.path(), model: stored, environment: load(None)?.handle };
        program.session(model_io)?;
        Ok(program)
    }

    pub(super) fn session(&self, model_io: &ModelIo) -> Result<OnnxRuntime, EngineError> {
        let refused = |error: ort::Error| {
            EngineError::new(format!("ONNX Runtime refuses {}: {error}", self.path.display()))
        };
        let mut builder = builder(&self.environment).map_err(refused)?;
        for (name, file) in &self.model.files {
            let with = builder.with_external_initializer_file_in_memory(name, file.clone());
            builder = with.map_err(|error| refused(error.into()))?;
        }
        let session = builder.commit_from_memory(&self.model.graph);
        Ok(OnnxRuntime { session: session.map_err(refused)?, model_io: model_io.clone() })
    }
}

/// What every session has: one thread inside, which never spins.
pub(super) fn builder(environment: &Environment) -> Result<SessionBuilder, ort::Error> {
    let builder = OrtSession::builder(environment)?
        .with_log_level(LogLevel::Error)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_parallel_execution(false)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?;
    Ok(builder)
}

/// One thread's session.
pub(super) struct OnnxRuntime {
    session: OrtSession,
    model_io: ModelIo,
}

impl Session for OnnxRuntime {
    fn call(&mut self, input: &[f32], rows: usize) -> Result<Vec<Vec<f32>>, EngineError> {
        let failed = |error: ort::Error| EngineError::new(format!("ONNX Runtime failed: {error}"));
        let shape = self.model_io.shape(rows);
        let name = self.model_io.input.as_str();
        let outputs = match self.model_io.element {
            Element::U8 => {
                let tensor = Tensor::from_array((shape, unsigned(input))).map_err(failed)?;
                self.session.run(ort::inputs![name => tensor])
            }
            Element::I8 => {
                let tensor = Tensor::from_array((shape, signed(input))).map_err(failed)?;
                self.session.run(ort::inputs![name => tensor])
            }
            Element::F32 | Element::F16 | Element::Other => {
                let tensor = TensorRef::from_array_view((shape, input)).map_err(failed)?;
                self.session.run(ort::inputs![name => tensor])
            }
        };
        let outputs = outputs.map_err(failed)?;
        let mut values = Vec::new();
        for name in &self.model_io.outputs {
            let output = outputs
                .get(name)
                .ok_or_else(|| EngineError::new(format!("ONNX Runtime gave no output {name:?}")))?;
            values.push(floats(output).map_err(failed)?);
        }
        Ok(values)
    }
}

/// An output's values, widened to 32 bits.
pub(super) fn floats(value: &DynValue) -> Result<Vec<f32>, ort::Error> {
    if let Ok((_, values)) = value.try_extract_tensor::<f16>() {
        return Ok(values.iter().map(|value| value.to_f32()).collect());
    }
    value.try_extract_tensor::<f32>().map(|(_, values)| values.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_read_any_file_are_refused() {
        for old in ["1.23.2", "1.24.0", "1.9.0", "0.25.1"] {
            assert!(is_too_old(old), "{old}");
        }
        for new in ["1.24.1", "1.32.0", "1.100.0", "2.0.0", "a build of somebody"] {
            assert!(!is_too_old(new), "{new}");
        }
    }

    #[test]
    fn versions_come_from_the_name_or_the_build() {
        let info = "ORT Build Info: git-branch=rel-1.31.0, git-commit-id=0123, build type=Release";
        assert_eq!(version(info, Path::new("/x/libonnxruntime.so.1.32.0")), "1.32.0");
        assert_eq!(version(info, Path::new("/x/libonnxruntime.1.32.0.dylib")), "1.32.0");
        assert_eq!(version(info, Path::new("/x/libonnxruntime.so")), "1.31.0");
        assert_eq!(version("custom", Path::new("/x/libonnxruntime.so.1")), "custom");
    }

    #[test]
    fn unfit_libraries_are_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("libonnxruntime.so");
        std::fs::write(&text, "no library").unwrap();
        assert!(try_load(&text).unwrap_err().contains("failed to load"));
        assert!(try_load(&folder.path().join("none.so")).unwrap_err().ends_with("is not a file"));
        let libc = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6"];
        for other in libc.iter().filter(|path| Path::new(path).exists()) {
            assert!(try_load(Path::new(other)).unwrap_err().contains("OrtGetApiBase"));
        }
    }
}
