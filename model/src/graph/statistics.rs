//! What the statistics of a first batch normalisation tell of the samples a network was trained on.
//!
//! A batch normalisation behind the first convolution keeps the mean and variance of what that gave in training. A convolution
//! is linear: a filter whose weights add up to `s` gives the samples' mean times `s`, so that all filters together show the
//! mean. The variance shows the standard deviation, once it is known how alike neighbouring pixels of pictures are. Exporters
//! that fold the normalisation into the convolution take this away. It never looks at later layers.

use tract_onnx::pb::{GraphProto, NodeProto};

use super::constants::Constants;
use super::opening::only_taker;
use super::range::SampleRange;

/// Filters that are looked at, and weights of each.
const MOST_FILTERS: usize = 64;
const MOST_WEIGHTS: usize = 3 * 11 * 11;
/// The correlation of two pixels of photos falls to `1 / e` over so many pixels, and is this between channels. Both were
/// chosen for photos of 224x224; a factor of two changes no range.
const REACH: f64 = 12.0;
const BETWEEN_CHANNELS: f64 = 0.9;

/// The samples of training, averaged over the channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    mean: f64,
    deviation: f64,
}

/// A first convolution and its normalisation.
struct FirstLayer {
    /// Per filter its weights, channel by channel and row by row.
    filters: Vec<Vec<f64>>,
    side: [usize; 3],
    /// Per filter, less the convolution's bias.
    means: Vec<f64>,
    variances: Vec<f64>,
}

impl Statistics {
    /// The statistics of the convolution that takes the tensor `name`, if a batch normalisation follows it.
    pub(super) fn of(graph: &GraphProto, constants: &Constants<'_>, name: &str) -> Option<Self> {
        let convolution = only_taker(graph, name).filter(|node| node.op_type == "Conv")?;
        let normalisation = only_taker(graph, convolution.output.first()?)?;
        if normalisation.op_type != "BatchNormalization" {
            return None;
        }
        FirstLayer::read(convolution, normalisation, constants)?.statistics()
    }

    /// `usual`, unless the statistics are clearly nearer to another range.
    #[must_use]
    pub fn nearest(&self, usual: SampleRange) -> SampleRange {
        let mut best = (usual, self.distance(usual).map_or(MOST_DISTANCE, |distance| distance - CLEARLY));
        for (range, ..) in USUAL {
            let least = best.1.min(MOST_DISTANCE);
            if let Some(distance) = self.distance(range).filter(|distance| *distance < least) {
                best = (range, distance);
            }
        }
        best.0
    }

    /// How unlike ImageNet's in that range they are: 1 for a shift by the standard deviation, or half an octave of it.
    fn distance(&self, range: SampleRange) -> Option<f64> {
        let (_, mean, deviation) = USUAL.into_iter().find(|(usual, ..)| *usual == range)?;
        let spread = (self.deviation / deviation).log2() / 0.7;
        let shift = (self.mean - mean) / deviation;
        Some(spread * spread + shift * shift)
    }
}

/// Another range must be nearer by this much, and not farther than that.
const CLEARLY: f64 = 1.5;
const MOST_DISTANCE: f64 = 9.0;

/// ImageNet's mean and standard deviation in each range.
const USUAL: [(SampleRange, f64, f64); 5] = [
    (SampleRange::Unit, 0.45, 0.26),
    (SampleRange::Signed, -0.1, 0.52),
    (SampleRange::Torch, 0.0, 1.1),
    (SampleRange::Bytes, 115.0, 66.0),
    (SampleRange::Centred, 0.0, 66.0),
];

impl FirstLayer {
    fn read(convolution: &NodeProto, normalisation: &NodeProto, constants: &Constants<'_>) -> Option<Self> {
        let weights = convolution.input.get(1)?;
        let &[filters, channels, height, width] = constants.dims(weights)? else { return None };
        let side =
            [usize::try_from(channels).ok()?, usize::try_from(height).ok()?, usize::try_from(width).ok()?];
        let size = side.iter().try_fold(1_usize, |size, side| size.checked_mul(*side))?;
        let filters = usize::try_from(filters).ok()?.min(MOST_FILTERS);
        if size == 0 || size > MOST_WEIGHTS {
            return None;
        }
        let weights = constants.values(weights)?;
        let mut means = constants.values(normalisation.input.get(3)?)?;
        let variances = constants.values(normalisation.input.get(4)?)?;
        if let Some(biases) = convolution.input.get(2).filter(|name| !name.is_empty()) {
            let biases = constants.values(biases)?;
            means.iter_mut().zip(&biases).for_each(|(mean, bias)| *mean -= bias);
        }
        let filters: Vec<Vec<f64>> = weights.chunks_exact(size).take(filters).map(<[f64]>::to_vec).collect();
        Some(Self { filters, side, means, variances })
    }

    fn statistics(&self) -> Option<Statistics> {
        let (mut products, mut squares, mut logarithms) = (0.0, 0.0, Vec::new());
        for ((filter, mean), variance) in self.filters.iter().zip(&self.means).zip(&self.variances) {
            let sum: f64 = filter.iter().sum();
            products += sum * mean;
            squares += sum * sum;
            let ratio = variance / self.variance_of_photos(filter);
            if ratio.is_finite() && *variance > 1e-8 {
                logarithms.push(ratio.ln() / 2.0);
            }
        }
        let deviation = (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp();
        let mean = products / squares;
        (mean.is_finite() && deviation.is_finite()).then_some(Statistics { mean, deviation })
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

    /// What a network that saw flat pictures of this mean and deviation is taken for.
    fn range(mean: f32, deviation: f32, usual: SampleRange) -> SampleRange {
        let weights: Vec<f32> = (0..8 * 27).map(|index| ((index * 7 % 13) as f32 - 5.0) / 9.0).collect();
        let sums: Vec<f32> = weights.chunks(27).map(|filter| filter.iter().sum()).collect();
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
        Statistics::of(&graph, &Constants::of(&graph), "x").unwrap().nearest(usual)
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
    fn a_network_without_a_first_normalisation_tells_nothing() {
        let graph = GraphProto { node: vec![node("Conv", &["x", "w"], "y")], ..GraphProto::default() };
        assert_eq!(Statistics::of(&graph, &Constants::of(&graph), "x"), None);
    }
}
