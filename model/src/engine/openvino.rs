//! OpenVINO, loaded at run time from a shared library: once per process, and never unloaded.
//!
//! Each session is a model compiled for itself, with one thread inside that is bound to no core: bound, two
//! of them would share one. By default OpenVINO computes in bf16 if it can, so a precision is requested, and
//! the granted one is checked. The shape is fixed before the model is compiled:
//! with an open batch dimension it is up to a fifth slower.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use half::f16;
use openvino::{
    CompiledModel, Core, DeviceType, ElementType, InferRequest, InferenceError, PartialShape, RwPropertyKey,
    Tensor,
};

use super::batching::Session;
use super::library::{self, Kind, Library};
use super::model_io::{signed, unsigned};
use super::{EngineError, ModelIo, Precision};
use crate::folder::Model;
use crate::graph::Element;
use crate::rewrite::weights;

/// One for the process: its settings are those of the device, so a caller that sets them compiles before the
/// next one may.
pub(super) type SharedCore = Arc<Mutex<Core>>;

static LOADED: Mutex<Option<Library<SharedCore>>> = Mutex::new(None);

/// Every library of its C interface contains this name.
const FUNCTION: &[u8] = b"\0ov_get_openvino_version\0";

const KIND: Kind = Kind {
    name: "OpenVINO",
    stem: "libopenvino_c.",
    in_wheel: "openvino/libs",
    variable: None,
    home: Some("INTEL_OPENVINO_DIR"),
    folders: &["/opt/intel/openvino/runtime/lib/intel64", "/opt/openvino/lib"],
    flag: "--openvino",
    file: "libopenvino_c.so, version 2025.1 or newer",
    install: "pip install openvino",
};

/// Where this process would look for the library.
pub(super) fn places() -> Vec<PathBuf> {
    library::places(&KIND)
}

/// The library of this process, loading it on the first call. `asked` is a file, a folder or a Python
/// environment to take it from.
pub(super) fn load(asked: Option<&Path>) -> Result<Library<SharedCore>, EngineError> {
    library::load(&KIND, &LOADED, asked, try_load)
}

fn try_load(path: &Path) -> Result<Library<SharedCore>, String> {
    let path = library::file(path)?;
    let shown = path.display();
    // The bindings panic in whatever other library they are given, and keep it for the life of the process.
    let bytes = fs::read(&path).map_err(|error| format!("{shown}: {error}"))?;
    if !bytes.windows(FUNCTION.len()).any(|window| window == FUNCTION) {
        return Err(format!("{shown} is not the library of OpenVINO's C interface"));
    }
    let loaded = catch_unwind(|| {
        openvino_sys::library::load_from(&path)?;
        let core = Core::new().map_err(|error| error.to_string())?;
        Ok((openvino::version().build_number, core))
    });
    let (build, core) = loaded
        .map_err(|_| "it has another interface than expected".to_owned())
        .flatten()
        .map_err(|reason: String| format!("{shown}: {reason}"))?;
    Ok(Library { version: version(&build), path, handle: Arc::new(Mutex::new(core)) })
}

/// `2026.4.1` of `2026.4.1-22982-0123456789a-releases/2026/4`.
fn version(build: &str) -> String {
    build.split('-').next().unwrap_or(build).to_owned()
}

fn lock(core: &SharedCore) -> MutexGuard<'_, Core> {
    core.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Precision {
    /// As OpenVINO spells it.
    fn hint(self) -> &'static str {
        match self {
            Self::Fp32 => "f32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "f16",
        }
    }
}

/// A model as it was read, which every thread compiles for itself.
pub(super) struct Program {
    path: PathBuf,
    core: SharedCore,
    /// In the shape of every session.
    model: openvino::Model,
    precision: Precision,
}

impl Program {
    pub(super) fn load(model: &Model, model_io: &ModelIo, precision: Precision) -> Result<Self, EngineError> {
        let path = model.path();
        let core = load(None)?.handle;
        if model.spec.has_maps {
            return Err(refused(
                &path,
                "its output is a map, which OpenVINO does not read: give --engine onnxruntime",
            ));
        }
        // The bindings panic on such names, and a file may hold any.
        if model_io.outputs.iter().chain([&model_io.input]).any(|name| name.contains('\0')) {
            return Err(refused(&path, "a name in it holds a NUL character"));
        }
        let graph = weights::encoded(model, "give --engine onnxruntime");
        let graph = graph.map_err(|error| EngineError::new(error.to_string()))?;
        let model = read(&core, &graph, model_io, model_io.batch.unwrap_or(1));
        let model = model.map_err(|error| refused(&path, &error.to_string()))?;
        let program = Self { path, core, model, precision };
        program.compiled(model_io)?;
        Ok(program)
    }

    pub(super) fn session(&self, model_io: &ModelIo) -> Result<OpenVino, EngineError> {
        Ok(OpenVino { model_io: model_io.clone(), compiled: self.compiled(model_io)? })
    }

