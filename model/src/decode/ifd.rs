//! The first directory of a TIFF: whether its pixels may be JPEG streams, and whether it holds more than it may take.
//!
//! It exists because a stream inside of a TIFF has a size of its own, which the `image` crate's decoder obeys and no limit
//! here sees, and because that decoder takes memory for as many values as an entry claims before it reads one. So it errs
//! on the side of refusing: a compression that is written in an unusual way counts as JPEG.

/// TIFF's number of the tag.
const COMPRESSION: u64 = 259;
/// As TIFF 6.0 wrote it, and as it is written now.
const JPEG: [u64; 2] = [6, 7];
const SHORT: u64 = 3;
const LONG: u64 = 4;
/// XMP's. The decoder reads values of tags below it alone.
const FIRST_UNREAD: u64 = 700;
/// What a value takes once it is read, in bytes.
const VALUE: u64 = 32;

/// True unless each compression that the first directory names is plainly another one.
pub(super) fn may_hold_jpeg(file: &[u8]) -> bool {
    entries(file)
        .is_some_and(|entries| entries.filter(|entry| entry.tag == COMPRESSION).any(|entry| entry.is_jpeg()))
}

/// True where an entry of the first directory claims so many values that they take more than `limit` bytes.
pub(super) fn claims_more_than(file: &[u8], limit: u64) -> bool {
    entries(file).is_some_and(|mut entries| {
        entries.any(|entry| entry.tag < FIRST_UNREAD && entry.count.saturating_mul(VALUE) > limit)
    })
}

struct Entry {
    tag: u64,
    kind: u64,
    count: u64,
    short: u64,
    long: u64,
}

impl Entry {
    fn is_jpeg(&self) -> bool {
        match (self.kind, self.count) {
            (SHORT, 1) => JPEG.contains(&self.short),
            (LONG, 1) => JPEG.contains(&self.long),
            _ => true,
        }
    }
}

/// As many entries as are there; None where no directory is.
fn entries(file: &[u8]) -> Option<impl Iterator<Item = Entry>> {
    let little = file.starts_with(b"II");
    let number = move |at: usize, length: usize| number(file.get(at..at.checked_add(length)?)?, little);
    let is_big = number(2, 2)? == 43;
    let (start, counted, size, wide) =
        if is_big { (number(8, 8)?, 8, 20, 8) } else { (number(4, 4)?, 2, 12, 4) };
    let start = usize::try_from(start).ok()?;
    let count = usize::try_from(number(start, counted)?).ok()?;
    let first = start.checked_add(counted)?;
    let entry = move |at: usize| {
        let value = at + 4 + wide;
        Some(Entry {
            tag: number(at, 2)?,
            kind: number(at + 2, 2)?,
            count: number(at + 4, wide)?,
            short: number(value, 2)?,
            long: number(value, 4)?,
        })
    };
    let places = (0..count).map_while(move |index| index.checked_mul(size)?.checked_add(first));
    Some(places.map_while(entry))
}

fn number(bytes: &[u8], little: bool) -> Option<u64> {
    let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    Some(if little { bytes.iter().rev().fold(0, digit) } else { bytes.iter().fold(0, digit) })
}

#[cfg(test)]
mod tests {
    use super::super::samples::tiff_directory;
    use super::*;

    #[test]
    fn compression_is_found() {
        for (compression, expected) in [(1, false), (5, false), (6, true), (7, true), (32773, false)] {
            let file = tiff_directory(&[(256, 3, 1), (259, 3, compression)]);
            assert_eq!(may_hold_jpeg(&file), expected, "compression {compression}");
            let file = tiff_directory(&[(256, 3, 1), (259, 4, compression)]);
            assert_eq!(may_hold_jpeg(&file), expected, "compression {compression}, 32 bits");
        }
    }

    #[test]
    fn tricks_count_as_jpeg() {
        assert!(may_hold_jpeg(&tiff_directory(&[(259, 3, 1), (259, 3, 7)])), "the tag comes twice");
        assert!(may_hold_jpeg(&tiff_directory(&[(259, 16, 8)])), "a kind that is stored elsewhere");
        let mut cut = tiff_directory(&[(259, 3, 7), (256, 3, 1)]);
        cut.truncate(30);
        assert!(may_hold_jpeg(&cut));
    }

    #[test]
    fn claims_are_counted_before_memory_is_taken() {
        const LIMIT: u64 = 8 << 20;
        let claiming = |count: u32, tag| {
            let mut file = tiff_directory(&[(256, 4, 1), (tag, 3, 1)]);
            // The second entry's count: behind the header, the number of entries, the first one, a tag and a kind.
            file[8 + 2 + 12 + 4..][..4].copy_from_slice(&count.to_le_bytes());
            claims_more_than(&file, LIMIT)
        };
        assert!(claiming(7_143_425, 262), "what a fuzzer found: 229 MB");
        assert!(claiming(u32::MAX, 273));
        assert!(!claiming((LIMIT / VALUE) as u32, 273));
        assert!(!claiming(u32::MAX, 700), "no value of it is read");
    }

    #[test]
    fn no_directory_is_no_jpeg() {
        for file in [
            b"II*\0".as_slice(),
            b"",
            b"MM\0*\xff\xff\xff\xff",
            b"MM\0+\0\x08\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(!may_hold_jpeg(file));
        }
    }
}
