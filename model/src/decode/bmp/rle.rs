//! The runs of a compressed BMP, followed as Pillow follows them.
//!
//! Runs beyond the end of a row are cut, pixels that a file skips have the first colour. It never writes
//! beyond the picture.

use super::header::{Compression, Header};

/// The picture's pixels in the order of the file: an index each, or blue, green and red.
pub(super) fn decode(header: &Header<'_>) -> Vec<u8> {
    let unit = header.run_length_bytes() as usize;
    let length = header.width as usize * header.height as usize * unit;
    let canvas =
        Canvas { pixels: Vec::with_capacity(length), length, width: header.width as usize, unit, x: 0 };
    let mut unpacker = Unpacker { header, at: 0, canvas };
    while unpacker.canvas.pixels.len() < length && unpacker.step().is_some() {}
    let mut pixels = unpacker.canvas.pixels;
    pixels.resize(length, 0);
    pixels
}

struct Canvas {
    pixels: Vec<u8>,
    /// How long `pixels` become, in bytes.
    length: usize,
    /// In pixels.
    width: usize,
    unit: usize,
    /// Where in its row the next pixel is.
    x: usize,
}

impl Canvas {
    fn push(&mut self, pixel: &[u8]) {
        if self.pixels.len() < self.length {
            self.pixels.extend_from_slice(pixel);
        }
    }

    fn skip(&mut self, pixels: usize) {
        let skipped = self.length.min(self.pixels.len().saturating_add(pixels.saturating_mul(self.unit)));
        self.pixels.resize(skipped, 0);
        self.x = self.pixels.len() / self.unit % self.width;
    }

    fn end_line(&mut self) {
        let missing = (self.width - self.pixels.len() / self.unit % self.width) % self.width;
        self.skip(missing);
        self.x = 0;
    }
}

struct Unpacker<'a> {
    header: &'a Header<'a>,
    at: usize,
    canvas: Canvas,
}

impl Unpacker<'_> {
    /// One run; None at the end of the picture or of the data.
    fn step(&mut self) -> Option<()> {
        let [count, value] = *self.take(2)? else { return None };
        match (count, value) {
            (0, 0) => self.canvas.end_line(),
            (0, 1) => return None,
            (0, 2) => {
                let [right, up] = *self.take(2)? else { return None };
                self.canvas.skip(usize::from(right) + usize::from(up) * self.canvas.width);
            }
            (0, count) => return self.literal(usize::from(count)),
            (count, value) => return self.run(usize::from(count), value),
        }
        Some(())
    }

    fn run(&mut self, count: usize, value: u8) -> Option<()> {
        let fits = count.min(self.canvas.width.saturating_sub(self.canvas.x));
        let pair = match self.header.compression {
            Compression::Rle4 => [[value >> 4, 0, 0], [value & 15, 0, 0]],
            Compression::Rle24 => {
                let [green, red] = *self.take(2)? else { return None };
                [[value, green, red]; 2]
            }
            _ => [[value, 0, 0]; 2],
        };
        let unit = self.canvas.unit;
        for index in 0..fits {
            self.canvas.push(&pair[index % 2][..unit]);
        }
        self.canvas.x += fits;
        Some(())
    }

    /// Pixels as they are, filled up to an even place in the file.
    fn literal(&mut self, count: usize) -> Option<()> {
        if self.header.compression == Compression::Rle4 {
            for index in 0..count.div_ceil(2) {
                let byte = *self.take(1)?.first()?;
                self.canvas.push(&[byte >> 4]);
                if index * 2 + 1 < count {
                    self.canvas.push(&[byte & 15]);
                }
            }
        } else {
            for _ in 0..count {
                let pixel = self.header.data.get(self.at..)?.get(..self.canvas.unit)?;
                self.at += self.canvas.unit;
                self.canvas.push(pixel);
            }
        }
        self.canvas.x += count;
        self.at += (self.header.start + self.at) % 2;
        Some(())
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let bytes = self.header.data.get(self.at..)?.get(..count)?;
        self.at += count;
        Some(bytes)
    }
}
