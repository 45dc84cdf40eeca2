//! The headers of a BMP: every version of Windows, and OS/2.
//!
//! It exists because only the length of a header shows its version. It never reads pixels.

use tagfleet_pipeline::tags::{Cause, Failure};

use super::super::failure;

const FILE_HEADER: usize = 14;
/// `BITMAPCOREHEADER`, of OS/2 1.x and Windows 2.
const CORE: usize = 12;
/// `BITMAPINFOHEADER`.
const INFO: usize = 40;
/// `BITMAPV2INFOHEADER`, the first with masks.
const V2: usize = 52;
/// `BITMAPV3INFOHEADER`, the first with a mask of alpha.
const V3: usize = 56;

/// The headers' fields, and the bytes that they describe.
pub(super) struct Header<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) top_down: bool,
    /// Per pixel.
    pub(super) bits: u32,
    pub(super) compression: Compression,
    pub(super) storage: Storage,
    palette: &'a [u8],
    /// Bytes of a colour in the palette.
    entry: usize,
    /// Everything from the first pixel on.
    pub(super) data: &'a [u8],
    /// Where in the file that is.
    pub(super) start: usize,
}

/// How pixels are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Rle8,
    Rle4,
    Rle24,
}

/// What a pixel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    Indexed,
    Bgr,
    Masked(Masks),
}

/// Where in a pixel its samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masks {
    pub(super) red: Mask,
    pub(super) green: Mask,
    pub(super) blue: Mask,
    pub(super) alpha: Mask,
}

/// The bits of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mask(u32);

impl Mask {
    /// The sample as 0..=255, rounded down as Pillow does; 0 without a mask.
    pub(super) fn sample(self, pixel: u32) -> u8 {
        if self.0 == 0 {
            return 0;
        }
        let shift = self.0.trailing_zeros();
        let (value, most) = ((pixel & self.0) >> shift, self.0 >> shift);
        (u64::from(value) * 255 / u64::from(most)) as u8
    }

    fn is_one_run(self) -> bool {
        self.0 == 0 || (self.0 >> self.0.trailing_zeros()).checked_add(1).is_none_or(u32::is_power_of_two)
    }
}

impl Masks {
    const fn new(red: u32, green: u32, blue: u32, alpha: u32) -> Masks {
        Masks { red: Mask(red), green: Mask(green), blue: Mask(blue), alpha: Mask(alpha) }
    }

    fn all(&self) -> [Mask; 4] {
        [self.red, self.green, self.blue, self.alpha]
    }
}

/// The fields as they are stored, before they are believed.
struct Fields {
    size: usize,
    width: u32,
    height: u32,
    bits: u32,
    compression: u32,
    colors: u32,
    /// OS/2 2.x gives some numbers of compressions another meaning.
    os2: bool,
}

impl<'a> Header<'a> {
    /// Reads the headers of `file`.
    pub(super) fn read(file: &'a [u8]) -> Result<Header<'a>, Failure> {
        let fields = Fields::read(file).ok_or_else(|| failure(Cause::Damaged, "the header is cut off"))?;
        if fields.size != CORE && i32::try_from(fields.width).is_err() {
            return Err(failure(Cause::Damaged, "the header states a negative width"));
        }
        let compression = fields.compression()?;
        let storage = fields.storage(file)?;
        let top_down = fields.size != CORE && fields.height >> 24 == 0xff;
        let height = if top_down { fields.height.wrapping_neg() } else { fields.height };
        let entry = if fields.size == CORE { 3 } else { 4 };
        let palette_at = FILE_HEADER + fields.size;
        let start = fields.start(file, palette_at, entry);
        let data = file.get(start..).unwrap_or_default();
        let palette = file.get(palette_at..).unwrap_or_default();
        let palette = &palette[..palette.len().min(fields.colors() * entry)];
        let (width, bits) = (fields.width, fields.bits);
        Ok(Header { width, height, top_down, bits, compression, storage, palette, entry, data, start })
    }

    /// Bytes from one row to the next.
    pub(super) fn stride(&self) -> usize {
        (self.width as usize * self.bits as usize).div_ceil(32) * 4
    }

    /// Bytes of a row without what fills it up.
    pub(super) fn row_bytes(&self) -> usize {
        (self.width as usize * self.bits as usize).div_ceil(8)
    }

    /// The colour of an index; black if the palette has none.
    pub(super) fn color(&self, index: u8) -> [u8; 3] {
        let at = usize::from(index) * self.entry;
        match self.palette.get(at..at + 3) {
            Some(color) => [color[2], color[1], color[0]],
            None => [0; 3],
        }
    }

    pub(super) fn is_run_length(&self) -> bool {
        self.compression != Compression::None
    }

    /// Bytes of a pixel once its run is unpacked.
    pub(super) fn run_length_bytes(&self) -> u64 {
        if self.compression == Compression::Rle24 { 3 } else { 1 }
    }
}

impl Fields {
    fn read(file: &[u8]) -> Option<Fields> {
        let size = long(file, FILE_HEADER)? as usize;
        let at = |offset: usize| FILE_HEADER + offset;
        if size == CORE {
            let (width, height) = (u32::from(short(file, at(4))?), u32::from(short(file, at(6))?));
            let bits = u32::from(short(file, at(10))?);
            return Some(Fields { size, width, height, bits, compression: 0, colors: 0, os2: true });
        }
        // OS/2 2.x may leave out the fields at the end.
        let optional = |offset: usize| if size >= offset + 4 { long(file, at(offset)) } else { Some(0) };
        let (width, height) = (long(file, at(4))?, long(file, at(8))?);
        let bits = u32::from(short(file, at(14))?);
        let (compression, colors) = (optional(16)?, optional(32)?);
        let os2 = size <= 64 && !matches!(size, INFO | V2 | V3);
        Some(Fields { size, width, height, bits, compression, colors, os2 })
    }

