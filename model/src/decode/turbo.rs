//! libjpeg-turbo, called through its own interface.
//!
//! The safe wrapper calls every warning an error, and leaves no way to read a JPEG with harmless damage as
//! Pillow does, or to bound scans and memory. This is one of two modules with `unsafe` (the other is
//! `engine/device/driver.rs`); it never hands out a pointer, and it never decodes into a buffer whose size
//! the caller chose.

#![expect(unsafe_code, reason = "the safe wrapper can't tell a warning from an error, nor set the limits")]

use std::ffi::{CStr, c_int};

use tagfleet_pipeline::tags::{Cause, Failure};
use turbojpeg::raw;

use super::{failure, markers};
use crate::grid::Reduction;
use crate::preprocessing::Size;

/// The most scans a progressive JPEG may have; encoders write about ten, a bomb thousands.
const MAX_SCANS: c_int = 200;
/// The most samples that all scans of a picture together may code, each as often as it is refined: a scan of
/// nothing but zeros takes some bytes of the file, and as long as any other. Encoders write a progressive
/// picture in 8 to 14 samples per pixel; the largest that fits in memory has 1.3 billion.
pub(super) const MOST_CODED: u64 = 1_500_000_000;

/// Why libjpeg-turbo decoded nothing: a limit that holds for the second decoder too, or unreadable bytes.
pub(super) enum Refusal {
    Final(Failure),
    Unreadable(String),
}

/// One decompressor; holds libjpeg's state for one file, whose bytes it borrows and whose header it has read.
pub(super) struct Turbo<'a> {
    handle: Handle,
    jpeg: &'a [u8],
    header: Header,
}

/// libjpeg-turbo's own handle, live unless null.
struct Handle(raw::tjhandle);

/// A JPEG's header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) color: Color,
    pub(super) progressive: bool,
    /// Bytes of coefficients per pixel, if they are all kept in memory.
    pub(super) coefficient_bytes: u64,
}

/// The colour space of decoded samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Color {
    Gray,
    Rgb,
    /// As stored: Adobe's encoders invert it.
    Cmyk,
}

impl Color {
    /// Samples per pixel.
    pub(super) fn channels(self) -> u8 {
        match self {
            Color::Gray => 1,
            Color::Rgb => 3,
            Color::Cmyk => 4,
        }
    }

    fn pixel_format(self) -> c_int {
        match self {
            Color::Gray => raw::TJPF_TJPF_GRAY,
            Color::Rgb => raw::TJPF_TJPF_RGB,
            Color::Cmyk => raw::TJPF_TJPF_CMYK,
        }
    }
}

/// Samples, and whether libjpeg-turbo warned about damaged data.
pub(super) struct Samples {
    pub(super) data: Vec<u8>,
    /// In samples.
    pub(super) size: Size,
    pub(super) color: Color,
    pub(super) damaged: bool,
}

impl<'a> Turbo<'a> {
    /// A decompressor with accurate DCT and smooth upsampling, as Pillow sets it, which has read the header
    /// of `jpeg`.
    ///
    /// Takes no memory for pixels. Warnings are not errors.
    pub(super) fn open(jpeg: &'a [u8]) -> Result<Turbo<'a>, Refusal> {
        let mut handle = Handle::new()?;
        let header = handle.read_header(jpeg)?;
        if handle.get(raw::TJPARAM_TJPARAM_ARITHMETIC) != 0 {
            return Err(Refusal::Final(failure(Cause::JpegArithmetic, "")));
        }
        Ok(Turbo { handle, jpeg, header })
    }

    /// The header's fields.
    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Lets each sample of chrominance count for all its pixels unchanged, which Pillow would smooth.
    pub(super) fn repeat_chrominance(&mut self) -> Result<(), Refusal> {
        self.handle.set(raw::TJPARAM_TJPARAM_FASTUPSAMPLE, 1)
    }

    /// Decodes the picture, smaller by this factor, if its scans code at most `most_coded` samples.
    /// libjpeg-turbo keeps its own memory under `max_memory` bytes.
    ///
    /// Each sample is the average of the pixels that it covers, because libjpeg-turbo's smaller transforms
    /// average the output of its full one. Chrominance that is stored in less detail is taken as it is.
    pub(super) fn decode(
        &mut self,
        reduction: Reduction,
        max_memory: u64,
        most_coded: u64,
    ) -> Result<Samples, Refusal> {
        self.check_work(most_coded)?;
        let (header, jpeg) = (&self.header, self.jpeg);
        let mebibytes = c_int::try_from(max_memory.div_ceil(1 << 20)).unwrap_or(c_int::MAX).max(1);
        self.handle.set(raw::TJPARAM_TJPARAM_MAXMEMORY, mebibytes)?;
        self.handle.set_scale(reduction)?;
        let (width, height) = (reduction.samples(header.width), reduction.samples(header.height));
        let stride = width as usize * usize::from(header.color.channels());
        let mut data = vec![0; stride * height as usize];
        let unwritten = mark(&mut data, stride);
        // SAFETY: `data` has `height` rows of `width` pixels of the format asked for, by the header that the
        // same library read from the same bytes: `open` makes every Turbo, and nothing else sets `jpeg` or
        // `header`. Both are divided by the factor that was just set and rounded up, as the library's
        // TJSCALED does. A pitch of 0 means rows without padding.
        let status = unsafe {
            let (format, size) = (header.color.pixel_format(), jpeg.len() as raw::size_t);
            raw::tj3Decompress8(self.handle.0, jpeg.as_ptr(), size, data.as_mut_ptr(), 0, format)
        };
        // A warning and an error after a warning have the same status. Rows are written from the top, so the
        // last row shows which of the two it was.
        if status != 0 && data.ends_with(&unwritten) {
            return Err(self.handle.refusal());
        }
        let size = Size { height, width };
        Ok(Samples { data, size, color: header.color, damaged: status != 0 })
    }

    fn check_work(&self, most_coded: u64) -> Result<(), Refusal> {
        let pixels = u64::from(self.header.width) * u64::from(self.header.height);
        let coded = markers::coded_samples(self.jpeg, pixels, most_coded);
        if coded <= most_coded {
            return Ok(());
        }
        let detail = format!("its scans code {coded} samples or more, the limit is {most_coded}");
        Err(Refusal::Final(failure(Cause::JpegVariant, detail)))
    }
}

impl Handle {
    fn new() -> Result<Handle, Refusal> {
        // SAFETY: takes no pointer; a null result is the only failure.
        let mut handle = Handle(unsafe { raw::tj3Init(raw::TJINIT_TJINIT_DECOMPRESS as c_int) });
        if handle.0.is_null() {
            return Err(handle.refusal());
        }
        handle.set(raw::TJPARAM_TJPARAM_SCANLIMIT, MAX_SCANS)?;
        handle.set(raw::TJPARAM_TJPARAM_SAVEMARKERS, 0)?;
        Ok(handle)
    }

