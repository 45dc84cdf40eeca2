//! Which of a graph's inputs takes the image, and which of its outputs gives scores or a vector.
//!
//! It only chooses. If it can't choose, the error lists the candidates and the option that chooses.

use serde::{Deserialize, Serialize};

use super::{Element, Graph, Port};
use crate::error::ModelError;
use crate::preprocessing::Layout;

/// No graph may insist on more images at once.
pub(crate) const LARGEST_BATCH: usize = 1024;

/// The input that takes the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInput {
    /// Its name in the graph.
    pub name: String,
    /// Floats or bytes.
    pub element: Element,
    /// The batch the graph insists on, 1 to 1024; `None` if it takes any.
    pub batch: Option<usize>,
    /// The position of the channels.
    pub layout: Layout,
    /// 1 or 3.
    pub channels: u8,
    /// The height the graph insists on.
    pub height: Option<usize>,
    /// The width the graph insists on.
    pub width: Option<usize>,
}

/// An output that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPort {
    /// Its name in the graph.
    pub name: String,
    /// Values per image, if the graph states it.
    pub len: Option<usize>,
}

impl Graph {
    /// The one input, if it takes images; `layout` overrides what the dimensions suggest.
    ///
    /// # Errors
    /// If there is not exactly one input, or it is not an image of 1 or 3 channels in floats or bytes.
    pub fn image_input(&self, layout: Option<Layout>) -> Result<ImageInput, ModelError> {
        let input = match self.inputs.as_slice() {
            [input] => input,
            [] => return Err(ModelError::new("the model has no input, so it cannot take an image")),
            inputs => {
                return Err(ModelError::new(format!(
                    "the model has {} inputs ({}), but tagfleet feeds one image: export the image part alone",
                    inputs.len(),
                    names(inputs)
                )));
            }
        };
        image_input(input, layout)
    }

    /// The output `name`, if it can be one row of scores per image.
    ///
    /// # Errors
    /// If there is none, or it has another shape.
    pub fn scores_output(&self, name: &str) -> Result<&Port, ModelError> {
        let port = self.output(name)?;
        if scores_len(port).is_some() { Ok(port) } else { Err(not_scores(port)) }
    }

    /// The outputs that are one row of floats per image, `[n, c]` or `[n, c, 1, 1]`, for a graph that insists
    /// on `batch` images. An output of another number of rows holds something else.
    pub fn score_rows(&self, batch: Option<usize>) -> Vec<&Port> {
        let is_per_image =
            |port: &&Port| match port.shape.as_ref().and_then(|shape| shape.first().copied().flatten()) {
                Some(rows) => rows == 1 || batch == Some(rows),
                None => true,
            };
        self.outputs.iter().filter(|port| scores_len(port).is_some()).filter(is_per_image).collect()
    }

    /// The error of a graph without scores.
    pub(crate) fn no_scores(&self) -> ModelError {
        ModelError::new(format!(
            "no output of the model is one row of scores per image, [n, c] or [n, c, 1, 1]: it has {}; with `--output NAME` a run keeps one of them whole, without tags",
            names(&self.outputs)
        ))
    }

    /// The output of that name, of whatever shape.
    ///
    /// # Errors
    /// If there is none, or it does not hold floats.
    pub fn output(&self, name: &str) -> Result<&Port, ModelError> {
        let is_wanted =
            |port: &&Port| port.name == name || port.map.as_ref().is_some_and(|map| map.name == name);
        let Some(port) = self.outputs.iter().find(is_wanted) else {
            return Err(ModelError::new(format!(
                "the model has no output {name:?}: it has {}",
                names(&self.outputs)
            )));
        };
        if !port.element.is_float() {
            return Err(ModelError::new(format!(
                "the output {name:?} does not hold floats: tagfleet can't keep it"
            )));
        }
        Ok(port)
    }
}

impl Port {
    /// The output as it is kept: its name and how many values it has per image.
    ///
    /// # Errors
    /// If it claims more values than can be counted.
    pub fn kept(&self) -> Result<OutputPort, ModelError> {
        let dims = self.shape.as_ref().and_then(|shape| shape.get(1..)?.iter().copied().collect());
        let len = dims.map(|dims: Vec<usize>| {
            let product = dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
            product.ok_or_else(|| ModelError::new(format!("the output {} is too large", self.describe())))
        });
        Ok(OutputPort { name: self.name.clone(), len: len.transpose()? })
    }

    /// The number of scores per image, if the graph states it.
    pub fn classes(&self) -> Option<usize> {
        scores_len(self).flatten()
    }

    /// `name [n, 3, 224, 224]`, for people.
    pub fn describe(&self) -> String {
        let Some(shape) = &self.shape else { return format!("{} [?]", self.name) };
        let dims: Vec<String> =
            shape.iter().map(|dim| dim.map_or("n".to_owned(), |d| d.to_string())).collect();
        format!("{} [{}]", self.name, dims.join(", "))
    }
}

fn names(ports: &[Port]) -> String {
    ports.iter().map(Port::describe).collect::<Vec<_>>().join(", ")
}

/// `Some` if a port could be scores; inside, the number of classes if the graph states it.
fn scores_len(port: &Port) -> Option<Option<usize>> {
    if !port.element.is_float() {
        return None;
    }
    match port.shape.as_deref() {
        None => Some(None),
        Some([_, classes] | [_, classes, Some(1), Some(1)] | [_, Some(1), Some(1), classes]) => {
            Some(*classes)
        }
        Some(_) => None,
    }
}

fn not_scores(port: &Port) -> ModelError {
    ModelError::new(format!(
        "the output {} is not one row of scores per image, [n, c] or [n, c, 1, 1]: name another in tagfleet.toml",
        port.describe()
    ))
}

fn image_input(input: &Port, layout: Option<Layout>) -> Result<ImageInput, ModelError> {
    let &[batch, second, third, fourth] = input.shape.as_deref().unwrap_or_default() else {
        return Err(ModelError::new(format!(
            "the model's input {} is not an image: an image has 4 dimensions, [n, channels, height, width]",
            input.describe()
        )));
    };
    if input.element == Element::Other {
        return Err(ModelError::new(format!(
            "the model's input {} takes neither floats nor bytes: export it with a float32, float16, uint8 or int8 input",
            input.describe()
        )));
    }
    let layout = layout.unwrap_or(if is_channels(fourth) && !is_channels(second) {
        Layout::Nhwc
    } else {
        Layout::Nchw
    });
    let (channels, height, width) = match layout {
        Layout::Nchw => (second, third, fourth),
        Layout::Nhwc => (fourth, second, third),
    };
    let channels = match channels {
        None | Some(3) => 3,
        Some(1) => 1,
        Some(other) => {
            return Err(ModelError::new(format!(
                "the model's input {} has {other} channels, but an image has 3 or 1",
                input.describe()
            )));
        }
    };
    if batch.is_some_and(|batch| batch > LARGEST_BATCH) {
        return Err(ModelError::new(format!(
            "the model's input {} wants more than {LARGEST_BATCH} images at once: export it with a dynamic batch",
            input.describe()
        )));
    }
    Ok(ImageInput {
        name: input.name.clone(),
        element: input.element,
        batch,
        layout,
        channels,
        height,
        width,
    })
}

fn is_channels(dim: Option<usize>) -> bool {
    matches!(dim, Some(1 | 3))
}
