//! EXIF and XMP of a PNG, from any of its chunks.
//!
//! It exists because they may come after the pixels, when decoding has ended, and because ImageMagick and
//! GIMP write EXIF as hexadecimal text. It reads no more than a megabyte of either, and never fails: what it
//! can't read counts as none.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;

/// The longest block that is unpacked.
const LONGEST: u64 = 1 << 20;
/// The most texts that are unpacked.
const MOST_TEXTS: usize = 16;
const SIGNATURE: usize = 8;
/// How ImageMagick names EXIF.
const RAW_PROFILE: &[u8] = b"Raw profile type exif";
/// How Adobe names XMP.
const XMP: &[u8] = b"XML:com.adobe.xmp";

/// What was found.
#[derive(Default)]
pub(super) struct Metadata<'a> {
    pub(super) exif: Option<Cow<'a, [u8]>>,
    pub(super) xmp: Option<Cow<'a, [u8]>>,
}

/// How many chunks that a picture can do without come before its pixels, and their bytes; counting ends after
/// `most`.
pub(super) fn before_pixels(file: &[u8], most: usize) -> (usize, usize) {
    /// In the first letter of a chunk's name.
    const ANCILLARY: u8 = 0x20;
    let (mut chunks, mut bytes) = (0, 0);
    let mut rest = file.get(SIGNATURE..).unwrap_or_default();
    while chunks <= most
        && let Some((kind, content, after)) = next_chunk(rest)
    {
        rest = after;
        if matches!(&kind, b"IDAT" | b"IEND") {
            break;
        }
        if kind[0] & ANCILLARY != 0 {
            chunks += 1;
            bytes += content.len();
        }
    }
    (chunks, bytes)
}

/// Reads all chunks up to the end of `file`. A chunk of EXIF counts more than text, as in Pillow. Of texts,
/// each of which may take a megabyte to unpack, it reads the first few.
pub(super) fn read(file: &[u8]) -> Metadata<'_> {
    let mut found = Metadata::default();
    let (mut profile, mut texts) = (None, 0);
    let mut rest = file.get(SIGNATURE..).unwrap_or_default();
    while let Some((kind, content, after)) = next_chunk(rest) {
        rest = after;
        match &kind {
            b"eXIf" => found.exif = Some(Cow::Borrowed(content)),
            b"IEND" => break,
            b"tEXt" | b"zTXt" | b"iTXt" if texts < MOST_TEXTS && is_text_of_ours(content) => {
                texts += 1;
                if let Some(text) = text(kind, content, RAW_PROFILE) {
                    profile = from_hexadecimal(&text);
                }
                found.xmp = text(kind, content, XMP).or(found.xmp);
            }
            _ => {}
        }
    }
    found.exif = found.exif.or(profile.map(Cow::Owned));
    found
}

fn is_text_of_ours(content: &[u8]) -> bool {
    content.starts_with(RAW_PROFILE) || content.starts_with(XMP)
}

/// The name of the next chunk, its content, and what follows.
fn next_chunk(bytes: &[u8]) -> Option<([u8; 4], &[u8], &[u8])> {
    const CHECKSUM: usize = 4;
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let content = rest.get(..u32::from_be_bytes(*length) as usize)?;
    Some((*kind, content, rest.get(content.len() + CHECKSUM..).unwrap_or_default()))
}

/// The text of a chunk if it has this keyword.
fn text<'a>(kind: [u8; 4], content: &'a [u8], keyword: &[u8]) -> Option<Cow<'a, [u8]>> {
    let rest = content.strip_prefix(keyword)?.strip_prefix(&[0])?;
    match &kind {
        b"tEXt" => Some(Cow::Borrowed(rest)),
        b"zTXt" => inflate(rest.strip_prefix(&[0])?).map(Cow::Owned),
        _ => international(rest),
    }
}

/// iTXt: a flag, a method, a language and a translated keyword come first.
fn international(content: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (head, rest) = content.split_first_chunk::<2>()?;
    let rest = after_zero(after_zero(rest)?)?;
    if head[0] == 1 { inflate(rest).map(Cow::Owned) } else { Some(Cow::Borrowed(rest)) }
}

