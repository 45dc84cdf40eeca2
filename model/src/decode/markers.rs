//! The marker segments of a JPEG: where its EXIF is, which kind of JPEG it is, and how much its scans make a
//! decoder do.
//!
//! It exists for facts that libjpeg-turbo doesn't report: EXIF, whether the picture comes in several scans,
//! for which the decoder keeps all coefficients in memory, and how many. It never decodes, and what it can't
//! follow it leaves unknown.

/// The segments before the first scan.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Markers<'a> {
    /// The EXIF block, without its prefix.
    pub(super) exif: Option<&'a [u8]>,
    /// The XMP packet, without its prefix.
    pub(super) xmp: Option<&'a [u8]>,
    /// The number of the frame's marker, SOF0 to SOF15; it names the process that coded the picture.
    pub(super) process: Option<u8>,
    /// Bits per sample.
    pub(super) precision: u8,
    /// Colour components of the frame.
    pub(super) components: u8,
    /// True if the first scan has all components, so a sequential JPEG can be decoded row by row.
    pub(super) one_scan: bool,
}

impl Markers<'_> {
    /// The name of a process or a precision that the decoders do not read; `None` if they read it.
    pub(super) fn unsupported(&self) -> Option<String> {
        let process = match self.process? {
            3 | 11 => "lossless",
            5..=7 | 13..=15 => "hierarchical",
            _ if matches!(self.precision, 2..=7 | 9..=16) => {
                return Some(format!("a JPEG of {} bits per sample", self.precision));
            }
            _ => return None,
        };
        Some(format!("a {process} JPEG of {} bits per sample", self.precision))
    }
}

const EXIF_PREFIX: &[u8] = b"Exif\0\0";
const XMP_PREFIX: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// Follows the segments of `jpeg` up to its first scan, its end, or something that is not a segment.
pub(super) fn read(jpeg: &[u8]) -> Markers<'_> {
    let mut markers = Markers::default();
    let mut rest = jpeg.get(2..).unwrap_or_default();
    while let Some((marker, segment, after)) = next_segment(rest) {
        rest = after;
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => read_frame(&mut markers, marker, segment),
            0xe1 => {
                markers.exif = markers.exif.or(segment.strip_prefix(EXIF_PREFIX));
                markers.xmp = markers.xmp.or(segment.strip_prefix(XMP_PREFIX));
            }
            0xda => {
                markers.one_scan = markers.components > 0 && segment.first() == Some(&markers.components);
                return markers;
            }
            _ => {}
        }
    }
    markers
}

fn read_frame(markers: &mut Markers<'_>, marker: u8, segment: &[u8]) {
    if let [precision, _, _, _, _, components, ..] = segment {
        markers.process = Some(marker - 0xc0);
        markers.precision = *precision;
        markers.components = *components;
    }
}

/// How many samples all scans of `jpeg`, a picture of `pixels`, code: a component counts in each scan that
/// has it, and one that is stored in less detail counts less. Counting ends once it is more than `enough`.
pub(super) fn coded_samples(jpeg: &[u8], pixels: u64, enough: u64) -> u64 {
    let mut rest = jpeg.get(2..).unwrap_or_default();
    let (mut components, mut coded) = (Components::default(), 0_u64);
    while coded <= enough
        && let Some((marker, segment, after)) = next_segment(rest)
    {
        rest = after;
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => components = Components::of(segment),
            0xda => coded = coded.saturating_add(components.in_scan(segment, pixels)),
            _ => {}
        }
    }
    coded
}

/// The components of a frame, and how many samples each has in the smallest block that has some of all.
#[derive(Default)]
struct Components {
    samples: Vec<(u8, u64)>,
    most: u64,
}

impl Components {
    fn of(frame: &[u8]) -> Self {
        let listed = frame.get(6..).unwrap_or_default().as_chunks::<3>().0;
        let samples = listed.iter().map(|[name, factors, _]| {
            (*name, u64::from(factors >> 4).max(1) * u64::from(factors & 15).max(1))
        });
        let samples: Vec<(u8, u64)> = samples.collect();
        let most = samples.iter().map(|(_, samples)| *samples).max().unwrap_or(1);
        Self { samples, most }
    }

