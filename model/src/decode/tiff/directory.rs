//! The first directory of a TIFF or BigTIFF, read where it lies in the file.
//!
//! It exists because a directory may claim millions of values: none is copied, each is read from the file
//! when it is asked for. It never follows a second directory.

use super::tags;

/// The bytes before the directory, and the entries of the directory itself, without a copy.
pub(super) struct Directory<'a> {
    pub(super) file: &'a [u8],
    pub(super) order: Order,
    is_big: bool,
    /// Where the first entry is.
    first: usize,
    count: usize,
}

/// The order of bytes in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// A number of up to eight bytes.
    pub(super) fn number(self, bytes: &[u8]) -> u64 {
        let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        match self {
            Order::Little => bytes.iter().rev().fold(0, digit),
            Order::Big => bytes.iter().fold(0, digit),
        }
    }
}

/// The values of one tag.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    bytes: &'a [u8],
    order: Order,
    kind: u16,
    /// As far as the file has them.
    pub(super) count: usize,
}

impl<'a> Directory<'a> {
    /// Finds the directory; None if there is none.
    pub(super) fn open(file: &'a [u8]) -> Option<Directory<'a>> {
        let order = if file.starts_with(b"II") { Order::Little } else { Order::Big };
        let is_big = matches!(file.get(2..4)?, [43, 0] | [0, 43]);
        let (pointer, counted) = if is_big { (file.get(8..16)?, 8) } else { (file.get(4..8)?, 2) };
        let start = usize::try_from(order.number(pointer)).ok()?;
        let first = start.checked_add(counted)?;
        let count = usize::try_from(order.number(file.get(start..first)?)).ok()?;
        Some(Directory { file, order, is_big, first, count })
    }

    /// The values of a tag; of a tag that comes twice, the first ones. None without a value.
    pub(super) fn values(&self, tag: u16) -> Option<Values<'a>> {
        let size = if self.is_big { 20 } else { 12 };
        let entries = self.file.get(self.first..)?.chunks_exact(size).take(self.count);
        for entry in entries {
            if self.order.number(&entry[..2]) == u64::from(tag) {
                return self.values_of(entry);
            }
        }
        None
    }

    fn values_of(&self, entry: &'a [u8]) -> Option<Values<'a>> {
        let wide = if self.is_big { 8 } else { 4 };
        let kind = self.order.number(&entry[2..4]) as u16;
        let claimed = usize::try_from(self.order.number(&entry[4..4 + wide])).ok()?;
        let (inline, size) = (&entry[4 + wide..], size_of_kind(kind)?);
        let bytes = if claimed.checked_mul(size)? <= wide {
            inline
        } else {
            self.file.get(usize::try_from(self.order.number(inline)).ok()?..)?
        };
        let count = claimed.min(bytes.len() / size);
        let values = Values { bytes, order: self.order, kind, count };
        (count > 0).then_some(values)
    }

    /// The first value of a tag as a number.
    pub(super) fn number(&self, tag: u16) -> Option<u64> {
        self.values(tag)?.number(0)
    }

    /// The first value of a tag, or else the default of the specification.
    pub(super) fn number_or(&self, tag: u16, default: u64) -> u64 {
        self.number(tag).unwrap_or(default)
    }
}

impl<'a> Values<'a> {
    /// One value as a whole number.
    pub(super) fn number(&self, index: usize) -> Option<u64> {
        if index >= self.count || matches!(self.kind, tags::RATIONAL | tags::SRATIONAL) || self.kind > 18 {
            return None;
        }
        let size = size_of_kind(self.kind)?;
        Some(self.order.number(self.bytes.get(index * size..)?.get(..size)?))
    }

    /// One value as a fraction.
    pub(super) fn fraction(&self, index: usize) -> Option<f32> {
        if index >= self.count || self.kind != tags::RATIONAL {
            return self.number(index).map(|whole| whole as f32);
        }
        let bytes = self.bytes.get(index * 8..)?.get(..8)?;
        let (above, below) = (self.order.number(&bytes[..4]), self.order.number(&bytes[4..]));
        (below != 0).then(|| above as f32 / below as f32)
    }

    /// All values of a tag of bytes.
    pub(super) fn as_bytes(&self) -> Option<&'a [u8]> {
        if size_of_kind(self.kind)? == 1 { self.bytes.get(..self.count) } else { None }
    }
}

fn size_of_kind(kind: u16) -> Option<usize> {
    Some(match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::samples::tiff_directory;
    use super::*;

    #[test]
    fn values_of_every_kind() {
        let file = tiff_directory(&[(256, 3, 640), (257, 4, 480), (305, 99, 0)]);
        let directory = Directory::open(&file).unwrap();
        assert_eq!(directory.number(256), Some(640));
        assert_eq!(directory.number(257), Some(480));
        assert_eq!(directory.number(258), None, "is not there");
        assert_eq!(directory.number(305), None, "a kind that nobody knows");
        assert_eq!(directory.number_or(258, 1), 1);
    }

    #[test]
    fn the_first_of_two_entries_counts() {
        let file = tiff_directory(&[(259, 3, 1), (259, 3, 7)]);
        assert_eq!(Directory::open(&file).unwrap().number(259), Some(1));
    }

    #[test]
    fn claims_beyond_the_file_are_cut() {
        let mut file = tiff_directory(&[(273, 4, 8)]);
        file[8 + 2 + 4..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
        let values = Directory::open(&file).unwrap().values(273).unwrap();
        assert_eq!(values.count, (file.len() - 8) / 4);
        assert_eq!(values.number(values.count), None);
    }

    #[test]
    fn no_directory_is_none() {
        for file in [
            b"II*\0".as_slice(),
            b"",
            b"MM\0*\xff\xff\xff\xff",
            b"MM\0+\0\x08\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(Directory::open(file).is_none());
        }
    }
}