fn after_zero(bytes: &[u8]) -> Option<&[u8]> {
    let zero = bytes.iter().position(|&byte| byte == 0)?;
    Some(&bytes[zero + 1..])
}

fn inflate(compressed: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    ZlibDecoder::new(compressed).take(LONGEST).read_to_end(&mut text).ok()?;
    Some(text)
}

/// The third line and all that follow, in pairs of digits. The first is empty, then come a name and a length.
fn from_hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let lines = text.split(|&byte| byte == b'\n').skip(3);
    let digits: Vec<u8> = lines.flatten().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if digits.len() as u64 > LONGEST * 2 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|value| value as u8);
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32).to_be_bytes(), kind.as_slice(), content, &[0; 4]].concat()
    }

    fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
        [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat()].concat()
    }

    #[test]
    fn exif_is_found_behind_the_pixels() {
        let file = file(&[chunk(b"IHDR", &[0; 13]), chunk(b"IDAT", b"x"), chunk(b"eXIf", b"MM\0*")]);
        assert_eq!(read(&file).exif.as_deref(), Some(b"MM\0*".as_slice()));
    }

    #[test]
    fn a_profile_of_imagemagick_is_exif_in_digits() {
        let content = b"Raw profile type exif\0\nexif\n      10\n457869660000\n4d4d002a\n";
        let found = read(&file(&[chunk(b"tEXt", content)])).exif.map(Cow::into_owned);
        assert_eq!(found.as_deref(), Some(b"Exif\0\0MM\0*".as_slice()));
        let broken = b"Raw profile type exif\0\nexif\n      10\n45zz\n";
        assert!(read(&file(&[chunk(b"tEXt", broken)])).exif.is_none());
    }

    #[test]
    fn a_chunk_counts_more_than_text() {
        let text = chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 4\n4d4d002a\n");
        let file = file(&[chunk(b"eXIf", b"II*\0"), text]);
        assert_eq!(read(&file).exif.as_deref(), Some(b"II*\0".as_slice()));
    }

    #[test]
    fn of_many_texts_few_are_unpacked() {
        let xmp = |text: &str| chunk(b"iTXt", format!("XML:com.adobe.xmp\0\0\0\0\0{text}").as_bytes());
        let mut chunks = vec![xmp("first"); MOST_TEXTS - 1];
        chunks.push(chunk(b"tEXt", b"Title\0any number of others"));
        chunks.push(xmp("last"));
        assert_eq!(read(&file(&chunks)).xmp.as_deref(), Some(b"last".as_slice()));
        chunks.extend(vec![xmp("unread"); 100]);
        assert_eq!(read(&file(&chunks)).xmp.as_deref(), Some(b"last".as_slice()));
    }

    #[test]
    fn what_is_counted_stands_before_the_pixels_and_is_no_need_of_theirs() {
        let mut chunks = vec![chunk(b"IHDR", &[0; 13]), chunk(b"PLTE", &[0; 3]), chunk(b"tEXt", b"ab")];
        chunks.extend([chunk(b"IDAT", b"x"), chunk(b"tEXt", b"abc")]);
        assert_eq!(before_pixels(&file(&chunks), 10), (1, 2));
        let many = file(&vec![chunk(b"tEXt", b""); 1000]);
        assert_eq!(before_pixels(&many, 10), (11, 0), "counting ends early");
    }

    #[test]
    fn xmp_is_found_plain() {
        let file = file(&[chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>")]);
        assert_eq!(read(&file).xmp.as_deref(), Some(b"<x/>".as_slice()));
    }

    #[test]
    fn what_is_cut_off_counts_as_none() {
        let whole = file(&[chunk(b"eXIf", b"MM\0*")]);
        for length in 0..whole.len() - 4 {
            assert!(read(&whole[..length]).exif.is_none(), "cut to {length} bytes");
        }
    }
}
