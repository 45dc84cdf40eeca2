//! JPEGs of the benchmark: written as cameras do, colour at half detail; read with tagfleet's own decoder.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tagfleet_model::decode::{Limits, PixelBudget, decode};
use tagfleet_model::grid::Grid;
use tagfleet_model::pixels::Pixels;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

/// The bytes of an RGB picture at `quality`, 1 to 100, 4:2:0.
pub(super) fn encode(picture: &Pixels, quality: i32) -> Result<Vec<u8>> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let pixels = picture.data.as_slice();
    let image = Image { pixels, width, pitch: width * 3, height, format: PixelFormat::RGB };
    let mut compressor = Compressor::new()?;
    compressor.set_quality(quality)?;
    compressor.set_subsamp(Subsamp::Sub2x2)?;
    Ok(compressor.compress_to_vec(image)?)
}

/// Every pixel of a file.
pub(super) fn read(path: &Path) -> Result<Pixels> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let limits = Limits::default();
    let budget = PixelBudget::new(limits.max_memory);
    match decode(&bytes, &limits, &budget, false, &|_: &Grid, _: u8| 0) {
        Ok(decoded) => Ok(decoded.pixels),
        Err(failure) => bail!("{}: {}", path.display(), failure),
    }
}
