//! A decoded picture to the model's input tensor: colour, square, resize, crop, scale, normalise, layout.
//!
//! One struct per thread owns every buffer, so that an ordinary picture costs no allocation here; what a
//! huge one takes is known beforehand ([`Resizing::memory`]) and given back. A sample's value depends on
//! that sample alone (a table per channel), so a tensor is bit-identical whatever its neighbours.
//! It never decodes and never knows an engine.

mod table;
mod view;

use thiserror::Error;

pub(crate) use self::table::{LEVELS, Table};

use crate::decode::Resizing;
use crate::grid::{Grid, Reduction};
use crate::pixels::Pixels;
use crate::preprocessing::{Color, Fill, Layout, Preprocessing, Size};
use crate::resize::{self, Cropper, Frame, KEPT, Window, trim};

/// Why a picture does not fit a model's input. All of them are errors of the model's files, not of the
/// picture.
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
    plane: Vec<u8>,
}

impl Preprocessor {
    /// Prepares the tables of `steps`.
    ///
    /// # Errors
    /// [`TensorError::Channels`] if there are not as many values of `mean` and `std` as `color` can fill
    /// channels.
    pub fn new(steps: &Preprocessing) -> Result<Preprocessor, TensorError> {
        let (mean, std) = (steps.mean.len(), steps.std.len());
        let channels = if steps.color.is_gray() && mean == 1 { 1 } else { 3 };
        if mean != channels || std != channels {
            return Err(TensorError::Channels { channels, mean, std });
        }
        Ok(Preprocessor {
            steps: steps.clone(),
            tables: (0..channels).map(|channel| Table::new(steps, channel)).collect(),
            cropper: Cropper::default(),
            luma: Vec::new(),
            cropped: Vec::new(),
            plane: Vec::new(),
        })
    }

    /// The values of one picture's tensor: channels times height times width.
    #[must_use]
    pub fn tensor_len(&self) -> usize {
        self.pixels() * self.tables.len()
    }

    /// The bytes of one picture's crop as a device gets it, see [`Preprocessor::write_crop`].
    #[must_use]
    pub fn crop_len(&self) -> usize {
        self.pixels() * crop_channels(&self.steps)
    }

    fn pixels(&self) -> usize {
        let Size { height, width } = self.steps.input;
        height as usize * width as usize
    }

    /// The channels of the model's input, in their order.
    pub(crate) fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Writes the tensor of one picture, whose samples lie as `grid` describes; `tensor` is its part of the
    /// batch, [`Preprocessor::tensor_len`] values.
    ///
    /// # Errors
    /// Every [`TensorError`] but `Channels`; then the content of `tensor` is undefined.
    pub fn write(&mut self, pixels: &Pixels, grid: &Grid, tensor: &mut [f32]) -> Result<(), TensorError> {
        check_length("the tensor", tensor.len(), self.tensor_len())?;
        let (window, channels) = self.crop(pixels, grid)?;
        self.spread(channels, tensor);
        if self.steps.fill == Fill::Zero {
            self.blank(&window, tensor);
        }
        Ok(())
    }

    /// Writes the samples of one picture's crop, `[height, width, channels]`, before they are scaled and
    /// normalised: red, green, blue, or luma for [`Color::Gray`]; then, if padding is zero after normalising,
    /// 1 for a pixel of the picture and 0 for padding. `crop` is its part of the batch,
    /// [`Preprocessor::crop_len`] bytes.
    ///
    /// # Errors
    /// Those of [`Preprocessor::write`].
    pub fn write_crop(&mut self, pixels: &Pixels, grid: &Grid, crop: &mut [u8]) -> Result<(), TensorError> {
        check_length("the crop", crop.len(), self.crop_len())?;
        let (window, channels) = self.crop(pixels, grid)?;
        let (from, samples) = (usize::from(channels), samples(self.steps.color));
        let to = crop_channels(&self.steps);
        if from == to {
            crop.copy_from_slice(&self.cropped);
            return Ok(());
        }
        for (pixel, found) in crop.chunks_exact_mut(to).zip(self.cropped.chunks_exact(from)) {
            match found {
                [gray] => pixel[..samples].fill(*gray),
                colors => pixel[..samples].copy_from_slice(colors),
            }
        }
        if marks_padding(&self.steps) {
            for (index, pixel) in crop.chunks_exact_mut(to).enumerate() {
                pixel[to - 1] = u8::from(self.shows(&window, index));
            }
        }
        Ok(())
    }

    /// Fills `cropped`, and returns its samples per pixel: 1 if the picture or the model has no colour.
    fn crop(&mut self, pixels: &Pixels, grid: &Grid) -> Result<(Window, u8), TensorError> {
        let size = grid.samples();
        let samples = size.height as usize * size.width as usize * usize::from(pixels.channels);
        check_length("the picture", pixels.data.len(), samples)?;
        let window = self.window(grid);
        let (found, expected) = (window.output(), self.steps.input);
        if found != expected {
            return Err(TensorError::WrongSize { found, expected });
        }
        let to_gray = self.to_gray(pixels.channels);
        if to_gray {
            self.luma.clear();
            self.luma.extend(pixels.data.chunks_exact(3).map(|rgb| luma([rgb[0], rgb[1], rgb[2]])));
        }
        let (source, channels) = if to_gray { (&self.luma, 1) } else { (&pixels.data, pixels.channels) };
        let cropped = if channels == 1 && window.is_coloured() {
            let (plane, cropped) = (&mut self.plane, &mut self.cropped);
            crop_gray(&mut self.cropper, source, &window, plane, cropped).map(|()| 3)
        } else {
            self.cropped.resize(window.pixels() * usize::from(channels), 0);
            self.cropper.crop(source, channels, &window, &mut self.cropped).map(|()| channels)
        };
        trim(&mut self.luma, KEPT);
        let channels = cropped.map_err(|error| TensorError::Resize(error.to_string()))?;
        view::apply(self.steps.view, &mut self.cropped, expected, channels);
        Ok((window, channels))
    }

