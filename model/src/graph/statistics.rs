//! What the statistics of a first batch normalisation reveal of the samples a network was trained on.
//!
//! A batch normalisation behind the first convolution keeps the mean and variance of the convolution's
//! training outputs. A convolution is linear: a filter whose weights add up to `s` gives the samples' mean
//! times `s`, so that all filters together show the mean. The variance shows the standard deviation, once it
//! is known how alike neighbouring pixels of pictures are.
//!
//! Exporters that fold the normalisation into the convolution leave less: each bias is about the mean times
//! `-s`, and each filter gives a deviation of about 1. Names reveal the folding: PyTorch's `onnx::Conv_55`
//! before version 2.5 and its `getitem` since, TensorFlow's `batchnorm` and `FusedBatchNorm`. It never looks
//! at later layers.

use tract_onnx::pb::{GraphProto, NodeProto};

use super::constants::Constants;
use super::opening::only_taker;
use super::range::SampleRange;

/// Filters that are looked at, and weights of each.
const MOST_FILTERS: usize = 64;
const MOST_WEIGHTS: usize = 3 * 11 * 11;
/// The correlation of two pixels of photos falls to `1 / e` over this many pixels, and is this between
/// channels. Both were chosen for photos of 224x224; a factor of two changes no range.
const REACH: f64 = 12.0;
const BETWEEN_CHANNELS: f64 = 0.9;

/// The samples of training, averaged over the channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    mean: f64,
    deviation: f64,
    trust: Trust,
}

/// How sure statistics are.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Trust {
    /// How far the deviation may be above that of a range, in octaves, and how far below.
    above: f64,
    below: f64,
    /// Another range must be nearer by this much.
    clearly: f64,
}

/// Read from a normalisation.
const KEPT: Trust = Trust { above: 0.7, below: 0.7, clearly: 1.5 };
/// Read from what a folded one left: weight decay makes its factors less than 1, so that a deviation seems
/// larger than it was.
const FOLDED: Trust = Trust { above: 2.5, below: 1.0, clearly: 2.5 };
/// Filters that are needed to find the mean of what was folded.
const FEWEST_FILTERS: usize = 6;

/// The filters of a first convolution, each channel by channel and row by row.
struct FirstLayer {
    filters: Vec<Vec<f64>>,
    /// Channels, height and width of each.
    side: [usize; 3],
}

impl Statistics {
    /// The statistics of the convolution that takes the tensor `name`, if a batch normalisation follows it or
    /// is in it.
    pub(super) fn of(graph: &GraphProto, constants: &Constants<'_>, name: &str) -> Option<Self> {
        let convolution = only_taker(graph, name).filter(|node| node.op_type == "Conv")?;
        let layer = FirstLayer::read(convolution, constants)?;
        let biases = convolution.input.get(2).filter(|name| !name.is_empty());
        let biases = biases.and_then(|biases| constants.values(biases));
        let next = only_taker(graph, convolution.output.first()?);
        match next.filter(|next| next.op_type == "BatchNormalization") {
            Some(normalisation) => layer.normalised(normalisation, biases.as_deref(), constants),
            None if is_folded(convolution) => layer.folded(&biases?),
            None => None,
        }
    }

    /// `usual`, unless the statistics are clearly nearer to another range of `pictures`.
    #[must_use]
    pub fn nearest(&self, pictures: Pictures, usual: SampleRange) -> SampleRange {
        let table = pictures.ranges();
        let present = table.iter().find(|(range, ..)| *range == usual);
        let mut best =
            (usual, present.map_or(MOST_DISTANCE, |present| self.distance(present) - self.trust.clearly));
        for row in table {
            let distance = self.distance(row);
            if distance < best.1.min(MOST_DISTANCE) {
                best = (row.0, distance);
            }
        }
        best.0
    }

    /// How unlike those of a range they are: 1 for a shift of the mean by the standard deviation, or for an
    /// unsure octave.
    fn distance(&self, (_, mean, deviation): &(SampleRange, f64, f64)) -> f64 {
        let octaves = (self.deviation / deviation).log2();
        let spread = octaves / if octaves > 0.0 { self.trust.above } else { self.trust.below };
        let shift = (self.mean - mean) / deviation;
        spread * spread + shift * shift
    }
}

