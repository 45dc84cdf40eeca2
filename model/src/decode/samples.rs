//! Small pictures and files that the tests of decoding make for themselves.
//!
//! Nothing here is read from disk, so the tests need no data.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, RgbImage};

use crate::pixels::Pixels;

/// A smooth picture in which every corner looks different.
pub(super) fn gradient(width: u32, height: u32, channels: u8) -> Pixels {
    let mut data = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for channel in 0..u32::from(channels) {
                let (across, down) = (x * 140 / width, y * 60 / height);
                data.push((across + down + channel * 20) as u8);
            }
        }
    }
    Pixels { width, height, channels, data }
}

fn compress(pixels: &Pixels, progressive: bool) -> Vec<u8> {
    let format =
        if pixels.channels == 3 { turbojpeg::PixelFormat::RGB } else { turbojpeg::PixelFormat::GRAY };
    let width = pixels.width as usize;
    let pitch = width * usize::from(pixels.channels);
    let height = pixels.height as usize;
    let image = turbojpeg::Image { pixels: pixels.data.as_slice(), width, pitch, height, format };
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_quality(90).unwrap();
    compressor.set_progressive(progressive).unwrap();
    if pixels.channels == 1 {
        compressor.set_subsamp(turbojpeg::Subsamp::Gray).unwrap();
    }
    compressor.compress_to_vec(image).unwrap()
}

/// A baseline JPEG.
pub(super) fn jpeg(pixels: &Pixels) -> Vec<u8> {
    compress(pixels, false)
}

/// A progressive JPEG.
pub(super) fn progressive_jpeg(pixels: &Pixels) -> Vec<u8> {
    compress(pixels, true)
}

/// A CMYK picture of one colour as Adobe's encoders write it: YCCK, inverted.
pub(super) fn cmyk_jpeg(width: usize, height: usize, stored: [u8; 4]) -> Vec<u8> {
    let pixels = stored.repeat(width * height);
    let format = turbojpeg::PixelFormat::CMYK;
    let image = turbojpeg::Image { pixels: pixels.as_slice(), width, pitch: width * 4, height, format };
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_quality(100).unwrap();
    compressor.set_subsamp(turbojpeg::Subsamp::None).unwrap();
    compressor.compress_to_vec(image).unwrap()
}

/// `image` encoded by the `image` crate.
pub(super) fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// The picture as the `image` crate has it.
pub(super) fn dynamic(pixels: &Pixels) -> DynamicImage {
    RgbImage::from_raw(pixels.width, pixels.height, pixels.data.clone()).unwrap().into()
}

/// One valid file of every format and kind that matters.
pub(super) fn one_of_each() -> Vec<(&'static str, Vec<u8>)> {
    let (color, gray) = (gradient(24, 16, 3), gradient(24, 16, 1));
    let image = dynamic(&color);
    let alpha = DynamicImage::ImageRgba8(image.to_rgba8());
    vec![
        ("jpeg", jpeg(&color)),
        ("progressive jpeg", progressive_jpeg(&color)),
        ("gray jpeg", jpeg(&gray)),
        ("turned jpeg", insert_exif(&jpeg(&color), 6)),
        ("cmyk jpeg", cmyk_jpeg(16, 8, [10, 100, 200, 128])),
        ("png", encode(&image, ImageFormat::Png)),
        ("png with alpha", encode(&alpha, ImageFormat::Png)),
        ("16-bit png", encode(&DynamicImage::ImageRgb16(image.to_rgb16()), ImageFormat::Png)),
        ("webp", encode(&image, ImageFormat::WebP)),
        ("webp with alpha", encode(&alpha, ImageFormat::WebP)),
        ("gif", encode(&image, ImageFormat::Gif)),
        ("bmp", encode(&image, ImageFormat::Bmp)),
        ("tiff", encode(&image, ImageFormat::Tiff)),
    ]
    .into_iter()
    .chain(committed().into_iter().map(|(name, bytes)| (name, bytes.to_vec())))
    .collect()
}

