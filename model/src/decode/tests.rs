//! Decoding whole files: every format, every limit, damage of every kind.

use std::cell::RefCell;
use std::sync::{Arc, Once};

use image::{DynamicImage, GrayAlphaImage, ImageBuffer, ImageFormat, Luma, RgbaImage};
use proptest::prelude::*;

use super::samples::{
    cmyk_jpeg, dynamic, encode, exif_block, gradient, insert_exif, jpeg, jpeg_in_tiff, one_of_each,
    progressive_jpeg, tiff_directory,
};
use tagfleet_pipeline::tags::Reason;

use super::*;

mod costly;

fn no_resizing(_: &Grid, _: u8) -> u64 {
    0
}

fn decode_plain(bytes: &[u8]) -> Result<Decoded, Failure> {
    decode_within(bytes, &Limits::default())
}

fn decode_within(bytes: &[u8], limits: &Limits) -> Result<Decoded, Failure> {
    decode(bytes, limits, &PixelBudget::new(limits.max_memory), true, &no_resizing)
}

fn refused(bytes: &[u8]) -> (Cause, String) {
    let Err(failure) = decode_plain(bytes) else { panic!("these bytes were decoded") };
    (failure.cause, failure.detail.into())
}

fn worst(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[test]
fn every_format_is_decoded_and_gives_its_memory_back() {
    for (name, bytes) in one_of_each() {
        let budget = PixelBudget::new(1 << 29);
        let decoded = decode(&bytes, &Limits::default(), &budget, true, &no_resizing)
            .unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let pixels = &decoded.pixels;
        let samples = pixels.width as usize * pixels.height as usize * usize::from(pixels.channels);
        assert_eq!(pixels.data.len(), samples, "{name}");
        assert!(!decoded.second_decoder, "{name}");
        assert_eq!(
            decoded.memory.bytes(),
            pixels.data.capacity() as u64,
            "{name} holds more than its pixels"
        );
        drop(decoded);
        assert_eq!(budget.free(), budget.total(), "{name}");
    }
}

#[test]
fn lossless_formats_keep_every_sample() {
    let picture = gradient(31, 17, 3);
    let formats = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff];
    for format in formats {
        let decoded = decode_plain(&encode(&dynamic(&picture), format)).unwrap();
        assert!(decoded.pixels == picture, "{format:?}");
    }
}

#[test]
fn jpegs_are_close_to_their_source() {
    for channels in [1, 3] {
        let picture = gradient(48, 32, channels);
        for bytes in [jpeg(&picture), progressive_jpeg(&picture)] {
            let decoded = decode_plain(&bytes).unwrap();
            assert_eq!(decoded.pixels.channels, channels);
            assert!(worst(&decoded.pixels.data, &picture.data) < 25);
        }
    }
}

#[test]
fn ycck_is_inverted_and_becomes_rgb() {
    let decoded = decode_plain(&cmyk_jpeg(16, 8, [10, 100, 200, 128])).unwrap();
    assert_eq!(decoded.pixels.channels, 3);
    assert!(worst(&decoded.pixels.data, &[5, 50, 100].repeat(16 * 8)) <= 3);
}

#[test]
fn alpha_is_laid_over_white() {
    let half = RgbaImage::from_pixel(2, 1, image::Rgba([0, 100, 200, 128]));
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let decoded = decode_plain(&encode(&DynamicImage::ImageRgba8(half.clone()), format)).unwrap();
        assert_eq!(decoded.pixels.data, [127, 177, 227, 127, 177, 227], "{format:?}");
    }
    let clear = RgbaImage::from_pixel(2, 1, image::Rgba([9, 9, 9, 0]));
    let decoded = decode_plain(&encode(&DynamicImage::ImageRgba8(clear), ImageFormat::Gif)).unwrap();
    assert_eq!(decoded.pixels.data, [255; 6]);
    let gray = GrayAlphaImage::from_pixel(1, 1, image::LumaA([0, 128]));
    let decoded = decode_plain(&encode(&DynamicImage::ImageLumaA8(gray), ImageFormat::Png)).unwrap();
    assert_eq!((decoded.pixels.channels, decoded.pixels.data), (1, vec![127]));
}

