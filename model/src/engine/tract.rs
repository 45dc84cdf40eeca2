//! tract, the built-in engine: pure Rust, always there, one image per call.
//!
//! Shapes stored in the graph are ignored, for exporters get them wrong. 16-bit floats are widened to 32 when the model
//! is loaded: computed as they are, they take about a minute per image.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::prelude::{
    DatumType, DatumTypeExt, Framework, InferenceModelExt, IntoRunnable, IntoTValue, Tensor, TractError,
    TractResult, TypedModel, TypedRunnableModel, tvec,
};
use tract_onnx::tract_core::floats::FloatPrecisionTranslator;
use tract_onnx::tract_core::transform::ModelTransform;

use super::batching::Session;
use super::{EngineError, Wiring};
use crate::folder::Model;
use crate::graph::Element;

/// The version this program was built with; a test compares it with `Cargo.lock`.
pub(super) const VERSION: &str = "0.23.9";

/// A model ready to run; sessions share it.
pub(super) struct Program {
    runnable: Arc<TypedRunnableModel>,
}

impl Program {
    /// Loads and optimises a model for its own batch, or for one image where it takes any.
    pub(super) fn load(model: &Model, wiring: &Wiring) -> Result<Self, EngineError> {
        let path = model.path();
        let refused = |reason: &str| {
            EngineError::new(format!(
                "tract can't run {}: {reason}; install ONNX Runtime with `make setup`, or give --onnxruntime",
                path.display()
            ))
        };
        // tract has places that panic on operators it half knows.
        let loaded = catch_unwind(AssertUnwindSafe(|| runnable(model, wiring)));
        match loaded {
            Ok(Ok(runnable)) => Ok(Self { runnable }),
            Ok(Err(error)) => Err(refused(&format!("{error:#}"))),
            Err(_) => Err(refused("it panicked on the graph")),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "both engines make sessions alike")]
    pub(super) fn session(&self, wiring: &Wiring) -> Result<Tract, EngineError> {
        Ok(Tract { runnable: Arc::clone(&self.runnable), wiring: wiring.clone() })
    }
}

fn runnable(model: &Model, wiring: &Wiring) -> TractResult<Arc<TypedRunnableModel>> {
    let onnx = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
    let mut graph = onnx.model_for_path(model.path())?;
    let element = if wiring.element == Element::F16 { DatumType::F16 } else { DatumType::F32 };
    graph.set_input_fact(0, element.fact(wiring.shape(wiring.batch.unwrap_or(1))).into())?;
    let names: Vec<&str> = wiring.outputs.iter().map(String::as_str).collect();
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
    wiring: Wiring,
}

impl Session for Tract {
    fn call(&mut self, input: &[f32], rows: usize) -> Result<Vec<Vec<f32>>, EngineError> {
        let failed = |error: TractError| EngineError::new(format!("tract failed: {error:#}"));
        let input = Tensor::from_shape(&self.wiring.shape(rows), input).map_err(failed)?;
        let outputs = self.runnable.run(tvec!(input.into_tvalue())).map_err(failed)?;
        let mut values = Vec::new();
        for output in outputs {
            let output = output.cast_to::<f32>().map_err(failed)?;
            let view = output.to_plain_array_view::<f32>().map_err(failed)?;
            values.push(view.iter().copied().collect());
        }
        Ok(values)
    }
}
