//! One session of a device with its own memory for a batch: crops in, outputs out.
//!
//! Crops are gathered in pinned memory that is kept from batch to batch, and every batch has the same number
//! of rows, the last ones left as they were: so an image's values depend on no neighbour and no place, and no
//! shape is ever planned twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ort::memory::Allocator;
use ort::session::Session as OrtSession;
use ort::value::Tensor;

use super::{Device, Meter, Program, cuda};
use crate::engine::onnxruntime::floats;
use crate::engine::{EngineError, ModelIo};
use crate::rewrite::INPUT;

/// Why a batch gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The device has too little memory for it: a smaller one may fit.
    Memory(String),
    /// A failure that a smaller batch would not fix.
    Other(EngineError),
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Memory(reason) => {
                EngineError::new(format!("the device has too little memory: {reason}"))
            }
            Failure::Other(error) => error,
        }
    }
}

/// What runs batches of one size.
pub(super) trait Batches: Send {
    /// Images of one batch.
    fn rows(&self) -> usize;

    /// Takes batches of `rows` images from now on.
    fn resize(&mut self, rows: usize) -> Result<(), Failure>;

    /// Runs `images`, at most [`Batches::rows`] crops, and gives each output's rows for them, flat.
    fn run(&mut self, images: &[&[u8]]) -> Result<Vec<Vec<f32>>, Failure>;
}

/// A session, and the memory of its batch.
pub(super) struct Lane {
    session: OrtSession,
    input: Tensor<u8>,
    rows: usize,
    device: Device,
    model_io: ModelIo,
    meter: Arc<Meter>,
    /// What copying a batch to the device takes.
    copy: Duration,
}

impl Lane {
    /// A lane for batches of `rows` images.
    pub(super) fn new(program: &Program, rows: usize, meter: Arc<Meter>) -> Result<Self, Failure> {
        let session = program.session().map_err(|error| why(&error))?;
        Self::of(program, session, rows, meter)
    }

    /// A lane with `session`, which the caller made from the program's graph.
    pub(super) fn of(
        program: &Program,
        session: OrtSession,
        rows: usize,
        meter: Arc<Meter>,
    ) -> Result<Self, Failure> {
        let (device, model_io) = (program.device, program.model_io.clone());
        let input = memory(&session, device, &model_io, rows).map_err(|error| why(&error))?;
        Ok(Self { session, input, rows, device, model_io, meter, copy: Duration::ZERO })
    }

    /// The time to copy a batch while the device is idle, counted for each batch from now on. Copies overlap
    /// with computing, so no clock can separate them later.
    pub(super) fn time_copy(&mut self) -> Result<Duration, Failure> {
        let copy = || {
            let mut binding = self.session.create_binding()?;
            let began = Instant::now();
            binding.bind_input(INPUT, &self.input)?;
            binding.synchronize_inputs()?;
            Ok(began.elapsed())
        };
        // The first one finds its memory.
        copy().map_err(|error| why(&error))?;
        self.copy = copy().map_err(|error| why(&error))?;
        Ok(self.copy)
    }

    /// Takes the copy time that another lane of this device measured.
    pub(super) fn set_copy(&mut self, copy: Duration) {
        self.copy = copy;
    }

    /// Ends the profile that its session was made to write, and gives the file's path.
    pub(super) fn end_profiling(&mut self) -> Result<String, ort::Error> {
        self.session.end_profiling()
    }

    /// Runs the batch as it lies in memory; the first `images` rows of each output are given.
    fn batch(&mut self, images: usize) -> Result<Result<Vec<Vec<f32>>, EngineError>, ort::Error> {
        let (session, input) = (&mut self.session, &self.input);
        let outputs = self.meter.compute.during(|| session.run(ort::inputs![INPUT => input]))?;
        self.meter.copied(self.copy);
        let mut found = Vec::with_capacity(self.model_io.outputs.len());
        for (index, name) in self.model_io.outputs.iter().enumerate() {
            let Some(output) = outputs.get(name) else {
                return Ok(Err(EngineError::new(format!("ONNX Runtime gave no output {name:?}"))));
            };
            let mut values = floats(output)?;
            match self.model_io.row_len(index, values.len(), self.rows) {
                Ok(row) => values.truncate(images * row),
                Err(error) => return Ok(Err(error)),
            }
            found.push(values);
        }
        Ok(Ok(found))
    }
}

impl Batches for Lane {
    fn rows(&self) -> usize {
        self.rows
    }

    fn resize(&mut self, rows: usize) -> Result<(), Failure> {
        if rows != self.rows {
            self.input =
                memory(&self.session, self.device, &self.model_io, rows).map_err(|error| why(&error))?;
            self.copy = self.copy.mul_f64(rows as f64 / self.rows as f64);
            self.rows = rows;
        }
        Ok(())
    }

    fn run(&mut self, images: &[&[u8]]) -> Result<Vec<Vec<f32>>, Failure> {
        let length = self.model_io.crop_len();
        let (_, memory) = self.input.try_extract_tensor_mut::<u8>().map_err(|error| why(&error))?;
        for (place, image) in memory.chunks_exact_mut(length).zip(images) {
            place.copy_from_slice(image);
        }
        self.batch(images.len()).map_err(|error| why(&error))?.map_err(Failure::Other)
    }
}

fn memory(
    session: &OrtSession,
    device: Device,
    model_io: &ModelIo,
    rows: usize,
) -> Result<Tensor<u8>, ort::Error> {
    let allocator = match device {
        Device::Cuda => cuda::pinned(session)?,
        Device::Cpu | Device::Rehearsal => Allocator::default(),
    };
    let mut tensor = Tensor::<u8>::new(&allocator, model_io.crops_shape(rows))?;
    tensor.try_extract_tensor_mut::<u8>()?.1.fill(0);
    Ok(tensor)
}

fn failed(error: &ort::Error) -> EngineError {
    EngineError::new(format!("the device failed: {error}"))
}

fn why(error: &ort::Error) -> Failure {
    let reason = error.to_string();
    if is_out_of_memory(&reason) { Failure::Memory(reason) } else { Failure::Other(failed(error)) }
}

/// The messages of ONNX Runtime's arena, CUDA, cuDNN and cuBLAS if memory runs out.
const OUT_OF_MEMORY: &[&str] = &[
    "out of memory",
    "Failed to allocate memory",
    "cudaErrorMemoryAllocation",
    // cuDNN 9: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED, and of the host.
    "ALLOCATION_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
];

pub(super) fn is_out_of_memory(reason: &str) -> bool {
    OUT_OF_MEMORY.iter().any(|words| reason.contains(words))
}