#[test]
fn sixteen_bits_keep_the_high_byte() {
    let deep: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(1, 1, Luma([0x12ff]));
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        let decoded = decode_plain(&encode(&DynamicImage::ImageLuma16(deep.clone()), format)).unwrap();
        assert_eq!((decoded.pixels.channels, decoded.pixels.data), (1, vec![0x12]), "{format:?}");
    }
}

#[test]
fn orientation_is_applied_unless_switched_off() {
    let upright = decode_plain(&jpeg(&gradient(24, 16, 3))).unwrap().pixels;
    for value in 1..=8 {
        let bytes = insert_exif(&jpeg(&gradient(24, 16, 3)), value);
        let expected = orient::apply(upright.clone(), Orientation::from_exif(value).unwrap());
        assert!(decode_plain(&bytes).unwrap().pixels == expected, "orientation {value}");
        let off =
            decode(&bytes, &Limits::default(), &PixelBudget::new(1 << 29), false, &no_resizing).unwrap();
        assert!(off.pixels == upright, "orientation {value}, switched off");
    }
}

#[test]
fn exif_of_a_webp_is_found_between_other_chunks() {
    let picture = encode(&dynamic(&gradient(24, 16, 3)), ImageFormat::WebP);
    let chunk = |name: &[u8], contents: &[u8]| {
        let padding = vec![0; contents.len() % 2];
        [name, &(contents.len() as u32).to_le_bytes(), contents, &padding].concat()
    };
    let exif = chunk(b"EXIF", &exif_block(6));
    let file = [picture.as_slice(), &chunk(b"odd ", &[1, 2, 3]), &exif].concat();
    let pixels = decode_plain(&file).unwrap().pixels;
    assert_eq!((pixels.width, pixels.height), (16, 24));
    let huge = chunk(b"EXIF", &[exif_block(6), vec![0; 2 << 20]].concat());
    let pixels = decode_plain(&[picture, huge].concat()).unwrap().pixels;
    assert_eq!((pixels.width, pixels.height), (24, 16), "far too long to be metadata");
}

#[test]
fn no_bytes_and_too_many_bytes() {
    assert_eq!(refused(&[]), (Cause::Empty, String::new()));
    let limits = Limits { max_bytes: 100, ..Limits::default() };
    let failure = decode_within(&jpeg(&gradient(64, 64, 3)), &limits).err().unwrap();
    assert_eq!(failure.cause, Cause::TooLarge);
    assert!(failure.to_string().ends_with("bytes, the limit is 100"), "{failure}");
}

/// Sets the size that a JPEG's frame header claims.
fn claim(jpeg: &mut [u8], width: u16, height: u16) {
    let frame = jpeg.windows(2).position(|pair| matches!(pair, [0xff, 0xc0 | 0xc2])).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
}

#[test]
fn a_bomb_is_refused_before_it_takes_memory() {
    let mut bomb = jpeg(&gradient(64, 64, 3));
    claim(&mut bomb, 64250, 64250);
    let budget = PixelBudget::new(512 << 20);
    let failure = decode(&bomb, &Limits::default(), &budget, true, &no_resizing).err().unwrap();
    insta::assert_snapshot!(failure, @"larger than the limit of 179 megapixels: 64250x64250 is 4128062500 pixels, the limit is 178956970");
}

#[test]
fn resizing_counts_as_memory_and_is_held() {
    let bytes = insert_exif(&jpeg(&gradient(24, 16, 3)), 6);
    let budget = PixelBudget::new(4 << 20);
    let resizing = |grid: &Grid, channels: u8| {
        let Size { height, width } = grid.samples();
        assert_eq!((width, height, channels), (16, 24, 3), "the picture as shown");
        3 << 20
    };
    let decoded = decode(&bytes, &Limits::default(), &budget, true, &resizing).unwrap();
    assert_eq!(decoded.memory.bytes(), decoded.pixels.data.capacity() as u64 + (3 << 20));
    drop(decoded);
    assert_eq!(budget.free(), budget.total());
    let failure =
        decode(&bytes, &Limits::default(), &budget, true, &|_: &Grid, _: u8| 4 << 20).err().unwrap();
    insta::assert_snapshot!(failure, @"needs more memory than the limit of 512 MiB: 24x16 needs 4195456 bytes to decode and resize, the limit is 4194304");
}

