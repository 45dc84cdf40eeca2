//! A decoded picture to the model's input tensor: colour, resize, crop, scale, normalise, layout.
//!
//! One struct per thread owns every buffer, so that an ordinary picture costs no allocation here; what a
//! huge one takes is known beforehand ([`Resizing::memory`]) and given back. A sample's value depends on
//! that sample alone (a table of 256 entries per channel), so a tensor is bit-identical whatever its neighbours.
//! It never decodes and never knows an engine.

use thiserror::Error;

use crate::decode::Resizing;
use crate::grid::{Grid, Reduction};
use crate::pixels::Pixels;
use crate::preprocessing::{Color, Layout, Preprocessing, Size};
use crate::resize::{self, Cropper, KEPT, Window, trim};

/// Why a picture does not fit a model's input. All of them are errors of the model's files, not of the picture.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TensorError {
    /// `mean` or `std` has another length than there are channels.
    #[error(
        "the model's input has {channels} channels, but there are {mean} means and {std} standard deviations"
    )]
    Channels {
        /// Channels of the input.
        channels: usize,
        /// Length of `mean`.
        mean: usize,
        /// Length of `std`.
        std: usize,
    },
    /// Resize and crop gave another size than the model's input has.
    #[error(
        "a picture comes out {}x{} of resize and crop, but the model's input is {}x{} (width x height)",
        found.width, found.height, expected.width, expected.height
    )]
    WrongSize {
        /// What came out.
        found: Size,
        /// What the model takes.
        expected: Size,
    },
    /// The slice to write to, or the picture's data, has the wrong length.
    #[error("{what} has {found} values, {expected} are needed")]
    WrongLength {
        /// What has the wrong length.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length it should have.
        expected: usize,
    },
    /// The resizer refused.
    #[error("the picture could not be resized: {0}")]
    Resize(String),
}

/// One thread's way from pixels to tensors of one model.
pub struct Preprocessor {
    steps: Preprocessing,
    tables: Vec<Table>,
    cropper: Cropper,
    luma: Vec<u8>,
    cropped: Vec<u8>,
}

/// One channel: what each sample value becomes.
pub(crate) struct Table {
    /// Which sample of an RGB pixel it takes.
    pub(crate) sample: usize,
    pub(crate) values: [f32; 256],
}

impl Preprocessor {
    /// Prepares the tables of `steps`.
    ///
    /// # Errors
    /// [`TensorError::Channels`] where `mean` or `std` does not have one value per channel.
    pub fn new(steps: &Preprocessing) -> Result<Preprocessor, TensorError> {
        let samples: &[usize] = match steps.color {
            Color::Rgb => &[0, 1, 2],
            Color::Bgr => &[2, 1, 0],
            Color::Gray => &[0; 3][..steps.mean.len().clamp(1, 3)],
            Color::GrayMean => return Err(TensorError::Resize("gray_mean is not supported yet".to_owned())),
        };
        let (mean, std) = (steps.mean.len(), steps.std.len());
        if mean != samples.len() || std != samples.len() {
            return Err(TensorError::Channels { channels: samples.len(), mean, std });
        }
        let normalised = samples.iter().zip(steps.mean.iter().zip(&steps.std));
        let tables =
            normalised.map(|(&sample, (&mean, &std))| Table::new(sample, steps, mean, std)).collect();
        Ok(Preprocessor {
            steps: steps.clone(),
            tables,
            cropper: Cropper::default(),
            luma: Vec::new(),
            cropped: Vec::new(),
        })
    }

    /// The values of one picture's tensor: channels times height times width.
    #[must_use]
    pub fn tensor_len(&self) -> usize {
        let Size { height, width } = self.steps.input;
        self.tables.len() * height as usize * width as usize
    }

    /// The channels of the model's input, in their order.
    pub(crate) fn tables(&self) -> &[Table] {
        &self.tables
    }

    fn to_gray(&self, channels: u8) -> bool {
        self.steps.color == Color::Gray && channels == 3
    }

    /// Writes the tensor of one picture, whose samples lie as `grid` says; `tensor` is its part of the batch, [`Preprocessor::tensor_len`] values.
    ///
    /// # Errors
    /// Every [`TensorError`] but `Channels`; then nothing is said of what `tensor` holds.
    pub fn write(&mut self, pixels: &Pixels, grid: &Grid, tensor: &mut [f32]) -> Result<(), TensorError> {
        check_length("the tensor", tensor.len(), self.tensor_len())?;
        let channels = self.crop(pixels, grid)?;
        self.spread(channels, tensor);
        Ok(())
    }

