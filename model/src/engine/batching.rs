//! Cuts and pads batches to what a session takes, and checks what comes back.
//!
//! It exists so that all engines keep one promise: an image's values never depend on its neighbours. On a
//! CPU, images run one by one unless the graph insists on a batch.

use super::{Engine, EngineError, ModelIo, Outputs};

/// One call of an engine.
pub(super) trait Session: Send {
    /// Runs exactly `rows` images and returns each output flat, in the order of [`ModelIo`].
    fn call(&mut self, input: &[f32], rows: usize) -> Result<Vec<Vec<f32>>, EngineError>;
}

/// A session behind the batch rules of its graph.
pub(super) struct Batching {
    session: Box<dyn Session>,
    model_io: ModelIo,
    /// Images per call of the session.
    rows: usize,
    /// A batch with room for padding; used only if the graph insists on more rows than are given.
    padded: Vec<f32>,
}

impl Batching {
    pub(super) fn new(session: Box<dyn Session>, model_io: ModelIo, rows: usize) -> Self {
        Self { session, model_io, rows, padded: Vec::new() }
    }

    /// Runs at most as many images as a session takes at once and appends their rows to `outputs`.
    fn call(&mut self, input: &[f32], outputs: &mut [Vec<f32>]) -> Result<(), EngineError> {
        let rows = input.len() / self.model_io.len();
        let batch = self.model_io.batch.unwrap_or(rows);
        let found = if batch == rows {
            self.session.call(input, rows)?
        } else {
            self.padded.clear();
            self.padded.extend_from_slice(input);
            self.padded.resize(batch * self.model_io.len(), 0.0);
            self.session.call(&self.padded, batch)?
        };
        for (index, values) in found.iter().enumerate() {
            let len = self.model_io.row_len(index, values.len(), batch)?;
            outputs[index].extend_from_slice(&values[..rows * len]);
        }
        Ok(())
    }
}

impl Engine for Batching {
    fn batch_size(&self) -> usize {
        self.rows
    }

    fn run(&mut self, input: &[f32], n: usize) -> Result<Outputs, EngineError> {
        let len = self.model_io.len();
        if n == 0 || input.len() != n * len {
            return Err(EngineError::new(format!(
                "expected {n} images of {len} values, got {} values",
                input.len()
            )));
        }
        let mut outputs = vec![Vec::new(); self.model_io.outputs.len()];
        for batch in input.chunks(len * self.rows) {
            self.call(batch, &mut outputs)?;
        }
        Ok(self.model_io.outputs_of(outputs, n))
    }
}

/// Whether `n` different images give the same bits together as alone. `len` is the number of values per
/// image.
///
/// # Errors
/// If the engine fails.
pub fn rows_are_independent(engine: &mut dyn Engine, len: usize, n: usize) -> Result<bool, EngineError> {
    let input = noise(len * n);
    let together = engine.run(&input, n)?;
    for (index, image) in input.chunks(len).enumerate() {
        let alone = engine.run(image, 1)?;
        let range = |len: usize| index * len..(index + 1) * len;
        let scores = &together.scores[range(together.classes)];
        if !same_bits(scores, &alone.scores) {
            return Ok(false);
        }
        if let (Some(all), Some(one)) = (&together.vector, &alone.vector)
            && !same_bits(&all[range(together.vector_len)], one)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn same_bits(left: &[f32], right: &[f32]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Values in -2..2 whose range grows from image to image; the same on every machine.
fn noise(len: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut values = Vec::with_capacity(len);
    for index in 0..len {
        let range = 0.5 + 1.5 * index as f32 / len as f32;
        values.push((2.0 * random.f32() - 1.0) * range);
    }
    values
}