#[test]
fn a_jpeg_inside_of_a_tiff_is_no_larger_than_its_strip() {
    let mut inner = jpeg(&gradient(64, 64, 1));
    let decoded = decode_plain(&jpeg_in_tiff(&inner)).unwrap();
    assert!(decoded.pixels == decode_plain(&inner).unwrap().pixels);
    claim(&mut inner, 16000, 16000);
    let expected = "a JPEG inside of the TIFF is larger than its strip or tile".to_owned();
    assert_eq!(refused(&jpeg_in_tiff(&inner)), (Cause::TiffVariant, expected));
}

#[test]
fn a_wrong_number_of_bits_is_named() {
    let mut file = jpeg_in_tiff(&jpeg(&gradient(64, 64, 1)));
    // The value of the third entry, and the compression of the fourth.
    file[8 + 2 + 2 * 12 + 8..][..2].copy_from_slice(&60_000_u16.to_le_bytes());
    file[8 + 2 + 3 * 12 + 8] = 1;
    let expected = "samples of 60000 bits".to_owned();
    assert_eq!(refused(&file), (Cause::TiffVariant, expected));
}

#[test]
fn strips_that_share_their_bytes_are_not_unpacked_again_and_again() {
    let pixels = [0; 4];
    let strips = 1000_u32;
    let entries = |start: u32| {
        let size = [(256, 3, 1), (257, 4, strips), (258, 3, 8), (259, 3, 8), (262, 3, 1)];
        let strip = [(273, 4, start), (278, 3, 1)];
        tiff_directory(&[size.as_slice(), &strip].concat())
    };
    let start = entries(0).len() as u32;
    let places = vec![8_u32.to_le_bytes(); strips as usize].concat();
    let mut file = [entries(start).as_slice(), &places, &pixels].concat();
    file[8 + 2 + 5 * 12 + 4..][..4].copy_from_slice(&strips.to_le_bytes());
    let expected = "strips or tiles that share their bytes".to_owned();
    assert_eq!(refused(&file), (Cause::TiffVariant, expected));
}