/// What networks are trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pictures {
    /// Pictures like ImageNet's.
    Photos,
    /// White digits on black, like MNIST's.
    Digits,
}

impl Pictures {
    /// Ranges with the mean and the standard deviation of such pictures in them.
    fn ranges(self) -> &'static [(SampleRange, f64, f64)] {
        match self {
            Self::Photos => &PHOTOS,
            Self::Digits => &DIGITS,
        }
    }
}

/// Another range must not be farther than this.
const MOST_DISTANCE: f64 = 9.0;

const PHOTOS: [(SampleRange, f64, f64); 5] = [
    (SampleRange::Unit, 0.45, 0.26),
    (SampleRange::Signed, -0.1, 0.52),
    (SampleRange::Torch, 0.0, 1.1),
    (SampleRange::Bytes, 115.0, 66.0),
    (SampleRange::Centred, 0.0, 66.0),
];
/// Pixels of strokes are less alike than those of photos, so that a deviation seems larger by about 1.4.
const DIGITS: [(SampleRange, f64, f64); 4] = [
    (SampleRange::Unit, 0.13, 0.43),
    (SampleRange::Signed, -0.74, 0.86),
    (SampleRange::Torch, 0.0, 1.4),
    (SampleRange::Bytes, 33.0, 110.0),
];

/// Whether the names of a convolution reveal that a batch normalisation was folded into it.
fn is_folded(convolution: &NodeProto) -> bool {
    let names = convolution.input.iter().skip(1).chain(&convolution.output).chain([&convolution.name]);
    let tells = |name: &String| {
        let name = name.to_lowercase();
        name.starts_with("getitem")
            || ["batchnorm", "batch_norm", "onnx::conv_"].iter().any(|part| name.contains(part))
    };
    names.into_iter().any(tells)
}

impl FirstLayer {
    fn read(convolution: &NodeProto, constants: &Constants<'_>) -> Option<Self> {
        let weights = convolution.input.get(1)?;
        let &[filters, channels, height, width] = constants.dims(weights)? else { return None };
        let side = [channels, height, width].map(usize::try_from);
        let [Ok(channels), Ok(height), Ok(width)] = side else { return None };
        let size = channels.checked_mul(height)?.checked_mul(width)?;
        let filters = usize::try_from(filters).ok()?.min(MOST_FILTERS);
        if size == 0 || size > MOST_WEIGHTS {
            return None;
        }
        let weights = constants.values(weights)?;
        let filters = weights.chunks_exact(size).take(filters).map(<[f64]>::to_vec).collect();
        Some(Self { filters, side: [channels, height, width] })
    }

