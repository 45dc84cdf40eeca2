//! Small files that would take much time or memory: refused before they do.

use super::*;

/// `jpeg` with its last scan repeated this many times; a repeated scan refines existing pixels.
fn with_scans(jpeg: &[u8], times: usize) -> Vec<u8> {
    let scan = jpeg.windows(2).rposition(|pair| pair == [0xff, 0xda]).unwrap();
    let end = jpeg.len() - 2;
    assert_eq!(&jpeg[end..], [0xff, 0xd9]);
    [&jpeg[..end], &jpeg[scan..end].repeat(times), &jpeg[end..]].concat()
}

#[test]
fn a_jpeg_of_many_scans_is_refused_by_what_they_cost_and_not_by_their_number() {
    let mut many = with_scans(&progressive_jpeg(&gradient(64, 64, 1)), 150);
    assert!(decode_plain(&many).is_ok(), "small pictures may have many");
    // 12 megapixels in 20 kB, of which a decoder would do each 150 times.
    claim(&mut many, 4000, 3000);
    let (cause, detail) = refused(&many);
    assert_eq!(cause, Cause::JpegVariant);
    assert_eq!(detail, "its scans code 1512000000 samples or more, the limit is 1500000000");
    // The largest progressive picture that fits in memory costs less.
    let mut large = progressive_jpeg(&gradient(64, 64, 1));
    claim(&mut large, 13_000, 13_000);
    assert_ne!(refused(&large).0, Cause::JpegVariant);
}

#[test]
fn streams_of_a_tiff_may_cost_together_what_one_picture_may() {
    let many = with_scans(&progressive_jpeg(&gradient(64, 64, 1)), 150);
    let mut file = jpeg_in_tiff(&many);
    // As if the picture had 31,250 strips of that kind, of which the file has one.
    let height = file.windows(4).position(|entry| entry == [1, 1, 3, 0]).unwrap();
    file[height + 2] = 4;
    file[height + 8..height + 12].copy_from_slice(&2_000_000_u32.to_le_bytes());
    let (cause, detail) = refused(&file);
    assert_eq!(cause, Cause::TiffVariant);
    assert!(detail.starts_with("its scans code"), "{detail}");
    assert!(decode_plain(&jpeg_in_tiff(&many)).is_ok());
}

#[test]
fn arithmetic_coding_is_refused_by_name() {
    for (huffman, arithmetic) in [(0xc0, 0xc9), (0xc2, 0xca)] {
        let mut file =
            if huffman == 0xc0 { jpeg(&gradient(16, 16, 3)) } else { progressive_jpeg(&gradient(16, 16, 3)) };
        let frame = file.windows(2).position(|pair| pair == [0xff, huffman]).unwrap();
        file[frame + 1] = arithmetic;
        assert_eq!(refused(&file).0, Cause::JpegArithmetic);
        let mut gray =
            if huffman == 0xc0 { jpeg(&gradient(64, 64, 1)) } else { progressive_jpeg(&gradient(64, 64, 1)) };
        let frame = gray.windows(2).position(|pair| pair == [0xff, huffman]).unwrap();
        gray[frame + 1] = arithmetic;
        assert_eq!(
            refused(&jpeg_in_tiff(&gray)),
            (Cause::TiffVariant, "a JPEG with arithmetic coding inside of the TIFF".to_owned())
        );
    }
}

/// A PNG with these chunks before its pixels.
fn png_with(kind: &[u8; 4], content: &[u8], times: usize) -> Vec<u8> {
    const HEADER: usize = 8 + 25;
    let plain = encode(&dynamic(&gradient(8, 8, 3)), ImageFormat::Png);
    let named = [kind.as_slice(), content].concat();
    let mut checksum = flate2::Crc::new();
    checksum.update(&named);
    let chunk =
        [(content.len() as u32).to_be_bytes().as_slice(), &named, &checksum.sum().to_be_bytes()].concat();
    [&plain[..HEADER], &chunk.repeat(times), &plain[HEADER..]].concat()
}

#[test]
fn chunks_of_a_png_are_counted_before_the_decoder_keeps_them() {
    assert!(decode_plain(&png_with(b"tEXt", b"a\0", 1000)).is_ok());
    for kind in [b"tEXt", b"zTXt", b"iTXt", b"prVt"] {
        let (cause, detail) = refused(&png_with(kind, b"a\0", 5_000_000));
        assert_eq!(cause, Cause::TooMuchMemory);
        assert_eq!(detail, "1001 chunks of 2002 bytes before the pixels, the limits are 1000 and 8388608");
    }
    let large = vec![b'a'; 1 << 20];
    assert!(decode_plain(&png_with(b"prVt", &large, 8)).is_ok());
    assert_eq!(refused(&png_with(b"prVt", &large, 9)).0, Cause::TooMuchMemory);
}