    fn compression(&self) -> Result<Compression, Failure> {
        match (self.compression, self.bits, self.os2) {
            (0, ..) | (3 | 6, _, false) => Ok(Compression::None),
            (1, 8, _) => Ok(Compression::Rle8),
            (2, 4, _) => Ok(Compression::Rle4),
            (4, 24, true) => Ok(Compression::Rle24),
            (number, bits, _) => {
                Err(failure(Cause::Variant, format!("compression {number} of {bits} bits per pixel")))
            }
        }
    }

    fn storage(&self, file: &[u8]) -> Result<Storage, Failure> {
        let masks = match (self.bits, self.compression) {
            (1 | 2 | 4 | 8, 0..=2) => return Ok(Storage::Indexed),
            (24, 0 | 4) => return Ok(Storage::Bgr),
            (16, 0) => Masks::new(0x7c00, 0x03e0, 0x001f, 0),
            (32, 0) => Masks::new(0x00ff_0000, 0xff00, 0xff, 0),
            (16 | 24 | 32, 3 | 6) => {
                self.masks(file).ok_or_else(|| failure(Cause::Damaged, "the header is cut off"))?
            }
            (bits, _) => {
                let message = format!("{bits} bits per pixel");
                return Err(failure(Cause::Variant, message));
            }
        };
        if !masks.all().into_iter().all(Mask::is_one_run) {
            return Err(failure(Cause::Variant, "masks of scattered bits"));
        }
        Ok(Storage::Masked(masks))
    }

    /// They are at the same place in every version: in the header, or behind the shortest one that can have
    /// them.
    fn masks(&self, file: &[u8]) -> Option<Masks> {
        let mask = |index: usize| long(file, FILE_HEADER + INFO + 4 * index);
        // Pillow takes no alpha from 16 bits, and Windows shows such pictures opaque.
        let has_alpha = self.bits == 32 && (self.size >= V3 || self.compression == 6);
        let alpha = if has_alpha { mask(3)? } else { 0 };
        let (red, green, blue) = (mask(0)?, mask(1)?, mask(2)?);
        if red | green | blue | alpha == 0 && self.bits == 32 {
            return Some(Masks::new(0x00ff_0000, 0xff00, 0xff, 0xff00_0000));
        }
        Some(Masks::new(red, green, blue, alpha))
    }

    /// Colours of the palette, as many as an index can name.
    fn colors(&self) -> usize {
        let most = 1_usize << self.bits.min(8);
        match self.colors {
            0 => most,
            stated => most.min(stated as usize),
        }
    }

    /// Some writers forget the palette when they state where pixels start, or state nothing.
    fn start(&self, file: &[u8], palette_at: usize, entry: usize) -> usize {
        let stated = long(file, 10).map_or(0, |start| start as usize);
        let palette = if self.bits <= 8 { self.stored_colors() * entry } else { 0 };
        if stated == 0 || stated == palette_at {
            palette_at + palette + self.trailing_masks()
        } else {
            stated
        }
    }

    fn stored_colors(&self) -> usize {
        if self.colors == 0 { 1 << self.bits.min(8) } else { self.colors as usize }
    }

    fn trailing_masks(&self) -> usize {
        match (self.size, self.compression) {
            (INFO, 3) => 12,
            (INFO, 6) => 16,
            _ => 0,
        }
    }
}

fn short(file: &[u8], at: usize) -> Option<u16> {
    let bytes = file.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn long(file: &[u8], at: usize) -> Option<u32> {
    let bytes = file.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_rounded_down_as_pillow_does() {
        let five = Mask(0x1f);
        for value in 0..32 {
            assert_eq!(u32::from(five.sample(value)), value * 255 / 31);
        }
        assert_eq!(Mask(0x07e0).sample(0x07c0), 250, "62 * 255 / 63");
        assert_eq!(Mask(0xff00_0000).sample(0x8000_0000), 128);
        assert_eq!(Mask(0).sample(u32::MAX), 0);
    }

    #[test]
    fn scattered_bits_are_noticed() {
        assert!(Mask(0).is_one_run() && Mask(u32::MAX).is_one_run() && Mask(0xff0).is_one_run());
        assert!(!Mask(0b101).is_one_run());
    }
}
