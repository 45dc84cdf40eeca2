//! Cuts and pads batches to what a session takes, and checks what comes back.
//!
//! It exists so that both engines keep one promise: an image's values never depend on its neighbours.

use std::sync::Arc;
use std::time::Instant;

use super::trial::{Trial, Tries};
use super::{Engine, EngineError, ModelIo, Outputs, memory};

/// What an engine must do: run exactly `rows` images and give each output flat, in the wiring's order.
pub(super) trait Session: Send {
    fn call(&mut self, input: &[f32], rows: usize) -> Result<Vec<Vec<f32>>, EngineError>;
}

/// A session behind the batch rules of its graph.
pub(super) struct Batching {
    session: Box<dyn Session>,
    model_io: ModelIo,
    /// Images per call of the session.
    trial: Arc<Trial>,
    /// Set if this session is the one that tries.
    tries: Option<Tries>,
    /// A batch with room for padding; used only if the graph insists on more rows than are given.
    padded: Vec<f32>,
}

impl Batching {
    pub(super) fn new(session: Box<dyn Session>, model_io: ModelIo, trial: Arc<Trial>) -> Self {
        trial.join();
        Self { session, model_io, trial, tries: None, padded: Vec::new() }
    }

    /// Runs `rows` images at once and returns the rows of all.
    fn in_batches(&mut self, input: &[f32], rows: usize) -> Result<Vec<Vec<f32>>, EngineError> {
        let mut outputs = vec![Vec::new(); self.model_io.outputs.len()];
        for batch in input.chunks(self.model_io.len() * rows) {
            self.call(batch, &mut outputs)?;
        }
        Ok(outputs)
    }

    /// Runs [`Trial::largest`] images in the batch whose turn it is.
    fn try_next(&mut self, mut tries: Tries, input: &[f32]) -> Result<Vec<Vec<f32>>, EngineError> {
        let (rows, is_first) = tries.next();
        let began = Instant::now();
        let outputs = self.in_batches(input, if is_first { 1 } else { rows })?;
        if !is_first {
            tries.took(began.elapsed());
        } else if self.fits(input, rows, &outputs) {
            tries.fits();
        } else {
            tries.refuse();
        }
        match tries.chosen() {
            Some(rows) => self.trial.end(rows),
            None => self.tries = Some(tries),
        }
        Ok(outputs)
    }

    /// Whether a batch of this many images gives the rows that each gets `alone`; false if the engine refuses
    /// the batch.
    fn fits(&mut self, input: &[f32], rows: usize, alone: &[Vec<f32>]) -> bool {
        if rows == 1 {
            return true;
        }
        if !memory::may_double() {
            return false;
        }
        let Ok(together) = self.in_batches(input, rows) else { return false };
        together.iter().zip(alone).all(|(together, alone)| same_bits(together, alone))
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

impl Drop for Batching {
    fn drop(&mut self) {
        self.trial.leave();
    }
}

impl Engine for Batching {
    fn batch_size(&self) -> usize {
        self.trial.wanted()
    }

    fn run(&mut self, input: &[f32], n: usize) -> Result<Outputs, EngineError> {
        let len = self.model_io.len();
        if n == 0 || input.len() != n * len {
            return Err(EngineError::new(format!(
                "expected {n} images of {len} values, got {} values",
                input.len()
            )));
        }
        let began = Instant::now();
        let outputs = match self.tries.take_if(|_| n == self.trial.largest()) {
            Some(tries) => self.try_next(tries, input)?,
            None => self.in_batches(input, self.trial.chosen())?,
        };
        if let Some(tries) = self.trial.begin(began.elapsed()) {
            self.tries = Some(tries);
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

/// Values in -2..2 whose range grows from image to image.
fn noise(len: usize) -> Vec<f32> {
    let mut random = random();
    let mut values = Vec::with_capacity(len);
    for index in 0..len {
        let unit = (random() >> 8) as f32 / 16_777_216.0;
        let range = 0.5 + 1.5 * index as f32 / len as f32;
        values.push((2.0 * unit - 1.0) * range);
    }
    values
}

/// Numbers that follow no pattern, the same on every machine (a linear congruential generator).
pub(super) fn random() -> impl FnMut() -> u32 {
    let mut state = 1_u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state
    }
}
