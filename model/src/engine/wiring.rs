//! How a session is fed and read: names, types and lengths, taken from the model once.

use crate::folder::Model;
use crate::graph::Element;
use crate::preprocessing::Layout;

/// How a session is fed and read.
#[derive(Clone, Debug)]
pub(crate) struct Wiring {
    pub(super) input: String,
    pub(super) element: Element,
    /// Channels, height and width in the model's layout.
    dims: [usize; 3],
    /// The batch the graph insists on.
    pub(super) batch: Option<usize>,
    /// Whether the first of `outputs` is the scores.
    pub(super) scored: bool,
    /// The scores if there are some, then the vector if there is one.
    pub(super) outputs: Vec<String>,
    /// Values per image for each of `outputs`, where known.
    pub(super) lens: Vec<Option<usize>>,
}

impl Wiring {
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
        let scores_len = spec.scores.iter().map(|_| Some(spec.labels.len()));
        let lens = scores_len.chain(spec.vector.iter().map(|port| port.len)).collect();
        Self {
            input: spec.input.name.clone(),
            element: spec.input.element,
            dims,
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
}
