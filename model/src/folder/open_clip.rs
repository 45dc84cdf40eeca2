//! OpenCLIP's `preprocess_cfg.json`, which Immich's models have next to each tower, and
//! `open_clip_config.json`, to the steps of `image_transform_v2` (open_clip 3.2, `transform.py`).

use std::path::Path;

use serde::Deserialize;

use super::steps::{PerChannel, Steps, filter_by_name};
use crate::error::ModelError;
use crate::files;
use crate::preprocessing::{Fill, Resize, ResizeTo, Size};

/// A tower's own file.
pub(super) const NAME: &str = "preprocess_cfg.json";
/// The whole model's.
pub(super) const CONFIG: &str = "open_clip_config.json";

/// `OPENAI_DATASET_MEAN` and `OPENAI_DATASET_STD` of open_clip's `constants.py`.
const MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// One number for a square, or height and width.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number of pixels or [height, width]")]
enum Side {
    One(u32),
    Two([u32; 2]),
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Preprocess {
    size: Option<Side>,
    mode: Option<String>,
    mean: Option<PerChannel>,
    std: Option<PerChannel>,
    interpolation: Option<String>,
    resize_mode: Option<String>,
    fill_color: Option<u8>,
}

#[derive(Debug, Default, Deserialize)]
struct Whole {
    #[serde(default)]
    model_cfg: ModelConfig,
    preprocess_cfg: Option<Preprocess>,
}

#[derive(Debug, Default, Deserialize)]
struct ModelConfig {
    #[serde(default)]
    vision_cfg: VisionConfig,
}

#[derive(Debug, Default, Deserialize)]
struct VisionConfig {
    image_size: Option<Side>,
}

/// Reads the files in `folder` (the model's) and `root` (of the whole); `None` if there is neither.
pub(super) fn read(folder: &Path, root: &Path) -> Result<Option<Steps>, ModelError> {
    for folder in [folder, root] {
        if let Some(file) = files::read_json::<Preprocess>(&folder.join(NAME))? {
            return file.steps(NAME, None).map(Some);
        }
    }
    let Some(whole) = files::read_json::<Whole>(&root.join(CONFIG))? else { return Ok(None) };
    let Some(preprocess) = whole.preprocess_cfg else { return Ok(None) };
    preprocess.steps(CONFIG, whole.model_cfg.vision_cfg.image_size).map(Some)
}

impl Preprocess {
    fn steps(&self, source: &'static str, image_size: Option<Side>) -> Result<Steps, ModelError> {
        let size = match self.size.or(image_size).unwrap_or(Side::One(224)) {
            Side::One(side) => Size { height: side, width: side },
            Side::Two([height, width]) => Size { height, width },
        };
        let filter = filter_by_name(self.interpolation.as_deref().unwrap_or("bicubic"))?;
        let fill = self.fill_color.unwrap_or(0);
        let mut steps = Steps {
            crop: Some(size),
            mean: self.mean.clone().unwrap_or(PerChannel::Many(MEAN.to_vec())),
            std: self.std.clone().unwrap_or(PerChannel::Many(STD.to_vec())),
            fill: Fill::Color([fill; 3]),
            source,
            ..Steps::default()
        };
        let to = match self.resize_mode.as_deref().unwrap_or("shortest") {
            "squash" => ResizeTo::Exact(size),
            "longest" => ResizeTo::Fit(size),
            "shortest" if size.height == size.width => ResizeTo::ShortestEdge(size.height),
            "shortest" => ResizeTo::Cover(size),
            other => return Err(steps.instead(&format!("{source}: resize_mode {other:?} is not known"))),
        };
        steps.resize = Some(Resize { to, filter });
        if let Some(mode) = self.mode.as_deref().filter(|&mode| mode != "RGB") {
            return Err(steps.instead(&format!("{source}: mode {mode:?} is not known")));
        }
        Ok(steps)
    }
}