/// Files of other makers, one for each way through the decoders.
fn committed() -> [(&'static str, &'static [u8]); 24] {
    [
        ("bmp with masks", include_bytes!("../../testdata/pictures/bmp_v5_alpha.bmp")),
        ("bmp of os/2", include_bytes!("../../testdata/pictures/bmp_os2_8.bmp")),
        ("bmp of runs of bytes", include_bytes!("../../testdata/pictures/bmp_rle8.bmp")),
        ("bmp of runs of half bytes", include_bytes!("../../testdata/pictures/bmp_rle4.bmp")),
        ("interlaced png", include_bytes!("../../testdata/pictures/png_interlaced.png")),
        ("png with a profile", include_bytes!("../../testdata/pictures/png_profile_ztxt_behind.png")),
        ("gif beyond its canvas", include_bytes!("../../testdata/pictures/gif_frame_beyond_canvas.gif")),
        ("tiff with a palette", include_bytes!("../../testdata/pictures/tiff_palette_4_ii.tif")),
        ("tiff of shared chrominance", include_bytes!("../../testdata/pictures/tiff_ycbcr_22.tif")),
        ("tiff of planes in tiles", include_bytes!("../../testdata/pictures/tiff_tiled_planar_16.tif")),
        ("bigtiff", include_bytes!("../../testdata/pictures/tiff_big_mm.tif")),
        ("tiff of group 3", include_bytes!("../../testdata/pictures/tiff_pillow_group3.tif")),
        (
            "tiff of group 3 in two dimensions",
            include_bytes!("../../testdata/pictures/tiff_pillow_group3_2d.tif"),
        ),
        ("tiff of group 4", include_bytes!("../../testdata/pictures/tiff_pillow_group4.tif")),
        ("tiff of ccitt's first code", include_bytes!("../../testdata/pictures/tiff_pillow_tiff_ccitt.tif")),
        ("tiff of packed bits", include_bytes!("../../testdata/pictures/tiff_pillow_packbits.tif")),
        ("tiff of floats", include_bytes!("../../testdata/pictures/tiff_tifffile_float.tif")),
        ("tiff of zstandard", include_bytes!("../../testdata/pictures/tiff_tifffile_zstd.tif")),
        ("tiff of jpeg tiles", include_bytes!("../../testdata/pictures/tiff_tifffile_jpeg_tiles.tif")),
        ("tiff of an old jpeg", include_bytes!("../../testdata/pictures/tiff_old_jpeg.tif")),
        ("avif", include_bytes!("../../testdata/pictures/avif_420_full.avif")),
        ("avif of ten bits", include_bytes!("../../testdata/pictures/avif_10_422_709.avif")),
        ("avif with alpha", include_bytes!("../../testdata/pictures/avif_rgba_premultiplied.avif")),
        ("avif of tiles", include_bytes!("../../testdata/pictures/avif_grid.avif")),
    ]
}

/// A little-endian TIFF that is one directory of these tags, kinds and values.
pub(super) fn tiff_directory(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file
}

/// A gray TIFF of 64x64 pixels, whose one strip is `jpeg`.
pub(super) fn jpeg_in_tiff(jpeg: &[u8]) -> Vec<u8> {
    let entries = |start: u32| {
        let size = [(256, 3, 64), (257, 3, 64), (258, 3, 8), (259, 3, 7), (262, 3, 1)];
        let strip = [(273, 4, start), (277, 3, 1), (278, 3, 64), (279, 4, jpeg.len() as u32)];
        tiff_directory(&[size.as_slice(), &strip].concat())
    };
    let start = entries(0).len() as u32;
    [entries(start).as_slice(), jpeg].concat()
}

/// EXIF that holds an orientation and nothing else.
pub(super) fn exif_block(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0]);
    block
}

/// The JPEG with an EXIF segment after its first marker.
pub(super) fn insert_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let segment = [b"Exif\0\0".as_slice(), &exif_block(orientation)].concat();
    let length = (segment.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &segment, &jpeg[2..]].concat()
}
