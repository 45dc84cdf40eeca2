//! What a file is, by its first bytes.
//!
//! It exists so that a name is never trusted, and so that a failed row names the format that the file has
//! instead. It never reads further than a few hundred bytes.

use tagfleet_pipeline::tags::Cause;

/// A format that is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    WebP,
    Gif,
    Bmp,
    Tiff,
    Avif,
}

/// What the first bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sniffed {
    /// A format that is decoded.
    Decodable(Format),
    /// Anything else.
    Other(Other),
}

/// A file that is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Other {
    /// The cause in the row.
    pub(super) cause: Cause,
    /// The format's name for people.
    pub(super) name: &'static str,
}

const fn image(name: &'static str) -> Other {
    Other { cause: Cause::OtherFormat, name }
}

const fn no_image(name: &'static str) -> Other {
    Other { cause: Cause::NotAnImage, name }
}

/// Signatures at the start of a file. A longer one comes before a shorter one that it contains.
const DECODABLE: [(&[u8], Format); 9] = [
    (b"\xff\xd8\xff", Format::Jpeg),
    (b"\x89PNG\r\n\x1a\n", Format::Png),
    (b"GIF87a", Format::Gif),
    (b"GIF89a", Format::Gif),
    (b"II*\0", Format::Tiff),
    (b"MM\0*", Format::Tiff),
    (b"II+\0", Format::Tiff),
    (b"MM\0+", Format::Tiff),
    (b"II\0*", Format::Tiff),
];

const LFS_POINTER: Other = Other { cause: Cause::LfsPointer, name: "a Git LFS pointer" };
/// No decoder of HEIC may be shipped freely.
const HEIC: Other = Other { cause: Cause::Heic, name: "HEIC or HEIF" };
const SVG: Other = Other { cause: Cause::Svg, name: "SVG" };
const TEXT: &str = "text";
const UNKNOWN: Other = no_image("no known format");

