//! Decoded planes of one picture, put together from its tiles, eight bits per sample.
//!
//! It exists because a grid is converted to colours as a whole, as chrominance is smoothed across tiles.
//! Deeper samples lose their low bits, as in libavif. It starts no thread, and a stream with larger frames
//! than its tile is refused before one is decoded.

use re_rav1d::dav1d::{Decoder, Error, Picture, PixelLayout, PlanarImageComponent, Settings};
use tagfleet_pipeline::tags::{Cause, Failure};

use super::super::failure;
use super::sequence::{Layout, Sequence};

/// Luma and chrominance; chrominance is empty if the picture is gray.
pub(super) struct Planes {
    pub(super) layout: Layout,
    depth: u8,
    /// What each sample of a gray picture becomes.
    gray: Option<Vec<u8>>,
    pub(super) luma: Plane,
    pub(super) blue: Plane,
    pub(super) red: Plane,
}

/// Where a tile lies in its picture, in pixels.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Samples in rows from the top.
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) data: Vec<u8>,
}

impl Plane {
    fn new(width: usize, height: usize) -> Plane {
        Plane { width, height, data: vec![0; width * height] }
    }

    pub(super) fn row(&self, y: usize) -> &[u8] {
        &self.data[y * self.width..][..self.width]
    }
}

impl Planes {
    pub(super) fn new(width: u32, height: u32, sequence: &Sequence, gray: Option<bool>) -> Planes {
        let Sequence { depth, layout, .. } = *sequence;
        let (width, height) = (width as usize, height as usize);
        let (chroma_width, chroma_height) = layout.chroma(width, height);
        Planes {
            layout,
            depth,
            gray: gray
                .filter(|_| layout == Layout::Gray)
                .map(|is_full_range| gray_table(depth, is_full_range)),
            luma: Plane::new(width, height),
            blue: Plane::new(chroma_width, chroma_height),
            red: Plane::new(chroma_width, chroma_height),
        }
    }

    /// Decodes the stream of a tile into its place.
    pub(super) fn decode(
        &mut self,
        stream: impl Into<Vec<u8>>,
        operating_point: u8,
        place: Place,
    ) -> Result<(), Failure> {
        let stream = stream.into();
        let found = Sequence::find(&stream).ok_or_else(|| failure(Cause::Damaged, "a tile has no header"))?;
        if (found.depth, found.layout) != (self.depth, self.layout) {
            return Err(failure(Cause::Variant, "tiles of different kinds"));
        }
        let picture = decode_frame(stream, operating_point, place)?;
        self.check(&picture, place)?;
        self.copy(&picture, place);
        Ok(())
    }

    fn check(&self, picture: &Picture, place: Place) -> Result<(), Failure> {
        let layout = match picture.pixel_layout() {
            PixelLayout::I400 => Layout::Gray,
            PixelLayout::I420 => Layout::Quarter,
            PixelLayout::I422 => Layout::Half,
            PixelLayout::I444 => Layout::Whole,
        };
        if (picture.width(), picture.height()) != (place.width, place.height) {
            return Err(failure(Cause::Variant, "a frame of another size than stated"));
        }
        // The stream may have had a second header.
        if layout != self.layout || picture.bit_depth() != usize::from(self.depth) {
            return Err(failure(Cause::Damaged, "the stream's headers contradict each other"));
        }
        Ok(())
    }

    fn copy(&mut self, picture: &Picture, place: Place) {
        let depth = self.depth;
        let (left, top) = (place.left as usize, place.top as usize);
        let (across, down) = match self.layout {
            Layout::Quarter => (2, 2),
            Layout::Half => (2, 1),
            _ => (1, 1),
        };
        let narrow = |sample: u16| (sample >> (depth - 8)) as u8;
        if let Some(gray) = &self.gray {
            let convert = |sample: u16| gray.get(usize::from(sample)).copied().unwrap_or(255);
            copy_plane(picture, PlanarImageComponent::Y, convert, &mut self.luma, (left, top));
            return;
        }
        copy_plane(picture, PlanarImageComponent::Y, narrow, &mut self.luma, (left, top));
        if self.layout == Layout::Gray {
            return;
        }
        let at = (left / across, top / down);
        copy_plane(picture, PlanarImageComponent::U, narrow, &mut self.blue, at);
        copy_plane(picture, PlanarImageComponent::V, narrow, &mut self.red, at);
    }
}

/// What each sample of this depth is in 0..=255, as libavif rounds.
fn gray_table(depth: u8, is_full_range: bool) -> Vec<u8> {
    let one = f32::from(1_u16 << (depth - 8));
    let (black, range) =
        if is_full_range { (0.0, f32::from((1_u16 << depth) - 1)) } else { (16.0 * one, 219.0 * one) };
    let value = |sample: u16| ((f32::from(sample) - black) / range).clamp(0.0, 1.0) * 255.0 + 0.5;
    (0..1_u16 << depth).map(|sample| value(sample) as u8).collect()
}

/// What lies beyond the picture is left out.
fn copy_plane(
    picture: &Picture,
    component: PlanarImageComponent,
    convert: impl Fn(u16) -> u8,
    to: &mut Plane,
    (left, top): (usize, usize),
) {
    if left >= to.width {
        return;
    }
    let plane = picture.plane(component);
    let stride = picture.stride(component) as usize;
    let is_deep = picture.bit_depth() > 8;
    let rows = to.data.chunks_exact_mut(to.width).skip(top);
    for (row, stored) in rows.zip(plane.chunks_exact(stride.max(1))) {
        let row = row[left..].iter_mut();
        if is_deep {
            let samples = stored.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]]));
            row.zip(samples).for_each(|(out, sample)| *out = convert(sample));
        } else {
            row.zip(stored).for_each(|(out, &sample)| *out = convert(u16::from(sample)));
        }
    }
}

fn decode_frame(stream: Vec<u8>, operating_point: u8, place: Place) -> Result<Picture, Failure> {
    let mut settings = Settings::new();
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    settings.set_operating_point(u32::from(operating_point));
    settings.set_all_layers(false);
    settings.set_frame_size_limit(place.width.saturating_mul(place.height));
    let mut decoder = Decoder::with_settings(&settings).map_err(explain)?;
    match decoder.send_data(stream, None, None, None) {
        Ok(()) | Err(Error::Again) => {}
        Err(error) => return Err(explain(error)),
    }
    loop {
        match decoder.get_picture() {
            Err(Error::Again) => {}
            outcome => return outcome.map_err(explain),
        }
        // The data that the decoder could not take at once. If nothing is left, there is no picture.
        match decoder.send_pending_data() {
            Err(Error::Again) => {}
            Err(error) => return Err(explain(error)),
            Ok(()) => return decoder.get_picture().map_err(explain),
        }
    }
}

fn explain(error: Error) -> Failure {
    match error {
        Error::UnsupportedBitstream => failure(Cause::Variant, "this kind of AV1"),
        Error::NotEnoughMemory => failure(Cause::Damaged, "its frames are larger than it states"),
        Error::Again => failure(Cause::Damaged, "there is no frame in it"),
        _ => failure(Cause::Damaged, "its AV1 stream is damaged"),
    }
}
