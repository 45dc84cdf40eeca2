//! Small networks as ONNX files, and plain pictures for them. Their correct preprocessing is known, because
//! the test chooses it.
//!
//! A network averages each channel, multiplies by a matrix and applies a softmax. Its few protocol buffer
//! fields are written by hand, without a library.

use std::fs;
use std::path::Path;

/// A linear classifier of the mean of each channel.
#[derive(Clone, Debug)]
pub struct Network {
    /// Whether channels come last.
    pub nhwc: bool,
    /// For each label, the weight of each channel in the order of the graph, and the bias.
    pub labels: Vec<(&'static str, [f32; 3], f32)>,
}

impl Network {
    /// Writes `model.onnx` and `labels.txt` into `folder`.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join("model.onnx"), self.model()).expect("a model");
        let names: Vec<&str> = self.labels.iter().map(|(name, ..)| *name).collect();
        fs::write(folder.join("labels.txt"), names.join("\n") + "\n").expect("labels");
    }

    fn model(&self) -> Vec<u8> {
        [number(1, 8), bytes(7, &self.graph()), bytes(8, &number(2, 13))].concat()
    }

    fn graph(&self) -> Vec<u8> {
        let classes = self.labels.len();
        let mut weights = Vec::new();
        for channel in 0..3 {
            weights.extend(self.labels.iter().map(|(_, weights, _)| weights[channel]));
        }
        let biases: Vec<f32> = self.labels.iter().map(|(_, _, bias)| *bias).collect();
        let (dims, first) = if self.nhwc { ([1, 8, 8, 3], "planes") } else { ([1, 3, 8, 8], "pixels") };
        let mut graph = Vec::new();
        if self.nhwc {
            let order: Vec<u8> = [0, 3, 1, 2].into_iter().flat_map(|axis| number(8, axis)).collect();
            let order = [bytes(1, b"perm"), order, number(20, 7)].concat();
            graph.push(bytes(1, &[node("Transpose", &["pixels"], "planes"), bytes(5, &order)].concat()));
        }
        graph.extend([
            bytes(1, &node("GlobalAveragePool", &[first], "means")),
            bytes(1, &node("Flatten", &["means"], "flat")),
            bytes(1, &node("MatMul", &["flat", "weights"], "product")),
            bytes(1, &node("Add", &["product", "biases"], "logits")),
            bytes(2, b"network"),
            bytes(5, &tensor("weights", &[3, classes], &weights)),
            bytes(5, &tensor("biases", &[classes], &biases)),
            bytes(11, &value("pixels", &dims)),
            bytes(12, &value("logits", &[1, classes])),
        ]);
        graph.concat()
    }
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let mut node: Vec<u8> = inputs.iter().flat_map(|input| bytes(1, input.as_bytes())).collect();
    node.extend([bytes(2, output.as_bytes()), bytes(4, operator.as_bytes())].concat());
    node
}

fn tensor(name: &str, dims: &[usize], values: &[f32]) -> Vec<u8> {
    let mut tensor: Vec<u8> = dims.iter().flat_map(|dim| number(1, *dim)).collect();
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor.extend([number(2, 1), bytes(8, name.as_bytes()), bytes(9, &raw)].concat());
    tensor
}

fn value(name: &str, dims: &[usize]) -> Vec<u8> {
    let shape: Vec<u8> = dims.iter().flat_map(|dim| bytes(1, &number(1, *dim))).collect();
    let of_floats = [number(1, 1), bytes(2, &shape)].concat();
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &of_floats))].concat()
}

fn number(field: usize, value: usize) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: usize, value: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(value.len()), value.to_vec()].concat()
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut written = Vec::new();
    while value >= 0x80 {
        written.push(value as u8 | 0x80);
        value >>= 7;
    }
    written.push(value as u8);
    written
}

/// Writes a picture of one colour (red, green, blue) as a bitmap of `width` times `height` pixels.
///
/// # Panics
/// If it cannot be written.
pub fn plain_picture(path: &Path, [red, green, blue]: [u8; 3], (width, height): (u32, u32)) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let padding = vec![0; (4 - width as usize * 3 % 4) % 4];
    let row = [[blue, green, red].repeat(width as usize), padding].concat();
    let pixels = row.repeat(height as usize);
    let mut file = b"BM".to_vec();
    for value in [54 + pixels.len() as u32, 0, 54, 40, width, height, 1 | 24 << 16, 0, 0, 0, 0, 0, 0] {
        file.extend(value.to_le_bytes());
    }
    fs::write(path, [file, pixels].concat()).expect("a picture");
}
