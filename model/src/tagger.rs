//! One thread's way from image bytes to tags: decode, resize, normalise, run, rank.
//!
//! The pipeline's [`Tagger`] port over a real model. Bad images become failed outcomes here; only the
//! engine's own failure is an error. It never fetches and never writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tagfleet_pipeline::run::TagOptions;
use tagfleet_pipeline::tagger::{DeviceTime, Seen, Tagger, TaggerError, Wanted};
use tagfleet_pipeline::tags::{Cause, Failure, Outcome, Tagged};

use crate::decode::{Decoded, Limits, PixelBudget, decode};
use crate::engine::{Engine, EngineError, EngineRecord, Feeder, Loaded, Meter, Outputs};
use crate::folder::Model;
use crate::preprocessing::Size;
use crate::scores::{OptionsError, Ranker, ScoresError};
use crate::tensor::{Preprocessor, TensorError};
use crate::thumbnail::Draft;

/// Decoded pixels of all threads together: 512 MiB, as much as one picture may take.
const PIXEL_BUDGET: u64 = 512 << 20;

/// A loaded model that makes taggers, one per thread; pixels in flight are bounded over all of them.
pub struct TaggerFactory {
    loaded: Loaded,
    model: Model,
    ranker: Arc<Ranker>,
    limits: Limits,
    budget: Arc<PixelBudget>,
}

/// What a tagger is made of does not fit together.
#[derive(Debug, thiserror::Error)]
pub enum FactoryError {
    /// The engine is not here, or refuses the model.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The tags asked for are not the model's.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The model's files contradict each other.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl TaggerFactory {
    /// Loads `model` into the engine of `record`. `options` selects the tags that a row keeps.
    ///
    /// # Errors
    /// If engine, model and options do not fit together.
    pub fn new(
        model: Model,
        record: &EngineRecord,
        options: &TagOptions,
        limits: Limits,
    ) -> Result<Self, FactoryError> {
        // Impossible options are refused before anything is loaded.
        Ranker::new(&model.spec.labels, model.spec.activation, options)?;
        let loaded = Loaded::load(record, &model)?;
        Self::with(loaded, model, options, limits)
    }

    /// A factory for a model that is loaded already.
    pub(crate) fn with(
        loaded: Loaded,
        model: Model,
        options: &TagOptions,
        limits: Limits,
    ) -> Result<Self, FactoryError> {
        let ranker = Arc::new(Ranker::new(&model.spec.labels, model.spec.activation, options)?);
        Ok(Self { loaded, model, ranker, limits, budget: PixelBudget::new(PIXEL_BUDGET) })
    }

    /// A tagger with a session of its own.
    ///
    /// # Errors
    /// If the engine cannot make another session.
    pub fn tagger(&self) -> Result<ImageTagger, FactoryError> {
        let preprocessor = Preprocessor::new(&self.model.spec.preprocessing)?;
        let batch = match self.loaded.feeder() {
            Some(feeder) => Batch::Crops(feeder, Vec::new()),
            None => Batch::Tensors(self.loaded.session()?, Vec::new()),
        };
        Ok(ImageTagger {
            batch,
            preprocessor,
            ranker: self.ranker.clone(),
            limits: self.limits,
            budget: self.budget.clone(),
            exif: self.model.spec.preprocessing.exif,
        })
    }
}

/// A batch in the making, as whatever runs the model takes it.
enum Batch {
    /// Normalised values for a session of this thread's own.
    Tensors(Box<dyn Engine>, Vec<f32>),
    /// Crops as bytes for the device that all threads share.
    Crops(Feeder, Vec<u8>),
}

impl Batch {
    fn size(&self) -> usize {
        match self {
            Self::Tensors(engine, _) => engine.batch_size(),
            Self::Crops(feeder, _) => feeder.batch_size(),
        }
    }

    fn meter(&self) -> Option<&Meter> {
        match self {
            Self::Tensors(..) => None,
            Self::Crops(feeder, _) => Some(feeder.meter()),
        }
    }

    /// Values of one picture.
    fn length(&self, preprocessor: &Preprocessor) -> usize {
        match self {
            Self::Tensors(..) => preprocessor.tensor_len(),
            Self::Crops(..) => preprocessor.crop_len(),
        }
    }

