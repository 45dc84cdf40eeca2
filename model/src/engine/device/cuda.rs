//! ONNX Runtime's provider for NVIDIA GPUs: how it is set, where its libraries are, and why there is none.
//!
//! It exists so that a machine without a GPU, a driver or the libraries reports that in one sentence, before
//! a run starts.

use std::path::Path;
use std::sync::OnceLock;

use ort::ep::cuda::{self, ConvAlgorithmSearch};
use ort::ep::{ArenaExtendStrategy, CUDA, ExecutionProvider, ExecutionProviderDispatch};
use ort::logging::LogLevel;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session as OrtSession;
use ort::value::TensorRef;
use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

use super::driver::{self, Driver, DriverError};
use crate::engine::library::Library;
use crate::engine::onnxruntime;
use ort::environment::Environment;

/// The first GPU, as a container or `CUDA_VISIBLE_DEVICES` numbers them: a worker has one.
const FIRST: i32 = 0;

/// Rows should be the same on every machine, so floats keep their 32 bits (no TF32), and algorithms follow
/// from the GPU and the shapes instead of from measurements. A session that can't have it fails, instead of
/// falling back to the processor.
///
/// Every session for a GPU starts in this function, also the first of the process, which settles how its
/// threads wait ([`waits`]).
pub(super) fn provider() -> ExecutionProviderDispatch {
    // The code that starts the lanes reports the result.
    let _ = waits();
    CUDA::default()
        .with_device_id(FIRST)
        .with_tf32(false)
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        .build()
        .error_on_failure()
}

/// Lets threads that wait for the GPU sleep, or reports why they cannot, which costs processor time and stops
/// nothing. It is checked again at every call, because another creator of a context may change the setting.
pub(super) fn waits() -> Result<(), String> {
    static DRIVER: OnceLock<Result<Driver, DriverError>> = OnceLock::new();
    let driver = DRIVER.get_or_init(|| Driver::open(Path::new(driver::LIBRARY), FIRST));
    let asleep = driver.as_ref().map_err(Clone::clone).and_then(Driver::block_while_waiting);
    asleep.map_err(|error| {
        format!("threads that wait for the GPU may each keep a core busy, because they cannot be made to sleep: {error}")
    })
}

/// Memory of the host that the device copies from while it computes.
pub(super) fn pinned(session: &OrtSession) -> Result<Allocator, ort::Error> {
    let pinned =
        MemoryInfo::new(AllocationDevice::CUDA_PINNED, FIRST, AllocatorType::Device, MemoryType::CPUInput)?;
    Allocator::new(session, pinned)
}

/// Why `library` can't run a model on a GPU here; `None` if it can. It is found out by running the smallest
/// one.
pub(in crate::engine) fn missing(library: &Library<Environment>) -> Option<String> {
    match CUDA::is_available() {
        Ok(true) => {}
        Ok(false) => return Some(without_cuda(&library.path)),
        Err(error) => return Some(reason(&error.to_string())),
    }
    preload(&library.path);
    try_smallest(library).err().map(|error| reason(&error.to_string()))
}

/// Why a library knows no CUDA. The packages `onnxruntime` and `onnxruntime-gpu` install files of the same
/// names; with pip the first wins, and the other's provider is left behind.
fn without_cuda(library: &Path) -> String {
    let provider = library.with_file_name("libonnxruntime_providers_cuda.so");
    if !provider.exists() {
        return "this ONNX Runtime was built without CUDA".to_owned();
    }
    "the package onnxruntime was installed over onnxruntime-gpu: run `pip uninstall -y onnxruntime`, then `pip install \
     --force-reinstall --no-deps onnxruntime-gpu`"
        .to_owned()
}

/// A convolution of one number: it takes a driver, a GPU that has kernels for it, and cuDNN.
fn try_smallest(library: &Library<Environment>) -> Result<(), ort::Error> {
    // The library prints its reasons on stderr too; we report them ourselves.
    let builder = onnxruntime::builder(&library.handle)?.with_log_level(LogLevel::Fatal)?;
    let mut session = builder.with_execution_providers([provider()])?.commit_from_memory(&smallest())?;
    let number = TensorRef::from_array_view(([1_usize; 4], [1.0_f32].as_slice()))?;
    session.run(ort::inputs!["number" => number]).map(|_| ())
}