    /// Samples that a scan with this header codes; one of a component that is unknown counts for all pixels.
    fn in_scan(&self, header: &[u8], pixels: u64) -> u64 {
        let listed = usize::from(header.first().copied().unwrap_or(1)).clamp(1, 4);
        let names = header.get(1..).unwrap_or_default().chunks(2).take(listed);
        let of =
            |name: u8| self.samples.iter().find(|(known, _)| *known == name).map(|(_, samples)| *samples);
        let each = names.map(|name| match of(name[0]) {
            Some(samples) => pixels.saturating_mul(samples) / self.most,
            None => pixels,
        });
        each.fold(0, u64::saturating_add).max(1)
    }
}

/// The next marker, its segment without the length, and what follows. A segment that is cut off counts as far
/// as it goes.
fn next_segment(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let start = bytes.iter().position(|&byte| byte == 0xff)?;
    let start = start + bytes[start..].iter().position(|&byte| byte != 0xff)?;
    let (marker, rest) = (bytes[start], &bytes[start + 1..]);
    match marker {
        0xd9 => None,
        0x00 | 0x01 | 0xd0..=0xd8 => Some((marker, &[], rest)),
        _ => {
            let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
            let end = length.max(2).min(rest.len());
            Some((marker, &rest[2..end], &rest[end..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{exif_block, gradient, insert_exif, jpeg, progressive_jpeg};
    use super::*;

    #[test]
    fn an_ordinary_jpeg() {
        let bytes = insert_exif(&jpeg(&gradient(16, 8, 3)), 6);
        let markers = read(&bytes);
        assert_eq!(markers.exif, Some(exif_block(6).as_slice()));
        assert_eq!((markers.process, markers.precision, markers.components), (Some(0), 8, 3));
        assert!(markers.one_scan);
        assert_eq!(markers.unsupported(), None);
    }

    #[test]
    fn a_progressive_jpeg() {
        let bytes = progressive_jpeg(&gradient(16, 8, 3));
        assert_eq!(read(&bytes).process, Some(2));
    }

    #[test]
    fn processes_without_a_decoder_are_named() {
        let named = |marker, precision| {
            let bytes = [0xff, 0xd8, 0xff, marker, 0, 8, precision, 0, 1, 0, 1, 1];
            read(&bytes).unsupported()
        };
        assert_eq!(named(0xc3, 16).as_deref(), Some("a lossless JPEG of 16 bits per sample"));
        assert_eq!(named(0xc1, 12).as_deref(), Some("a JPEG of 12 bits per sample"));
        assert_eq!(named(0xc5, 8).as_deref(), Some("a hierarchical JPEG of 8 bits per sample"));
        assert_eq!(named(0xc9, 8), None);
    }

    #[test]
    fn scans_count_for_the_samples_that_they_code() {
        let coded = |bytes: &[u8]| coded_samples(bytes, 1000, u64::MAX);
        assert_eq!(coded(&jpeg(&gradient(16, 8, 1))), 1000);
        let chrominance = coded(&jpeg(&gradient(16, 8, 3)));
        assert!((1500..=3000).contains(&chrominance), "{chrominance}");
        let progressive = coded(&progressive_jpeg(&gradient(16, 8, 3)));
        assert!((7000..=14_000).contains(&progressive), "{progressive}");
        // A scan inside of a segment is none, and one of an unknown component counts for the picture.
        let frame =
            b"\xff\xd8\xff\xe1\0\x06\xff\xda\0\x08\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x05\x11\0".to_vec();
        let scan =
            |name: u8| [b"\xff\xda\0\x08\x01".as_slice(), &[name], b"\0\0\x3f\0a\xff\0b\xff\xd0c"].concat();
        assert_eq!(coded(&[frame.clone(), scan(5), scan(6)].concat()), 2000);
        let many = [frame, scan(5).repeat(100_000)].concat();
        assert_eq!(coded_samples(&many, 1000, 4500), 5000, "counting ends early");
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(prop::sample::select(vec![0xff_u8, 0xe1, 0xda, 0, 2, 9]), 0..64)) {
            read(&bytes);
            coded_samples(&bytes, u64::MAX, u64::MAX - 1);
        }
    }
}
