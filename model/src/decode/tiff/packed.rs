//! A chunk of a TIFF as stored to its bytes unpacked, whatever packed them; JPEG has a module of its own.
//!
//! It never writes more than the directory's sizes allow, and a chunk that is too short is an error.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;
use tagfleet_pipeline::tags::{Cause, Failure};
use weezl::{BitOrder, LzwStatus};

use super::super::failure;
use super::fax;
use super::layout::{Compression, Layout, Stored, unsupported};

/// The most memory of a Zstandard stream's window, as a power of two.
const ZSTD_WINDOW: u32 = 23;

/// The bytes of one chunk, `length` of them.
pub(super) fn unpack<'a>(
    stored: &Stored<'a>,
    layout: &Layout<'_>,
    length: usize,
) -> Result<Cow<'a, [u8]>, Failure> {
    if layout.compression == Compression::None {
        // Some writers state too few bytes.
        let bytes = stored.rest.get(..length).ok_or_else(cut)?;
        return Ok(if layout.is_reversed { reversed(bytes).into() } else { bytes.into() });
    }
    let bytes = if layout.is_reversed { Cow::Owned(reversed(stored.bytes)) } else { stored.bytes.into() };
    let mut out = vec![0; length];
    match layout.compression {
        Compression::Lzw => unpack_lzw(&bytes, &mut out)?,
        Compression::Deflate => fill(ZlibDecoder::new(bytes.as_ref()), &mut out)?,
        Compression::PackBits => unpack_bits(&bytes, &mut out)?,
        Compression::Zstd => unpack_zstd(&bytes, &mut out)?,
        kind if kind.is_fax() => {
            let rows = length / layout.row_bytes().max(1);
            let found = fax::decode(&bytes, kind, layout.chunks.width, &mut out);
            if found * 2 < rows {
                return Err(cut());
            }
        }
        _ => return Err(unsupported("this compression")),
    }
    Ok(out.into())
}

fn cut() -> Failure {
    failure(Cause::Damaged, "the pixels are cut off")
}

fn damaged() -> Failure {
    failure(Cause::Damaged, "the compressed pixels are damaged")
}

fn reversed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte.reverse_bits()).collect()
}

fn unpack_lzw(mut bytes: &[u8], mut out: &mut [u8]) -> Result<(), Failure> {
    // Before TIFF 5.0 codes had their bits in the other order; such a stream starts with the clear code's low
    // bits.
    let is_old = matches!(bytes, [0, second, ..] if second & 1 == 1);
    let mut decoder = if is_old {
        weezl::decode::Decoder::new(BitOrder::Lsb, 8)
    } else {
        weezl::decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8)
    };
    while !out.is_empty() {
        let result = decoder.decode_bytes(bytes, out);
        bytes = &bytes[result.consumed_in..];
        out = &mut out[result.consumed_out..];
        match result.status {
            Ok(LzwStatus::Ok) if result.consumed_in + result.consumed_out > 0 => {}
            Ok(_) if out.is_empty() => {}
            Ok(_) => return Err(cut()),
            Err(_) => return Err(damaged()),
        }
    }
    Ok(())
}

fn fill(mut stream: impl Read, mut out: &mut [u8]) -> Result<(), Failure> {
    while !out.is_empty() {
        match stream.read(out) {
            Ok(0) => return Err(cut()),
            Ok(length) => out = &mut out[length..],
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(cut()),
            Err(_) => return Err(damaged()),
        }
    }
    Ok(())
}

fn unpack_zstd(bytes: &[u8], out: &mut [u8]) -> Result<(), Failure> {
    let mut stream = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|_| damaged())?;
    stream.window_log_max(ZSTD_WINDOW).map_err(|_| damaged())?;
    fill(stream, out)
}

/// Apple's run lengths: a count of literal bytes, or a negative count of one byte.
fn unpack_bits(mut bytes: &[u8], mut out: &mut [u8]) -> Result<(), Failure> {
    while !out.is_empty() {
        let (&count, rest) = bytes.split_first().ok_or_else(cut)?;
        bytes = rest;
        match i8::from_ne_bytes([count]) {
            -128 => {}
            count @ 0.. => {
                let length = count as usize + 1;
                let literal = bytes.get(..length).ok_or_else(cut)?;
                bytes = &bytes[length..];
                let fits = length.min(out.len());
                out[..fits].copy_from_slice(&literal[..fits]);
                out = &mut out[fits..];
            }
            count => {
                let (&value, rest) = bytes.split_first().ok_or_else(cut)?;
                bytes = rest;
                let fits = (1 + usize::from(count.unsigned_abs())).min(out.len());
                out[..fits].fill(value);
                out = &mut out[fits..];
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_literals() {
        // The example of Apple's technical note 1023.
        let packed =
            [0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7, 0xaa];
        let mut out = [0; 24];
        unpack_bits(&packed, &mut out).unwrap();
        let expected = [
            0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0x22, 0xaa, 0xaa,
            0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        ];
        assert_eq!(out, expected);
        assert_eq!(unpack_bits(&packed[..14], &mut out).err().unwrap().cause, Cause::Damaged);
    }
}