    fn compiled(&self, model_io: &ModelIo) -> Result<Compiled, EngineError> {
        let refused = |error: InferenceError| refused(&self.path, &error.to_string());
        let mut compiled = self.compile().map_err(refused)?;
        let granted =
            compiled.get_property(&RwPropertyKey::HintInferencePrecision.into()).map_err(refused)?;
        if granted != self.precision.hint() {
            return Err(EngineError::new(format!(
                "OpenVINO was asked to compute {} in {}, but granted {granted} on this processor",
                self.path.display(),
                self.precision.hint()
            )));
        }
        let request = compiled.create_infer_request().map_err(refused)?;
        let input = request.get_tensor(&model_io.input).map_err(refused)?;
        Ok(Compiled { request, input, _compiled: compiled })
    }

    fn compile(&self) -> Result<CompiledModel, InferenceError> {
        let mut core = lock(&self.core);
        let settings = [
            (RwPropertyKey::HintInferencePrecision, self.precision.hint()),
            (RwPropertyKey::NumStreams, "1"),
            (RwPropertyKey::InferenceNumThreads, "1"),
            (RwPropertyKey::HintEnableCpuPinning, "NO"),
        ];
        core.set_properties(&DeviceType::CPU, settings)?;
        core.compile_model(&self.model, DeviceType::CPU)
    }
}

fn refused(path: &Path, reason: &str) -> EngineError {
    EngineError::new(format!("OpenVINO refuses {}: {}", path.display(), reason.trim_end()))
}

fn read(
    core: &SharedCore,
    graph: &[u8],
    model_io: &ModelIo,
    rows: usize,
) -> Result<openvino::Model, InferenceError> {
    // Its weights are in it, although OpenVINO's own format has them elsewhere.
    let mut model = lock(core).read_model_from_buffer(graph, None)?;
    let shape = model_io.shape(rows).map(|size| size as i64);
    model.reshape_input_by_name(&model_io.input, &PartialShape::new_static(4, &shape)?)?;
    Ok(model)
}

/// One thread's session.
pub(super) struct OpenVino {
    model_io: ModelIo,
    compiled: Compiled,
}

/// A model compiled for one shape.
struct Compiled {
    request: InferRequest,
    /// The memory that the request reads its input from.
    input: Tensor,
    /// What the request belongs to.
    _compiled: CompiledModel,
}

impl Session for OpenVino {
    fn call(&mut self, input: &[f32], _rows: usize) -> Result<Vec<Vec<f32>>, EngineError> {
        let failed = |error: InferenceError| EngineError::new(format!("OpenVINO failed: {error}"));
        let compiled = &mut self.compiled;
        let room = compiled.input.get_size().map_err(failed)?;
        if room != input.len() {
            return Err(EngineError::new(format!("OpenVINO takes {room} values, not {}", input.len())));
        }
        fill(&mut compiled.input, self.model_io.element, input).map_err(failed)?;
        compiled.request.infer().map_err(failed)?;
        let mut values = Vec::new();
        for name in &self.model_io.outputs {
            let output = compiled.request.get_tensor(name).map_err(failed)?;
            values.push(floats(&output).map_err(failed)?.ok_or_else(|| not_floats(name))?);
        }
        Ok(values)
    }
}

/// Puts `input` into a tensor of as many elements.
fn fill(tensor: &mut Tensor, element: Element, input: &[f32]) -> Result<(), InferenceError> {
    match element {
        Element::F16 => {
            for (slot, &value) in tensor.get_data_mut::<f16>()?.iter_mut().zip(input) {
                *slot = f16::from_f32(value);
            }
        }
        Element::U8 => tensor.get_data_mut::<u8>()?.copy_from_slice(&unsigned(input)),
        Element::I8 => tensor.get_data_mut::<i8>()?.copy_from_slice(&signed(input)),
        Element::F32 | Element::Other => tensor.get_data_mut::<f32>()?.copy_from_slice(input),
    }
    Ok(())
}

fn not_floats(name: &str) -> EngineError {
    EngineError::new(format!("OpenVINO gave no floats for the output {name:?}"))
}

/// `None` if the tensor is empty, or holds no floats.
fn floats(tensor: &Tensor) -> Result<Option<Vec<f32>>, InferenceError> {
    if tensor.get_size()? == 0 {
        return Ok(None);
    }
    Ok(match tensor.get_element_type()? {
        ElementType::F32 => Some(tensor.get_data::<f32>()?.to_vec()),
        ElementType::F16 => Some(tensor.get_data::<f16>()?.iter().map(|value| value.to_f32()).collect()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_what_stands_before_the_build() {
        assert_eq!(version("2026.4.1-22982-0123456789a-releases/2026/4"), "2026.4.1");
        assert_eq!(version("custom"), "custom");
    }

    #[test]
    fn unfit_libraries_are_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("libopenvino_c.so"), "no library").unwrap();
        fs::write(path("libopenvino_c.so.1"), FUNCTION).unwrap();
        let reason = |name: &str| try_load(&path(name)).err().unwrap();
        assert!(reason("libopenvino_c.so").ends_with("is not the library of OpenVINO's C interface"));
        assert!(reason("libopenvino_c.so.1").contains("could not be opened"));
        assert!(reason("none.so").ends_with("is not a file"));
    }
}