    fn window(&self, grid: &Grid) -> Window {
        let mut frame = Frame::of(&self.steps);
        if self.steps.color == Color::Gray {
            frame.square = frame.square.map(|color| [luma(color); 3]);
            frame.fill = [luma(frame.fill); 3];
        }
        Window::new(grid, &frame)
    }

    fn to_gray(&self, channels: u8) -> bool {
        self.steps.color == Color::Gray && channels == 3
    }

    fn spread(&self, channels: u8, tensor: &mut [f32]) {
        let step = usize::from(channels);
        for (index, table) in self.tables.iter().enumerate() {
            let sample = if channels == 1 { 0 } else { table.sample };
            match <&[f32; LEVELS]>::try_from(table.values.as_slice()).ok() {
                Some(values) => {
                    let samples = self.cropped[sample..].iter().step_by(step);
                    self.place(index, samples.map(|sample| values[usize::from(*sample)]), tensor);
                }
                None => {
                    let sums = self.cropped.chunks_exact(step).map(sum);
                    self.place(index, sums.map(|sum| table.values[sum]), tensor);
                }
            }
        }
    }

    /// Puts the values of channel number `index` into their places.
    fn place(&self, index: usize, values: impl Iterator<Item = f32>, tensor: &mut [f32]) {
        let plane = self.pixels();
        match self.steps.layout {
            Layout::Nchw => copy(values, tensor[index * plane..][..plane].iter_mut()),
            Layout::Nhwc => copy(values, tensor[index..].iter_mut().step_by(self.tables.len())),
        }
    }

    /// Makes what is padded zero in each channel.
    fn blank(&self, window: &Window, tensor: &mut [f32]) {
        let (pixels, channels) = (self.pixels(), self.tables.len());
        for (index, value) in tensor.iter_mut().enumerate() {
            let pixel = match self.steps.layout {
                Layout::Nchw => index % pixels,
                Layout::Nhwc => index / channels,
            };
            if !self.shows(window, pixel) {
                *value = 0.0;
            }
        }
    }

    /// Whether pixel number `index` of the output is one of the picture.
    fn shows(&self, window: &Window, index: usize) -> bool {
        let width = self.steps.input.width as usize;
        window.shows(index / width, index % width)
    }
}

/// The crop of a gray picture whose padding has a colour: each channel by itself.
fn crop_gray(
    cropper: &mut Cropper,
    source: &[u8],
    window: &Window,
    plane: &mut Vec<u8>,
    cropped: &mut Vec<u8>,
) -> Result<(), resize::WrongLength> {
    plane.resize(window.pixels(), 0);
    cropped.resize(window.pixels() * 3, 0);
    for channel in 0..3 {
        cropper.crop(source, 1, &window.of_channel(channel), plane)?;
        for (pixel, sample) in cropped.chunks_exact_mut(3).zip(plane.iter()) {
            pixel[channel] = *sample;
        }
    }
    Ok(())
}

/// The sum of red, green and blue.
fn sum(pixel: &[u8]) -> usize {
    match pixel {
        [gray] => 3 * usize::from(*gray),
        colors => colors.iter().copied().map(usize::from).sum(),
    }
}

/// Samples of a pixel that the tables look at.
fn samples(color: Color) -> usize {
    if color == Color::Gray { 1 } else { 3 }
}

/// Whatever values the samples of a picture can have in the tensor.
///
/// # Errors
/// Those of [`Preprocessor::new`].
pub(crate) fn values(steps: &Preprocessing) -> Result<Vec<f32>, TensorError> {
    let preprocessor = Preprocessor::new(steps)?;
    Ok(preprocessor.tables.into_iter().flat_map(|table| table.values).collect())
}

/// Whether a crop must report which of its pixels are padding.
pub(crate) fn marks_padding(steps: &Preprocessing) -> bool {
    steps.fill == Fill::Zero && steps.crop.is_some()
}

/// Bytes per pixel of a crop as a device gets it.
pub(crate) fn crop_channels(steps: &Preprocessing) -> usize {
    samples(steps.color) + usize::from(marks_padding(steps))
}

impl Resizing for Preprocessor {
    fn reduction(&self, size: Size) -> Reduction {
        resize::reduction(size, &Frame::of(&self.steps), self.steps.decoding)
    }

    /// The most bytes that [`Preprocessor::write`] takes, in addition to the samples and the tensor.
    fn memory(&self, grid: &Grid, channels: u8) -> u64 {
        let window = self.window(grid);
        if !self.to_gray(channels) {
            return window.memory(channels);
        }
        let Size { height, width } = grid.samples();
        let luma = u64::from(height) * u64::from(width);
        luma.saturating_add(window.memory(1))
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
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let weighted = u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471;
    ((weighted + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests;