/// Loads CUDA's libraries if Python's wheels have them, next to ONNX Runtime's own; otherwise the system's
/// loader finds them. The session reports what can't be loaded (above all because there is no driver) when it
/// is made.
fn preload(library: &Path) {
    // site-packages/onnxruntime/capi/libonnxruntime.so
    let Some(packages) = library.ancestors().nth(3) else { return };
    let folder = |name: &str| Some(packages.join(name)).filter(|folder| folder.is_dir());
    // One after the other, because a folder's first failure ends its call: the toolkit's last one, cuFFT, is
    // left out on purpose.
    let _ = cuda::preload_dylibs(folder("nvidia/cu13/lib").as_deref(), None);
    let _ = cuda::preload_dylibs(None, folder("nvidia/cudnn/lib").as_deref());
}

/// ONNX Runtime's message in short: its first line, without places in its source.
fn reason(message: &str) -> String {
    if message.contains("libcuda.so.1: cannot open shared object file") {
        return "there is no NVIDIA driver (libcuda.so.1 is not found)".to_owned();
    }
    let line = message.lines().next().unwrap_or_default();
    line.rsplit(": FAIL : ").next().unwrap_or(line).trim().to_owned()
}

/// The smallest graph that needs all of it.
fn smallest() -> Vec<u8> {
    let port = |name: &str| {
        let one = Dimension { value: Some(dimension::Value::DimValue(1)), ..Dimension::default() };
        let shape = Some(TensorShapeProto { dim: vec![one; 4] });
        let value =
            type_proto::Value::TensorType(type_proto::Tensor { elem_type: DataType::Float as i32, shape });
        let r#type = Some(TypeProto { value: Some(value), ..TypeProto::default() });
        ValueInfoProto { name: name.to_owned(), r#type, ..ValueInfoProto::default() }
    };
    let convolution = NodeProto {
        op_type: "Conv".to_owned(),
        input: vec!["number".to_owned(), "weight".to_owned()],
        output: vec!["product".to_owned()],
        ..NodeProto::default()
    };
    let weight = TensorProto {
        name: "weight".to_owned(),
        data_type: DataType::Float as i32,
        dims: vec![1; 4],
        float_data: vec![2.0],
        ..TensorProto::default()
    };
    let graph = GraphProto {
        name: "smallest".to_owned(),
        node: vec![convolution],
        initializer: vec![weight],
        input: vec![port("number")],
        output: vec![port("product")],
        ..GraphProto::default()
    };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
    ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..ModelProto::default() }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_driver_threads_cannot_be_told_to_sleep() {
        let Err(why) = waits() else {
            eprintln!("SKIPPED: there is a GPU here");
            return;
        };
        let start =
            "threads that wait for the GPU may each keep a core busy, because they cannot be made to sleep: ";
        assert!(why.starts_with(start) && why.contains("libcuda.so.1"), "{why}");
        // A session that needs the driver reports that itself.
        let _ = provider();
    }

    #[test]
    fn a_library_that_was_installed_over_that_for_gpus_is_known_by_the_provider_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libonnxruntime.so.1.32.0");
        assert_eq!(without_cuda(&library), "this ONNX Runtime was built without CUDA");
        std::fs::write(folder.path().join("libonnxruntime_providers_cuda.so"), "").unwrap();
        assert!(without_cuda(&library).contains("--force-reinstall --no-deps onnxruntime-gpu`"));
    }

    #[test]
    fn reasons_are_for_people() {
        let message = "/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:2043 onnxruntime::Provider& \
                       onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library \
                       /x/libonnxruntime_providers_cuda.so with error: ";
        let without = |library: &str| {
            reason(&format!(
                "{message}{library}: cannot open shared object file: No such file or directory\n"
            ))
        };
        insta::assert_snapshot!(without("libcuda.so.1"), @"there is no NVIDIA driver (libcuda.so.1 is not found)");
        insta::assert_snapshot!(without("libcublas.so.13"), @"Failed to load library /x/libonnxruntime_providers_cuda.so with error: libcublas.so.13: cannot open shared object file: No such file or directory");
        assert_eq!(
            reason("CUDA failure 100: no CUDA-capable device is detected"),
            "CUDA failure 100: no CUDA-capable device is detected"
        );
    }
}