    /// By the mean and the variance of what each filter gave in training.
    fn normalised(
        &self,
        node: &NodeProto,
        biases: Option<&[f64]>,
        constants: &Constants<'_>,
    ) -> Option<Statistics> {
        let means = constants.values(node.input.get(3)?)?;
        let variances = constants.values(node.input.get(4)?)?;
        let (mut products, mut squares, mut logarithms) = (0.0, 0.0, Vec::new());
        for (number, filter) in self.filters.iter().enumerate() {
            let (mean, variance) = (means.get(number)?, variances.get(number)?);
            let bias = biases.and_then(|biases| biases.get(number)).copied().unwrap_or(0.0);
            let sum: f64 = filter.iter().sum();
            products += sum * (mean - bias);
            squares += sum * sum;
            let ratio = variance / self.variance_of_photos(filter);
            if ratio.is_finite() && *variance > 1e-8 {
                logarithms.push(ratio.ln() / 2.0);
            }
        }
        let deviation = (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp();
        let mean = products / squares;
        let is_finite = mean.is_finite() && deviation.is_finite();
        is_finite.then_some(Statistics { mean, deviation, trust: KEPT })
    }

    /// By the biases, of which the sums of the filters explain a part, if that is sure enough.
    fn folded(&self, biases: &[f64]) -> Option<Statistics> {
        let sums: Vec<f64> = self.filters.iter().map(|filter| filter.iter().sum()).collect();
        let (slope, error) = slope(&sums, biases)?;
        let mut deviations: Vec<f64> =
            self.filters.iter().map(|filter| self.variance_of_photos(filter).sqrt()).collect();
        deviations.sort_by(f64::total_cmp);
        let deviation = 1.0 / deviations.get(deviations.len() / 2)?;
        let is_sure = deviation.is_finite() && error <= deviation / 2.0;
        is_sure.then_some(Statistics { mean: -slope, deviation, trust: FOLDED })
    }

    /// The variance of what a filter gives for photos whose samples have the variance 1.
    fn variance_of_photos(&self, filter: &[f64]) -> f64 {
        let [_, height, width] = self.side;
        let place = |index: usize| (index / (height * width), index / width % height, index % width);
        let mut variance = 0.0;
        for (first, left) in filter.iter().enumerate() {
            for (second, right) in filter.iter().enumerate() {
                let ((channel, y, x), (other, v, u)) = (place(first), place(second));
                let distance = (y.abs_diff(v) as f64).hypot(x.abs_diff(u) as f64);
                let between = if channel == other { 1.0 } else { BETWEEN_CHANNELS };
                variance += left * right * between * (-distance / REACH).exp();
            }
        }
        variance
    }
}

/// The slope of the line through points by least squares, and its standard error.
fn slope(x: &[f64], y: &[f64]) -> Option<(f64, f64)> {
    let count = x.len() as f64;
    if x.len() < FEWEST_FILTERS || y.len() < x.len() {
        return None;
    }
    let y = &y[..x.len()];
    let middle = |values: &[f64]| values.iter().sum::<f64>() / count;
    let (x_middle, y_middle) = (middle(x), middle(y));
    let pairs = || x.iter().zip(y).map(|(x, y)| (x - x_middle, y - y_middle));
    let squares: f64 = pairs().map(|(x, _)| x * x).sum();
    let slope = pairs().map(|(x, y)| x * y).sum::<f64>() / squares;
    let rest: f64 = pairs().map(|(x, y)| (y - slope * x).powi(2)).sum();
    let error = (rest / (count - 2.0) / squares).sqrt();
    (slope.is_finite() && error.is_finite()).then_some((slope, error))
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::TensorProto;
    use tract_onnx::pb::tensor_proto::DataType;

    use super::*;

    fn constant(name: &str, dims: &[i64], float_data: Vec<f32>) -> TensorProto {
        let (name, dims) = (name.to_owned(), dims.to_vec());
        TensorProto { name, dims, data_type: DataType::Float as i32, float_data, ..TensorProto::default() }
    }

    fn node(op_type: &str, input: &[&str], output: &str) -> NodeProto {
        let input = input.iter().map(|&name| name.to_owned()).collect();
        let (op_type, output) = (op_type.to_owned(), vec![output.to_owned()]);
        NodeProto { op_type, input, output, ..NodeProto::default() }
    }

    fn weights() -> Vec<f32> {
        (0..8 * 27).map(|index| ((index * 7 % 13) as f32 - 5.0) / 9.0).collect()
    }

    fn sums(weights: &[f32]) -> Vec<f32> {
        weights.chunks(27).map(|filter| filter.iter().sum()).collect()
    }

    /// What a network that saw flat pictures of this mean and deviation is taken for.
    fn range(mean: f32, deviation: f32, usual: SampleRange) -> SampleRange {
        let weights = weights();
        let sums = sums(&weights);
        let means = sums.iter().map(|sum| sum * mean + 0.5).collect();
        let variances = sums.iter().map(|sum| (sum * deviation).powi(2)).collect();
        let graph = GraphProto {
            node: vec![
                node("Conv", &["x", "w", "b"], "y"),
                node("BatchNormalization", &["y", "g", "h", "m", "v"], "z"),
            ],
            initializer: vec![
                constant("w", &[8, 3, 3, 3], weights),
                constant("b", &[8], vec![0.5; 8]),
                constant("m", &[8], means),
                constant("v", &[8], variances),
            ],
            ..GraphProto::default()
        };
        Statistics::of(&graph, &Constants::of(&graph), "x").unwrap().nearest(Pictures::Photos, usual)
    }

    #[test]
    fn a_range_is_known_by_its_mean_and_deviation() {
        use SampleRange::{Bytes, Centred, Signed, Torch, Unit};
        for usual in [Unit, Bytes, Signed, Torch, Centred] {
            assert_eq!(range(0.45, 0.25, usual), Unit, "{usual:?}");
            assert_eq!(range(-0.1, 0.5, usual), Signed, "{usual:?}");
            assert_eq!(range(0.1, 1.1, usual), Torch, "{usual:?}");
            assert_eq!(range(120.0, 60.0, usual), Bytes, "{usual:?}");
            assert_eq!(range(3.0, 70.0, usual), Centred, "{usual:?}");
            assert_eq!(range(1e6, 1e5, usual), usual, "nothing is near");
        }
        assert_eq!(range(0.75, 0.2, Torch), Unit, "bright pictures");
        assert_eq!([range(0.4, 0.6, Torch), range(0.4, 0.6, Signed)], [Torch, Signed], "between both");
    }

    #[test]
    fn digits_are_darker_than_photos() {
        let nearest = |mean, deviation| {
            let seen = Statistics { mean, deviation, trust: KEPT };
            seen.nearest(Pictures::Digits, SampleRange::Unit)
        };
        // The first is of a network from PyTorch's tutorials, with a mean and a deviation of 0.5.
        let found = [(-0.629, 0.887), (0.14, 0.4), (0.02, 1.3), (30.0, 100.0)].map(|(m, d)| nearest(m, d));
        assert_eq!(found, [SampleRange::Signed, SampleRange::Unit, SampleRange::Torch, SampleRange::Bytes]);
    }

    /// The same as `range` if the normalisation, which made each deviation 1, was folded into a convolution
    /// with weights `name`.
    fn folded(mean: f32, deviation: f32, name: &str) -> Option<SampleRange> {
        let unit: Vec<f32> = weights();
        let layer = FirstLayer { filters: vec![], side: [3, 3, 3] };
        let scales = unit.chunks(27).map(|filter| {
            let filter: Vec<f64> = filter.iter().map(|&weight| f64::from(weight)).collect();
            deviation * layer.variance_of_photos(&filter).sqrt() as f32
        });
        let scales: Vec<f32> = scales.collect();
        let weights: Vec<f32> = unit
            .chunks(27)
            .zip(&scales)
            .flat_map(|(filter, scale)| filter.iter().map(move |w| w / scale))
            .collect();
        let biases = sums(&weights).iter().map(|sum| 0.25 - sum * mean).collect();
        let graph = GraphProto {
            node: vec![node("Shape", &["x"], "s"), node("Conv", &["x", name, "b"], "y")],
            initializer: vec![constant(name, &[8, 3, 3, 3], weights), constant("b", &[8], biases)],
            ..GraphProto::default()
        };
        let seen = Statistics::of(&graph, &Constants::of(&graph), "x");
        seen.map(|seen| seen.nearest(Pictures::Photos, SampleRange::Torch))
    }

    #[test]
    fn a_folded_normalisation_tells_less() {
        use SampleRange::{Bytes, Centred, Torch, Unit};
        let name = "onnx::Conv_55";
        let seen = [(0.45, 0.25), (0.1, 1.1), (-0.1, 0.5), (120.0, 60.0), (3.0, 70.0)];
        let seen = seen.map(|(mean, deviation)| folded(mean, deviation, name).unwrap());
        assert_eq!(seen, [Unit, Torch, Torch, Bytes, Centred]);
        assert_eq!(folded(0.45, 0.25, "features.0.weight"), None, "nothing was folded");
    }

    #[test]
    fn a_network_without_a_first_normalisation_tells_nothing() {
        let graph = GraphProto { node: vec![node("Conv", &["x", "w"], "y")], ..GraphProto::default() };
        assert_eq!(Statistics::of(&graph, &Constants::of(&graph), "x"), None);
    }
}