    /// Reads the header. Call it once per handle.
    fn read_header(&mut self, jpeg: &[u8]) -> Result<Header, Refusal> {
        // SAFETY: the pointer and the length are one slice's, and libjpeg-turbo only reads it.
        let status = unsafe { raw::tj3DecompressHeader(self.0, jpeg.as_ptr(), jpeg.len() as raw::size_t) };
        let message = self.message();
        // These stay negative in a fresh handle until a header was read, whatever warnings the status holds.
        let width = self.get(raw::TJPARAM_TJPARAM_JPEGWIDTH);
        let height = self.get(raw::TJPARAM_TJPARAM_JPEGHEIGHT);
        let color = match self.get(raw::TJPARAM_TJPARAM_COLORSPACE) as raw::TJCS {
            raw::TJCS_TJCS_GRAY => Some(Color::Gray),
            raw::TJCS_TJCS_RGB | raw::TJCS_TJCS_YCbCr => Some(Color::Rgb),
            raw::TJCS_TJCS_CMYK | raw::TJCS_TJCS_YCCK => Some(Color::Cmyk),
            _ => None,
        };
        match (u32::try_from(width), u32::try_from(height), color) {
            (Ok(width @ 1..), Ok(height @ 1..), Some(color)) => Ok(Header {
                width,
                height,
                color,
                progressive: self.get(raw::TJPARAM_TJPARAM_PROGRESSIVE) != 0,
                coefficient_bytes: coefficient_bytes(self.get(raw::TJPARAM_TJPARAM_SUBSAMP), color),
            }),
            _ if status == 0 => Err(Refusal::Unreadable("there is no picture in this jpeg".to_owned())),
            _ => Err(Refusal::Unreadable(message)),
        }
    }

    fn set(&mut self, parameter: raw::TJPARAM, value: c_int) -> Result<(), Refusal> {
        // SAFETY: the handle is a live one from tj3Init.
        let status = unsafe { raw::tj3Set(self.0, parameter as c_int, value) };
        if status == 0 { Ok(()) } else { Err(self.refusal()) }
    }

    /// Needs a header that was read.
    fn set_scale(&mut self, reduction: Reduction) -> Result<(), Refusal> {
        let factor = raw::tjscalingfactor { num: 1, denom: reduction.divisor() as c_int };
        // SAFETY: the handle is a live one from tj3Init, and the factor is passed by value.
        let status = unsafe { raw::tj3SetScalingFactor(self.0, factor) };
        if status == 0 { Ok(()) } else { Err(self.refusal()) }
    }

    fn get(&mut self, parameter: raw::TJPARAM) -> c_int {
        // SAFETY: the handle is a live one from tj3Init.
        unsafe { raw::tj3Get(self.0, parameter as c_int) }
    }

    fn refusal(&mut self) -> Refusal {
        Refusal::Unreadable(self.message())
    }

    /// libjpeg-turbo's last message; of several warnings, the first.
    fn message(&mut self) -> String {
        // SAFETY: returns a string that ends in zero and lives until the next call, also for a null handle.
        unsafe { CStr::from_ptr(raw::tj3GetErrorStr(self.0)) }.to_string_lossy().into_owned()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is from tj3Init, or null, which tj3Destroy ignores, and it is not used again.
        unsafe { raw::tj3Destroy(self.0) }
    }
}

/// Fills the last row with a pattern that no picture has, and returns that row.
fn mark(data: &mut [u8], stride: usize) -> Vec<u8> {
    let start = data.len() - stride;
    fastrand::Rng::with_seed(1).fill(&mut data[start..]);
    data[start..].to_vec()
}

/// Two bytes for each coefficient: one per sample, chrominance as subsampled.
fn coefficient_bytes(subsampling: c_int, color: Color) -> u64 {
    let key = if color == Color::Cmyk { 2 } else { 0 };
    match subsampling {
        raw::TJSAMP_TJSAMP_GRAY => 2,
        raw::TJSAMP_TJSAMP_420 | raw::TJSAMP_TJSAMP_411 | raw::TJSAMP_TJSAMP_441 => 3 + key,
        raw::TJSAMP_TJSAMP_422 | raw::TJSAMP_TJSAMP_440 => 4 + key,
        _ => 6 + key,
    }
}