    /// Writes a picture as number `slot`.
    fn write(
        &mut self,
        slot: usize,
        decoded: &Decoded,
        preprocessor: &mut Preprocessor,
    ) -> Result<(), TensorError> {
        let length = self.length(preprocessor);
        let (pixels, grid) = (&decoded.pixels, &decoded.grid);
        match self {
            Self::Tensors(_, tensor) => preprocessor.write(pixels, grid, place(tensor, slot, length)),
            Self::Crops(_, crops) => preprocessor.write_crop(pixels, grid, place(crops, slot, length)),
        }
    }

    /// Runs the first `images` of it, each of `length` values.
    fn run(&mut self, images: usize, length: usize) -> Result<Outputs, EngineError> {
        match self {
            Self::Tensors(engine, tensor) => engine.run(&tensor[..images * length], images),
            Self::Crops(feeder, crops) => {
                crops.truncate(images * length);
                feeder.run(crops, images)
            }
        }
    }
}

/// Number `slot` of a buffer that grows as it must.
fn place<T: Copy + Default>(buffer: &mut Vec<T>, slot: usize, length: usize) -> &mut [T] {
    if buffer.len() < (slot + 1) * length {
        buffer.resize((slot + 1) * length, T::default());
    }
    &mut buffer[slot * length..][..length]
}

/// Tags images with one session, or one way to a device; its buffers live as long as it does.
pub struct ImageTagger {
    batch: Batch,
    preprocessor: Preprocessor,
    ranker: Arc<Ranker>,
    limits: Limits,
    budget: Arc<PixelBudget>,
    exif: bool,
}

/// A picture that is in the batch.
struct Prepared {
    width: u32,
    height: u32,
    second_decoder: bool,
    /// What a thumbnail is made from, if one may be wanted.
    draft: Option<Draft>,
    wanted: Wanted,
}

impl Prepared {
    fn thumbnail(self, outcome: &Outcome) -> Option<Vec<u8>> {
        let is_wanted = match (self.wanted, outcome) {
            (Wanted::Never, _) => false,
            (Wanted::Always, _) | (Wanted::IfBelow(_), Outcome::Failed(_)) => true,
            (Wanted::IfBelow(bound), Outcome::Tagged(tagged)) => {
                tagged.tags.first().is_some_and(|best| best.score < bound)
            }
        };
        self.draft.filter(|_| is_wanted)?.encode()
    }
}

impl Tagger for ImageTagger {
    fn batch_size(&self) -> usize {
        self.batch.size()
    }

    fn inference_batch_size(&self) -> usize {
        match &self.batch {
            Batch::Tensors(engine, _) => engine.batch_size(),
            Batch::Crops(feeder, _) => feeder.inference_batch_size(),
        }
    }

    fn device_time(&self) -> Option<DeviceTime> {
        self.batch.meter().map(Meter::time)
    }

    fn notes(&self) -> Vec<String> {
        match &self.batch {
            Batch::Tensors(..) => Vec::new(),
            Batch::Crops(feeder, _) => feeder.notes().to_vec(),
        }
    }

    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        Ok(self.tag_with_thumbnails(images, &[])?.into_iter().map(|seen| seen.outcome).collect())
    }

    fn tag_with_thumbnails(&mut self, images: &[&[u8]], wanted: &[Wanted]) -> Result<Vec<Seen>, TaggerError> {
        let (mut seen, size) = (Vec::with_capacity(images.len()), self.batch.size());
        // No more than one batch is decoded at once: what waits for the engine grows cold.
        for (number, batch) in images.chunks(size).enumerate() {
            seen.extend(self.tag_batch(batch, wanted.get(number * size..).unwrap_or_default())?);
        }
        Ok(seen)
    }
}