/// Files that people have among their pictures. Any other file has "no known format".
const OTHERS: [(&[u8], Other); 6] = [
    (b"version https://git-lfs", LFS_POINTER),
    (b"\0\0\0\x0cjP  \r\n\x87\n", image("JPEG 2000")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", image("JPEG XL")),
    (b"\xff\x0a", image("JPEG XL")),
    (b"%PDF", no_image("PDF")),
    (b"PK\x03\x04", no_image("a ZIP archive")),
];

/// The format of `bytes`, the start of a file or all of it.
pub(super) fn sniff(bytes: &[u8]) -> Sniffed {
    for (signature, format) in DECODABLE {
        if bytes.starts_with(signature) {
            return Sniffed::Decodable(format);
        }
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Sniffed::Decodable(Format::WebP);
    }
    if is_bmp(bytes) {
        return Sniffed::Decodable(Format::Bmp);
    }
    if has_brand(bytes, &[b"avif", b"avis"]) {
        return Sniffed::Decodable(Format::Avif);
    }
    if has_brand(bytes, &[b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"]) {
        return Sniffed::Other(HEIC);
    }
    Sniffed::Other(name_other(bytes))
}

/// The name of a file that cannot be an ONNX model, if its first bytes are known: a picture, an archive, a
/// page.
pub(crate) fn foreign_to_models(bytes: &[u8]) -> Option<&'static str> {
    match sniff(bytes) {
        // Two letters and a small number may also be fields of a graph.
        Sniffed::Decodable(Format::Bmp) => None,
        Sniffed::Decodable(format) => Some(match format {
            Format::Jpeg => "a JPEG",
            Format::Png => "a PNG",
            Format::WebP => "a WebP",
            Format::Gif => "a GIF",
            Format::Bmp => "a BMP",
            Format::Tiff => "a TIFF",
            Format::Avif => "an AVIF",
        }),
        Sniffed::Other(other) if other == UNKNOWN || other.name == TEXT => None,
        Sniffed::Other(other) => Some(other.name),
    }
}

/// AVIF, HEIC and videos share a container; the brands at its start distinguish them.
fn has_brand(bytes: &[u8], brands: &[&[u8; 4]]) -> bool {
    let length = bytes.get(..4).map_or(0, |size| u32::from_be_bytes([size[0], size[1], size[2], size[3]]));
    let end = bytes.len().min(length.clamp(12, 256) as usize);
    let listed = bytes.get(8..end).unwrap_or_default();
    bytes.get(4..8) == Some(b"ftyp") && listed.chunks_exact(4).any(|brand| brands.iter().any(|b| *b == brand))
}

/// "BM" alone could start a text; the size of the second header decides.
fn is_bmp(bytes: &[u8]) -> bool {
    let header = bytes.get(14..18).map(|size| u32::from_le_bytes([size[0], size[1], size[2], size[3]]));
    bytes.starts_with(b"BM") && header.is_some_and(|size| (12..=256).contains(&size))
}

fn name_other(bytes: &[u8]) -> Other {
    for (signature, other) in OTHERS {
        if bytes.starts_with(signature) {
            return other;
        }
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return no_image("an ISO media file (a video?)");
    }
    match bytes {
        [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t', ..] => return image("a Netpbm picture"),
        [b'R', b'I', b'F', b'F', ..] => return no_image("a RIFF file that is not WebP"),
        [0xff, 0xd8] => return image("a JPEG of two bytes"),
        _ => {}
    }
    if bytes.iter().all(|&byte| byte == 0) {
        return no_image("nothing but zero bytes");
    }
    name_text(bytes)
}

fn name_text(bytes: &[u8]) -> Other {
    let head = &bytes[..bytes.len().min(512)];
    let head = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return UNKNOWN,
    };
    let head = head.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    if head.contains("<svg") {
        return SVG;
    }
    if head.starts_with("<!doctype html") || head.starts_with("<html") {
        return no_image("an HTML page");
    }
    if head.chars().any(|c| c.is_control() && !c.is_whitespace()) { UNKNOWN } else { no_image(TEXT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_of_what_is_decoded() {
        let bmp = [b"BM".as_slice(), &[0; 12], &40_u32.to_le_bytes()].concat();
        assert_eq!(sniff(&bmp), Sniffed::Decodable(Format::Bmp));
        assert_eq!(sniff(b"RIFF\0\0\0\0WEBPVP8 "), Sniffed::Decodable(Format::WebP));
        assert_eq!(sniff(b"\xff\xd8\xff\xe0"), Sniffed::Decodable(Format::Jpeg));
        assert_eq!(sniff(b"MM\0*"), Sniffed::Decodable(Format::Tiff));
        assert_eq!(sniff(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), Sniffed::Other(HEIC));
        assert_eq!(sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif"), Sniffed::Decodable(Format::Avif));
    }

    #[test]
    fn other_files_are_named() {
        let named = [
            (b"version https://git-lfs.github.com/spec/v1\n".as_slice(), "a Git LFS pointer"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC or HEIF"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "an ISO media file"),
            (b"\0\0\0\x0cftyp", "an ISO media file"),
            (b"<?xml version='1.0'?>\n<!-- x -->\n<svg>", "SVG"),
            (b"\xef\xbb\xbf <!DOCTYPE html>", "an HTML page"),
            (b"BM is how this text starts, and on it goes", "text"),
            ("schöne Grüße".as_bytes(), "text"),
            (b"\x80\x81\x82", "no known format"),
            (b"a\0b", "no known format"),
            (b"\0\0", "nothing but zero bytes"),
            (b"RIFF\0\0\0\0WAVE", "a RIFF file"),
            (b"P6\n1 1\n255\n", "a Netpbm picture"),
        ];
        for (bytes, name) in named {
            let Sniffed::Other(found) = sniff(bytes) else { panic!("{name} was taken for a picture") };
            assert!(found.name.starts_with(name), "{name} was called {}", found.name);
        }
    }

    #[test]
    fn every_short_prefix_has_a_name() {
        for length in 1..13 {
            for start in [b"\0\0\0\x1cftypmif1".as_slice(), b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"BM"]
            {
                sniff(&start[..length.min(start.len())]);
            }
        }
    }
}
