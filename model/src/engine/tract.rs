//! tract, the built-in engine: pure Rust, always there, one image per call.
//!
//! Shapes stored in the graph are ignored, because exporters get them wrong. 16-bit floats are widened to 32
//! when the model is loaded: computed as they are, they take about a minute per image.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::model::ParseResult;
use tract_onnx::prelude::{
    DatumType, DatumTypeExt, InferenceModelExt, IntoRunnable, IntoTValue, Tensor, TractError, TractResult,
    TypedModel, TypedRunnableModel, tvec,
};
use tract_onnx::tract_core::floats::FloatPrecisionTranslator;
use tract_onnx::tract_core::transform::ModelTransform;
use tract_onnx::tract_hir::infer::InferenceModel;

use super::batching::Session;
use super::model_io::{signed, unsigned};
use super::{EngineError, ModelIo};
use crate::folder::Model;
use crate::graph::Element;
use crate::rewrite::{self, weights};

/// The version this program was built with; a test compares it with `Cargo.lock`.
pub(super) const VERSION: &str = "0.23.9";

/// A model ready to run; sessions share it.
pub(super) struct Program {
    runnable: Arc<TypedRunnableModel>,
}

impl Program {
    /// Loads and optimises a model for its own batch, or for one image if it takes any.
    pub(super) fn load(model: &Model, model_io: &ModelIo) -> Result<Self, EngineError> {
        let path = model.path();
        let refused = |reason: &str| {
            EngineError::new(format!(
                "tract can't run {}: {reason}; install ONNX Runtime with `pip install onnxruntime`, or give its path with --onnxruntime",
                path.display()
            ))
        };
        match caught(|| runnable(model, model_io)) {
            Ok(runnable) => Ok(Self { runnable }),
            Err(reason) => Err(refused(&reason)),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "both engines make sessions alike")]
    pub(super) fn session(&self, model_io: &ModelIo) -> Result<Tract, EngineError> {
        Ok(Tract { runnable: Arc::clone(&self.runnable), model_io: model_io.clone() })
    }
}

/// What `work` gives, or why not: tract has places that panic on operators it half knows.
fn caught<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| format!("{error:#}")),
        Err(_) => Err("it panicked on the graph".to_owned()),
    }
}

fn parsed(model: &Model) -> TractResult<InferenceModel> {
    let onnx = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
    let mut proto = weights::decoded(model, u64::MAX, "")?;
    rewrite::expose(&mut proto, model);
    // It has no folder, because no tensor of it is in another file.
    let ParseResult { model, unresolved_inputs, .. } = onnx.parse(&proto, None)?;
    if !unresolved_inputs.is_empty() {
        return Err(TractError::msg(format!("nothing gives its values {}", unresolved_inputs.join(", "))));
    }
    Ok(model)
}

fn runnable(model: &Model, model_io: &ModelIo) -> TractResult<Arc<TypedRunnableModel>> {
    let mut graph = parsed(model)?;
    let element = match model_io.element {
        Element::F16 => DatumType::F16,
        Element::U8 => DatumType::U8,
        Element::I8 => DatumType::I8,
        Element::F32 | Element::Other => DatumType::F32,
    };
    graph.set_input_fact(0, element.fact(model_io.shape(model_io.batch.unwrap_or(1))).into())?;
    let names: Vec<&str> = model_io.outputs.iter().map(String::as_str).collect();
    graph.select_outputs_by_name(names)?;
    let mut graph: TypedModel = graph.into_typed()?;
    if model.spec.half {
        FloatPrecisionTranslator::new(DatumType::F16, DatumType::F32).transform(&mut graph)?;
    }
    graph.into_optimized()?.into_runnable()
}

/// One thread's session.
pub(super) struct Tract {
    runnable: Arc<TypedRunnableModel>,
    model_io: ModelIo,
}

impl Session for Tract {
    fn call(&mut self, input: &[f32], rows: usize) -> Result<Vec<Vec<f32>>, EngineError> {
        caught(|| run(&self.runnable, tensor(&self.model_io, input, rows)?))
            .map_err(|reason| EngineError::new(format!("tract failed: {reason}")))
    }
}

/// 16-bit floats were widened when the model was loaded.
fn tensor(model_io: &ModelIo, input: &[f32], rows: usize) -> TractResult<Tensor> {
    let shape = model_io.shape(rows);
    match model_io.element {
        Element::U8 => Tensor::from_shape(&shape, &unsigned(input)),
        Element::I8 => Tensor::from_shape(&shape, &signed(input)),
        Element::F32 | Element::F16 | Element::Other => Tensor::from_shape(&shape, input),
    }
}

fn run(runnable: &Arc<TypedRunnableModel>, input: Tensor) -> TractResult<Vec<Vec<f32>>> {
    let outputs = runnable.run(tvec!(input.into_tvalue()))?;
    let mut values = Vec::new();
    for output in outputs {
        let output = output.cast_to::<f32>()?;
        values.push(output.to_plain_array_view::<f32>()?.iter().copied().collect());
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(caught(|| Ok(1)), Ok(1));
        assert_eq!(
            caught(|| -> TractResult<()> { unreachable!() }),
            Err("it panicked on the graph".to_owned())
        );
    }
}
