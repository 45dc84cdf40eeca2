//! The orientation in a block of EXIF data or, if that has none, in an XMP packet, as Pillow looks for it.
//!
//! Real metadata is often damaged; whatever cannot be read, or is far too large to be metadata, counts as no
//! orientation. It never fails an image.

use exif::{In, Reader, Tag, Value};
use image::metadata::Orientation;

use super::panics;

/// The longest block that is read, and so copied.
const LONGEST: usize = 1 << 20;

/// The orientation that `exif` (a TIFF structure, with or without the `Exif` prefix) or else `xmp` states.
pub(super) fn orientation(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    let (exif, xmp) = (exif.filter(is_short), xmp.filter(is_short));
    let stated = exif.and_then(exif_value).or_else(|| xmp.and_then(xmp_value));
    stated.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

fn is_short(block: &&[u8]) -> bool {
    block.len() <= LONGEST
}

fn exif_value(block: &[u8]) -> Option<u8> {
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block).to_vec();
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    let read = panics::catch(|| reader.read_raw(block))?;
    let fields = read.or_else(|error| error.distill_partial_result(|_| ())).ok()?;
    let value = &fields.get_field(Tag::Orientation, In::PRIMARY)?.value;
    u8::try_from(any_integer(value)?).ok()
}

/// Some cameras write a signed integer although the standard wants an unsigned one.
fn any_integer(value: &Value) -> Option<i64> {
    match value {
        Value::SByte(values) => values.first().copied().map(i64::from),
        Value::SShort(values) => values.first().copied().map(i64::from),
        Value::SLong(values) => values.first().copied().map(i64::from),
        _ => value.get_uint(0).map(i64::from),
    }
}

/// `tiff:Orientation="6"` or `<tiff:Orientation>6<`, anywhere in the packet.
fn xmp_value(packet: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"tiff:Orientation";
    let name = packet.windows(NAME.len()).position(|window| window == NAME)?;
    let after = &packet[name + NAME.len()..];
    let digits = after.strip_prefix(b"=\"").or_else(|| after.strip_prefix(b">"))?;
    digits.first().filter(|digit| digit.is_ascii_digit()).map(|digit| digit - b'0')
}

#[cfg(test)]
mod tests {
    use super::super::samples::exif_block;
    use super::*;

    #[test]
    fn all_eight_values_are_found_with_and_without_prefix() {
        for value in 1..=8 {
            assert_eq!(orientation(Some(&exif_block(value)), None).to_exif(), value);
            let prefixed = [b"Exif\0\0".as_slice(), &exif_block(value)].concat();
            assert_eq!(orientation(Some(&prefixed), None).to_exif(), value);
        }
    }

    #[test]
    fn damaged_blocks_mean_no_orientation() {
        for value in [0, 9, 255] {
            assert_eq!(orientation(Some(&exif_block(value)), None), Orientation::NoTransforms);
        }
        let whole = exif_block(6);
        for length in 0..whole.len() - 4 {
            assert!(
                matches!(orientation(Some(&whole[..length]), None).to_exif(), 1 | 6),
                "cut to {length} bytes"
            );
        }
        assert_eq!(orientation(Some(b"Exif\0\0nonsense that is no TIFF"), None), Orientation::NoTransforms);
    }

    #[test]
    fn a_block_of_megabytes_means_no_orientation() {
        let mut block = exif_block(6);
        block.resize(LONGEST, 0);
        assert_eq!(orientation(Some(&block), None).to_exif(), 6);
        block.push(0);
        assert_eq!(orientation(Some(&block), None).to_exif(), 1);
    }

    #[test]
    fn xmp_counts_where_exif_says_nothing() {
        let attribute = b"<rdf:Description tiff:Orientation=\"8\"/>".as_slice();
        let element = b"<tiff:Orientation>3</tiff:Orientation>".as_slice();
        assert_eq!(orientation(None, Some(attribute)).to_exif(), 8);
        assert_eq!(orientation(None, Some(element)).to_exif(), 3);
        assert_eq!(orientation(Some(&exif_block(1)), Some(attribute)).to_exif(), 1);
        assert_eq!(orientation(Some(b"MM\0*"), Some(attribute)).to_exif(), 8);
        assert_eq!(orientation(None, Some(b"tiff:Orientation=\"")).to_exif(), 1);
    }

    #[test]
    fn signed_values_count() {
        let mut block = exif_block(8);
        block[13] = 8;
        assert_eq!(orientation(Some(&block), None).to_exif(), 8);
    }
}
