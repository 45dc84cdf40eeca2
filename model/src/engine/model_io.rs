//! How a session is fed and read: names, types and lengths, taken from the model once.

use super::{EngineError, Outputs};
use crate::folder::Model;
use crate::graph::Element;
use crate::preprocessing::Layout;
use crate::tensor;

/// How a session is fed and read.
#[derive(Clone, Debug)]
pub(crate) struct ModelIo {
    pub(super) input: String,
    pub(super) element: Element,
    /// Channels, height and width in the model's layout.
    dims: [usize; 3],
    /// Rows, columns and bytes per pixel of a crop, whatever the model's own layout.
    crop: [usize; 3],
    /// The batch the graph insists on.
    pub(super) batch: Option<usize>,
    /// Whether the first of `outputs` is the scores.
    pub(super) scored: bool,
    /// The scores if there are some, then the vector if there is one.
    pub(super) outputs: Vec<String>,
    /// Values per image for each of `outputs`, if known.
    pub(super) lens: Vec<Option<usize>>,
}

impl ModelIo {
    pub(super) fn of(model: &Model) -> Self {
        let spec = &model.spec;
        let preprocessing = &spec.preprocessing;
        let (height, width) = (preprocessing.input.height as usize, preprocessing.input.width as usize);
        let channels = preprocessing.mean.len();
        let dims = match preprocessing.layout {
            Layout::Nchw => [channels, height, width],
            Layout::Nhwc => [height, width, channels],
        };
        let ports = || spec.scores.iter().chain(&spec.vector);
        let scores_len = spec.scores.iter().map(|_| Some(spec.score_count()));
        let lens = scores_len.chain(spec.vector.iter().map(|port| port.len)).collect();
        Self {
            input: spec.input.name.clone(),
            element: spec.input.element,
            dims,
            crop: [height, width, tensor::crop_channels(preprocessing)],
            batch: spec.input.batch,
            scored: spec.scores.is_some(),
            outputs: ports().map(|port| port.name.clone()).collect(),
            lens,
        }
    }

    /// Values per image.
    pub(super) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    pub(super) fn shape(&self, rows: usize) -> [usize; 4] {
        let [a, b, c] = self.dims;
        [rows, a, b, c]
    }

    /// Bytes of one crop.
    pub(super) fn crop_len(&self) -> usize {
        self.crop.iter().product()
    }

    /// The shape of crops as bytes: `[n, height, width, channels]`.
    pub(super) fn crops_shape(&self, rows: usize) -> [usize; 4] {
        let [height, width, channels] = self.crop;
        [rows, height, width, channels]
    }

    /// Values per image of output number `output`, of which there are `values` for `rows` images.
    ///
    /// # Errors
    /// If that is not what the model promised.
    pub(super) fn row_len(&self, output: usize, values: usize, rows: usize) -> Result<usize, EngineError> {
        let promised = self.lens[output];
        let len = values / rows;
        if len > 0 && len * rows == values && promised.is_none_or(|promised| promised == len) {
            return Ok(len);
        }
        let promised = promised.map_or("a whole number of".to_owned(), |len| len.to_string());
        Err(EngineError::new(format!(
            "the output {:?} has {values} values for {rows} image(s), but {promised} per image were expected: check labels and output in tagfleet.toml",
            self.outputs[output]
        )))
    }

    /// The rows of `n` images, flat, one for each of `outputs`, as what they are.
    pub(super) fn outputs_of(&self, outputs: Vec<Vec<f32>>, n: usize) -> Outputs {
        let mut outputs = outputs.into_iter();
        let scores = if self.scored { outputs.next() } else { None }.unwrap_or_default();
        let vector = outputs.next();
        let vector_len = vector.as_ref().map_or(0, |vector| vector.len() / n);
        Outputs { classes: scores.len() / n, scores, vector, vector_len }
    }
}

/// Values for an input of unsigned bytes. They are integers already, up to a rounding error.
pub(super) fn unsigned(values: &[f32]) -> Vec<u8> {
    values.iter().map(|value| value.round() as u8).collect()
}

/// Values for an input of signed bytes, rounded.
pub(super) fn signed(values: &[f32]) -> Vec<i8> {
    values.iter().map(|value| value.round() as i8).collect()
}
