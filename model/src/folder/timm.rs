//! timm's `pretrained_cfg`, read as `timm.data.resolve_data_config` and `transforms_imagenet_eval` read it
//! (timm 1.0.31, `data/config.py` and `data/transforms_factory.py`): 224, bicubic, ImageNet's mean and
//! standard deviation, `crop_pct` 0.875 and `crop_mode` "center" if absent. The `test_*` fields are not used,
//! as there.

use serde::Deserialize;

use super::steps::{IMAGENET_MEAN, IMAGENET_STD, PerChannel, Steps, filter_by_name, pixels};
use crate::error::ModelError;
use crate::preprocessing::{Fill, Resize, ResizeTo, Size};

/// What is read of it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Timm {
    input_size: Option<[u32; 3]>,
    interpolation: Option<String>,
    mean: Option<PerChannel>,
    std: Option<PerChannel>,
    crop_pct: Option<f64>,
    crop_mode: Option<String>,
    label_names: Option<Vec<String>>,
    /// The name of `label_names` until 2023.
    labels: Option<Vec<String>>,
}

impl Timm {
    pub(super) fn labels(self) -> Option<Vec<String>> {
        self.label_names.or(self.labels)
    }

    /// The steps it means; `source` is the file it was found in.
    pub(super) fn steps(&self, source: &'static str) -> Result<Steps, ModelError> {
        let [_, height, width] = self.input_size.unwrap_or([3, 224, 224]);
        let crop = Size { height, width };
        let crop_pct = self.crop_pct.filter(|&pct| pct != 0.0).unwrap_or(0.875);
        let resized = Size {
            height: pixels(f64::from(height) / crop_pct, "input_size over crop_pct")?,
            width: pixels(f64::from(width) / crop_pct, "input_size over crop_pct")?,
        };
        let filter = filter_by_name(self.interpolation.as_deref().unwrap_or("bicubic"))?;
        let mut steps = Steps {
            crop: Some(crop),
            mean: self.mean.clone().unwrap_or(PerChannel::Many(IMAGENET_MEAN.to_vec())),
            std: self.std.clone().unwrap_or(PerChannel::Many(IMAGENET_STD.to_vec())),
            source,
            ..Steps::default()
        };
        let to = match self.crop_mode.as_deref() {
            Some("squash") => ResizeTo::Exact(resized),
            Some("border") => {
                steps.fill = Fill::Color(steps.mean.as_color());
                ResizeTo::Fit(resized)
            }
            // timm takes every other word for "center".
            _ if resized.height == resized.width => ResizeTo::ShortestEdge(resized.height),
            _ => ResizeTo::Cover(resized),
        };
        steps.resize = Some(Resize { to, filter });
        Ok(steps)
    }
}