impl ImageTagger {
    fn tag_batch(&mut self, images: &[&[u8]], wanted: &[Wanted]) -> Result<Vec<Seen>, TaggerError> {
        let mut prepared = Vec::with_capacity(images.len());
        let mut batched = 0;
        let since = self.batch.meter().map(Meter::decodes);
        let mut times = Vec::with_capacity(images.len());
        for (number, image) in images.iter().enumerate() {
            let began = Instant::now();
            let wanted = wanted.get(number).copied().unwrap_or_default();
            let outcome = self.prepare(image, batched, wanted)?;
            batched += usize::from(outcome.is_ok());
            prepared.push(outcome);
            times.push(began.elapsed());
        }
        if let (Some(meter), Some(since)) = (self.batch.meter(), since) {
            meter.decoded(since);
        }
        if batched == 0 {
            let failures = prepared.into_iter().filter_map(Result::err);
            let seen = failures.map(|failure| Outcome::Failed(failure).into()).collect();
            return Ok(timed(seen, &times, Duration::ZERO));
        }
        let length = self.batch.length(&self.preprocessor);
        let began = Instant::now();
        let outputs = self.batch.run(batched, length).map_err(|error| TaggerError(error.to_string()))?;
        let share = began.elapsed() / u32::try_from(batched).unwrap_or(u32::MAX);
        Ok(timed(self.all_seen(prepared, &outputs)?, &times, share))
    }

    /// Decodes `image` and writes it as number `slot` of the batch. Its pixels are gone when this returns.
    fn prepare(
        &mut self,
        image: &[u8],
        slot: usize,
        wanted: Wanted,
    ) -> Result<Result<Prepared, Failure>, TaggerError> {
        let decoded = match decode(image, &self.limits, &self.budget, self.exif, &self.preprocessor) {
            Ok(decoded) => decoded,
            Err(failure) => return Ok(Err(failure)),
        };
        self.batch
            .write(slot, &decoded, &mut self.preprocessor)
            .map_err(|error| TaggerError(error.to_string()))?;
        let Size { height, width } = decoded.grid.size();
        let draft = (wanted != Wanted::Never).then(|| Draft::new(&decoded.pixels));
        Ok(Ok(Prepared { width, height, second_decoder: decoded.second_decoder, draft, wanted }))
    }

    /// What became of each image; the batch holds only those that could be decoded.
    fn all_seen(
        &self,
        images: Vec<Result<Prepared, Failure>>,
        outputs: &Outputs,
    ) -> Result<Vec<Seen>, TaggerError> {
        let mut seen = Vec::with_capacity(images.len());
        let mut slot = 0;
        for image in images {
            match image {
                Err(failure) => seen.push(Outcome::Failed(failure).into()),
                Ok(prepared) => {
                    let outcome = self.outcome(&prepared, outputs, slot)?;
                    let thumbnail = prepared.thumbnail(&outcome);
                    seen.push(Seen { outcome, thumbnail, milliseconds: None });
                    slot += 1;
                }
            }
        }
        Ok(seen)
    }

    fn outcome(&self, image: &Prepared, outputs: &Outputs, slot: usize) -> Result<Outcome, TaggerError> {
        let scores = &outputs.scores[slot * outputs.classes..][..outputs.classes];
        let tags = match self.ranker.tags(scores) {
            Ok(tags) => tags,
            Err(error @ ScoresError::NotFinite { .. }) => {
                return Ok(Outcome::Failed(Failure::new(Cause::NotFinite, error.to_string())));
            }
            Err(error) => return Err(TaggerError(error.to_string())),
        };
        let values = |vector: &Vec<f32>| vector[slot * outputs.vector_len..][..outputs.vector_len].to_vec();
        Ok(Outcome::Tagged(Tagged {
            width: image.width,
            height: image.height,
            tags,
            vector: outputs.vector.as_ref().map(values),
            second_decoder: image.second_decoder,
        }))
    }
}

/// Gives each image of a batch its time: to decode it, and its share of the model's if it was in the batch.
fn timed(mut seen: Vec<Seen>, decoding: &[Duration], share: Duration) -> Vec<Seen> {
    for (seen, decoding) in seen.iter_mut().zip(decoding) {
        let all = match seen.outcome {
            Outcome::Tagged(_) => *decoding + share,
            Outcome::Failed(_) => *decoding,
        };
        seen.milliseconds = u64::try_from(all.as_millis()).ok();
    }
    seen
}

#[cfg(test)]
mod tests;