    /// Writes the samples of one picture's crop, `[height, width, channels]`, before they are scaled and normalised: red,
    /// green, blue, or luma for a model without colour. `crop` is its part of the batch, [`Preprocessor::tensor_len`] bytes.
    ///
    /// # Errors
    /// Those of [`Preprocessor::write`].
    pub fn write_crop(&mut self, pixels: &Pixels, grid: &Grid, crop: &mut [u8]) -> Result<(), TensorError> {
        check_length("the crop", crop.len(), self.tensor_len())?;
        let channels = usize::from(self.crop(pixels, grid)?);
        if channels == self.tables.len() {
            crop.copy_from_slice(&self.cropped);
            return Ok(());
        }
        for (pixel, gray) in crop.chunks_exact_mut(self.tables.len()).zip(&self.cropped) {
            pixel.fill(*gray);
        }
        Ok(())
    }

    /// Fills `cropped`, and returns its samples per pixel: 1 where the picture or the model has no colour.
    fn crop(&mut self, pixels: &Pixels, grid: &Grid) -> Result<u8, TensorError> {
        let size = grid.samples();
        let samples = size.height as usize * size.width as usize * usize::from(pixels.channels);
        check_length("the picture", pixels.data.len(), samples)?;
        let window = &Window::new(grid, self.steps.resize, self.steps.crop);
        let (found, expected) = (window.output(), self.steps.input);
        if found != expected {
            return Err(TensorError::WrongSize { found, expected });
        }
        let to_gray = self.to_gray(pixels.channels);
        if to_gray {
            self.luma.clear();
            self.luma.extend(pixels.data.chunks_exact(3).map(|rgb| luma(rgb[0], rgb[1], rgb[2])));
        }
        let (source, channels) = if to_gray { (&self.luma, 1) } else { (&pixels.data, pixels.channels) };
        let Size { height, width } = window.output();
        self.cropped.resize(height as usize * width as usize * usize::from(channels), 0);
        let cropped = self.cropper.crop(source, channels, window, &mut self.cropped);
        trim(&mut self.luma, KEPT);
        cropped.map_err(|error| TensorError::Resize(error.to_string()))?;
        Ok(channels)
    }

    fn spread(&self, channels: u8, tensor: &mut [f32]) {
        let step = usize::from(channels);
        let plane = self.cropped.len() / step;
        for (index, table) in self.tables.iter().enumerate() {
            let sample = if channels == 1 { 0 } else { table.sample };
            let values =
                self.cropped[sample..].iter().step_by(step).map(|&value| table.values[usize::from(value)]);
            match self.steps.layout {
                Layout::Nchw => copy(values, tensor[index * plane..][..plane].iter_mut()),
                Layout::Nhwc => copy(values, tensor[index..].iter_mut().step_by(self.tables.len())),
            }
        }
    }
}

impl Resizing for Preprocessor {
    fn reduction(&self, size: Size) -> Reduction {
        resize::reduction(size, self.steps.resize, self.steps.decoding)
    }

    /// The most bytes that [`Preprocessor::write`] takes, beside the samples and the tensor.
    fn memory(&self, grid: &Grid, channels: u8) -> u64 {
        let window = Window::new(grid, self.steps.resize, self.steps.crop);
        if !self.to_gray(channels) {
            return window.memory(channels);
        }
        let Size { height, width } = grid.samples();
        let luma = u64::from(height) * u64::from(width);
        luma.saturating_add(window.memory(1))
    }
}

impl Table {
    /// Computed in double precision, so that each value is the closest one to what the model's files say.
    fn new(sample: usize, steps: &Preprocessing, mean: f32, std: f32) -> Table {
        let value = |sample: usize| {
            let scaled = sample as f64 * steps.scale + f64::from(steps.offset);
            ((scaled - f64::from(mean)) / f64::from(std)) as f32
        };
        Table { sample, values: std::array::from_fn(value) }
    }
}

fn copy<'a>(from: impl Iterator<Item = f32>, to: impl Iterator<Item = &'a mut f32>) {
    for (to, from) in to.zip(from) {
        *to = from;
    }
}

fn check_length(what: &'static str, found: usize, expected: usize) -> Result<(), TensorError> {
    if found == expected { Ok(()) } else { Err(TensorError::WrongLength { what, found, expected }) }
}

/// ITU-R 601-2 luma in Pillow's fixed-point arithmetic.
fn luma(red: u8, green: u8, blue: u8) -> u8 {
    let weighted = u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471;
    ((weighted + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests;