#[test]
fn heic_says_what_to_do() {
    let failure = decode_plain(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").err().unwrap();
    assert_eq!(failure.reason(), Reason::UnsupportedFormat);
    insta::assert_snapshot!(failure, @"HEIC is not supported; convert it to JPEG, PNG or WebP: looks like HEIC or HEIF");
}

#[test]
fn coefficients_of_progressive_jpegs_count_as_memory() {
    let claimed = |mut bytes: Vec<u8>| {
        claim(&mut bytes, 1000, 1000);
        decode_within(&bytes, &Limits { max_memory: 5 << 20, ..Limits::default() }).err().unwrap()
    };
    assert_eq!(claimed(progressive_jpeg(&gradient(64, 64, 3))).cause, Cause::TooMuchMemory);
    assert_eq!(
        claimed(jpeg(&gradient(64, 64, 3))).cause,
        Cause::JpegDamaged,
        "fits, but its rows are missing"
    );
}

#[test]
fn every_format_respects_the_limits() {
    for (name, bytes) in one_of_each() {
        let few_pixels = Limits { max_pixels: 100, ..Limits::default() };
        let little_memory = Limits { max_memory: 100, ..Limits::default() };
        for limits in [few_pixels, little_memory] {
            let failure =
                decode_within(&bytes, &limits).err().unwrap_or_else(|| panic!("{name} was decoded"));
            assert_eq!(failure.reason(), Reason::TooManyPixels, "{name}: {failure}");
        }
    }
}

#[test]
fn a_cut_jpeg_is_a_picture_while_half_of_it_is_there() {
    let mut noise = gradient(64, 256, 3);
    for (sample, noise) in noise.data.iter_mut().zip(crate::testing::noise(7)) {
        *sample = sample.wrapping_add(noise >> 2);
    }
    let whole = jpeg(&noise);
    assert!(decode_plain(&whole[..whole.len() * 8 / 10]).is_ok());
    let (cause, detail) = refused(&whole[..whole.len() * 3 / 10]);
    assert_eq!(cause, Cause::JpegTruncated);
    assert!(detail.starts_with("only ") && detail.ends_with(" of 256 rows can be read"), "{detail}");
}

#[test]
fn harmless_damage_is_no_reason_to_refuse() {
    let whole = jpeg(&gradient(64, 64, 3));
    let clean = decode_plain(&whole).unwrap();
    // Junk between two segments: libjpeg skips it with a warning.
    let junk = [&whole[..20], b"junk", &whole[20..]].concat();
    let decoded = decode_plain(&junk).unwrap();
    assert!(decoded.pixels == clean.pixels);
    assert!(!decoded.second_decoder);
}

#[test]
fn jpegs_that_no_decoder_reads_are_named() {
    let mut deep = jpeg(&gradient(8, 8, 1));
    let frame = deep.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    deep[frame + 1] = 0xc1;
    deep[frame + 4] = 12;
    let expected = "a JPEG of 12 bits per sample".to_owned();
    assert_eq!(refused(&deep), (Cause::JpegVariant, expected));
}

#[test]
fn what_is_no_picture_is_named() {
    let pointer = refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    assert_eq!(pointer, (Cause::LfsPointer, "looks like a Git LFS pointer".to_owned()));
}

#[test]
fn messages_quote_nothing_of_a_file() {
    let made = failure(Reason::Corrupt, "Bad\nchunk Chunk { type: \u{9}é } \u{1b}[31m\0 ü");
    insta::assert_snapshot!(made, @"the image is damaged or truncated: Bad chunk unknown [31m");
    assert!(failure(Reason::Corrupt, "x".repeat(5000)).detail.text().unwrap().len() <= 200);
}

#[test]
fn messages_name_the_limits() {
    let limits = Limits::default();
    for (cause, limit) in [
        (Cause::TooLarge, format!("{} MiB", limits.max_bytes >> 20)),
        (Cause::TooManyPixels, format!("{:.0} megapixels", limits.max_pixels as f64 / 1e6)),
        (Cause::TooMuchMemory, format!("{} MiB", limits.max_memory >> 20)),
    ] {
        assert!(cause.message().ends_with(&format!("the limit of {limit}")), "{limit}");
    }
}

#[test]
fn a_panic_becomes_a_row_and_gives_its_memory_back() {
    let budget = PixelBudget::new(10);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let made: Result<(), Failure> = contain(|| {
        let _held = budget.acquire(10);
        panic!("a bug in a decoder");
    });
    std::panic::set_hook(hook);
    assert_eq!(made.err().unwrap().cause, Cause::Damaged);
    assert_eq!(budget.free(), 10);
}

thread_local! {
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Notes the source line of every panic.
fn remember_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED_AT.set(info.location().map(ToString::to_string).unwrap_or_default());
            previous(info);
        }));
    });
}

#[test]
fn panics_of_our_own_are_told_apart() {
    remember_panics();
    let made: Result<(), Failure> = contain(|| panic!("a bug of ours"));
    assert!(made.is_err());
    let place = PANICKED_AT.take();
    assert!(place.contains("model/src"), "{place}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1200, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(
        which in any::<prop::sample::Index>(),
        cut in prop::option::of(0.0_f64..1.0),
        flips in prop::collection::vec((0.0_f64..1.0, any::<u8>()), 0..8),
    ) {
        let mut files = one_of_each();
        let (_, mut bytes) = files.swap_remove(which.index(files.len()));
        for (place, value) in flips {
            let index = (place * bytes.len() as f64) as usize;
            bytes[index] = value;
        }
        if let Some(share) = cut {
            bytes.truncate((share * bytes.len() as f64) as usize);
        }
        let limits = Limits { max_memory: 64 << 20, ..Limits::default() };
        let budget = PixelBudget::new(limits.max_memory);
        remember_panics();
        match decode(&bytes, &limits, &Arc::clone(&budget), true, &no_resizing) {
            Ok(decoded) => {
                let pixels = &decoded.pixels;
                let samples = pixels.width as usize * pixels.height as usize * usize::from(pixels.channels);
                prop_assert_eq!(pixels.data.len(), samples);
            }
            Err(failure) => {
                prop_assert!(failure.to_string().chars().all(|c| (' '..='~').contains(&c)));
                // A library may panic, and be contained; our own code may not.
                let place = PANICKED_AT.take();
                prop_assert!(!place.contains("model/src"), "panicked at {place}");
            }
        }
        prop_assert_eq!(budget.free(), budget.total());
    }
}
