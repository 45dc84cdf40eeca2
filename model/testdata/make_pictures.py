"""Writes small pictures of many makers into the folder given, and what Pillow makes of each into its folder "expected".

    python make_pictures.py pictures

Needs Pillow 13 with libtiff and AVIF, numpy, tifffile and imagecodecs. The expected pixels are Pillow's: RGB, alpha laid over
white. If Pillow does not read a file, or reads it otherwise than its specification and browsers do, the expected pixels are
stated here, each with the reason. The files are committed, so that the tests need no Python.
"""
import io
import os
import struct
import sys
import zlib

import imagecodecs
import numpy as np
import PIL
import PIL.ImageOps
import tifffile
from PIL import Image

assert PIL.__version__.startswith("13."), PIL.__version__
OUT = sys.argv[1]
EXPECTED = os.path.join(OUT, "expected")
os.makedirs(EXPECTED, exist_ok=True)
W, H = 37, 23


def scene(width=W, height=H):
    """A smooth picture with hard edges, in which no two corners are alike."""
    y, x = np.mgrid[0:height, 0:width]
    r = 40 + 200 * x / width
    g = 30 + 210 * y / height
    b = 128 + 100 * np.sin(x / 5.0) * np.cos(y / 4.0)
    a = np.stack([r, g, b], -1)
    a[2:7, 3:12] = (250, 20, 30)
    a[10:16, 20:33] = (10, 20, 240)
    a[height - 5 :, : width // 2] = (250, 250, 5)
    return np.clip(a, 0, 255).astype(np.uint8)


RGB = scene()
PICTURE = Image.fromarray(RGB)
GRAY = np.asarray(PICTURE.convert("L"))
ALPHA = np.clip(np.mgrid[0:H, 0:W][1] * 9 - 30, 0, 255).astype(np.uint8)
RGBA = np.dstack([RGB, ALPHA])
PALETTED = PICTURE.quantize(200)


def over_white(image):
    """As the decoder defines it."""
    if image.mode in ("P", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA"):
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def save(name, data, expected=None):
    """Writes a file and what it should decode to: Pillow's reading unless `expected` is given."""
    if expected is None:
        expected = pillows(name, data)
    if expected is None:
        return
    with open(os.path.join(OUT, name), "wb") as file:
        file.write(data)
    if not isinstance(expected, Image.Image):
        expected = Image.fromarray(np.asarray(expected, np.uint8))
    expected.convert("RGB").save(os.path.join(EXPECTED, name + ".png"), optimize=True)


def pillows(name, data):
    """Pillow's reading; None, and a note, if it does not read the file."""
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, ValueError, RuntimeError) as error:
        print("not read by Pillow, left out:", name, error)
        return None
    image = PIL.ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode == "I":
        # The decoder keeps the high eight bits, which Pillow clips.
        return (np.asarray(image) >> 8).astype(np.uint8)
    return over_white(image)


def white(rgb, alpha):
    rgba = Image.fromarray(np.dstack([rgb, alpha]).astype(np.uint8), "RGBA")
    return over_white(rgba)


# BMP, byte by byte, because no writer makes all of them.

V5_TAIL = struct.pack("<I", 0x73524742) + bytes(36) + bytes(12) + struct.pack("<IIII", 4, 0, 0, 0)


def bmp_rows(array, bits, top_down=False):
    rows = array if top_down else array[::-1]
    stride = (W * bits + 31) // 32 * 4
    packed = []
    for row in rows:
        row = row.tobytes()
        packed.append(row + bytes(stride - len(row)))
    return b"".join(packed)


def bmp(bits, pixels, size=40, compression=0, masks=(), palette=b"", colors=0, height=H, offset=None):
    if size == 12:
        header = struct.pack("<IHHHH", 12, W, H, 1, bits)
    else:
        header = struct.pack("<IiiHHIIiiII", size, W, height, 1, bits, compression, len(pixels), 2835, 2835, colors, 0)
        extra = b"".join(struct.pack("<I", mask) for mask in masks)
        if size == 16:
            header = header[:16]
        elif size == 64:
            header += bytes(24)
        elif size > 40:
            room = size - 40
            tail = V5_TAIL if size == 124 else bytes(68)
            header += (extra.ljust(16, b"\0") + tail)[:room]
        else:
            header += extra
    start = 14 + len(header) + len(palette) if offset is None else offset
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + palette + pixels


def packed16(red, green, blue, alpha=None, alpha_bit=0):
    """Samples by bits, from the lowest: blue, green, red."""
    shift_g, shift_r = blue, blue + green
    value = (RGB[..., 2].astype(np.uint16) >> (8 - blue)) | ((RGB[..., 1].astype(np.uint16) >> (8 - green)) << shift_g)
    value |= (RGB[..., 0].astype(np.uint16) >> (8 - red)) << shift_r
    if alpha is not None:
        value |= (alpha > 127).astype(np.uint16) << alpha_bit
    return value.astype("<u2")


def five(value):
    return (value.astype(np.uint32) >> 3) * 255 // 31


def six(value):
    return (value.astype(np.uint32) >> 2) * 255 // 63


def bgra(alpha):
    return np.dstack([RGB[..., ::-1], np.broadcast_to(alpha, (H, W))]).astype(np.uint8)


MASKS8888 = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
MASKS1555 = (0x7C00, 0x3E0, 0x1F, 0x8000)
for size, name in ((56, "v3"), (108, "v4"), (124, "v5")):
    save(f"bmp_{name}_alpha_zero.bmp", bmp(32, bmp_rows(bgra(0), 32), size, 3, MASKS8888), RGB)
    save(f"bmp_{name}_alpha.bmp", bmp(32, bmp_rows(bgra(ALPHA), 32), size, 3, MASKS8888))
    one = five(RGB)
    data = bmp_rows(packed16(5, 5, 5, np.zeros((H, W)), 15), 16)
    save(f"bmp_{name}_1555_alpha_zero.bmp", bmp(16, data, size, 3, MASKS1555), one)
    data = bmp_rows(packed16(5, 5, 5, ALPHA, 15), 16)
    save(f"bmp_{name}_1555_alpha.bmp", bmp(16, data, size, 3, MASKS1555))
save("bmp_v5_one_pixel_opaque.bmp", bmp(32, bmp_rows(bgra(np.eye(H, W) * 255), 32), 124, 3, MASKS8888))
save("bmp_v5_alpha_unmasked.bmp", bmp(32, bmp_rows(bgra(ALPHA), 32), 124, 3, MASKS8888[:3]))
save("bmp_info_32.bmp", bmp(32, bmp_rows(bgra(0), 32)))
save("bmp_info_32_junk_in_alpha.bmp", bmp(32, bmp_rows(bgra(ALPHA), 32)))
save("bmp_info_masks_rgbx.bmp", bmp(32, bmp_rows(np.dstack([bgra(7)[..., 3:], bgra(7)[..., :3]]), 32), 40, 3, (0xFF000000, 0xFF0000, 0xFF00)))
save("bmp_v4_rgba_order.bmp", bmp(32, bmp_rows(RGBA, 32), 108, 3, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)))
save("bmp_565.bmp", bmp(16, bmp_rows(packed16(5, 6, 5), 16), 40, 3, (0xF800, 0x7E0, 0x1F)))
save("bmp_565_v5.bmp", bmp(16, bmp_rows(packed16(5, 6, 5), 16), 124, 3, (0xF800, 0x7E0, 0x1F, 0)))
save("bmp_555.bmp", bmp(16, bmp_rows(packed16(5, 5, 5), 16)))
save("bmp_555_masks.bmp", bmp(16, bmp_rows(packed16(5, 5, 5), 16), 40, 3, (0x7C00, 0x3E0, 0x1F)))
four = (RGB >> 4).astype(np.uint32)
data = bmp_rows((four[..., 2] | four[..., 1] << 4 | four[..., 0] << 8).astype("<u2"), 16)
save("bmp_444.bmp", bmp(16, data, 40, 3, (0xF00, 0xF0, 0xF)), four * 255 // 15)
ten = RGB.astype(np.uint32) * 1023 // 255
data = bmp_rows((ten[..., 2] | ten[..., 1] << 10 | ten[..., 0] << 20).astype("<u4"), 32)
save("bmp_10_10_10.bmp", bmp(32, data, 40, 3, (0x3FF00000, 0xFFC00, 0x3FF)), ten * 255 // 1023)
save("bmp_24.bmp", bmp(24, bmp_rows(RGB[..., ::-1], 24)))
save("bmp_24_top_down.bmp", bmp(24, bmp_rows(RGB[..., ::-1], 24, True), height=-H))
save("bmp_24_padding_missing.bmp", bmp(24, bmp_rows(RGB[..., ::-1], 24))[:-1])
save("bmp_os2_24.bmp", bmp(24, bmp_rows(RGB[..., ::-1], 24), 12))
save("bmp_os2_v2_24.bmp", bmp(24, bmp_rows(RGB[..., ::-1], 24), 64))
save("bmp_os2_v2_short.bmp", bmp(24, bmp_rows(RGB[..., ::-1], 24), 16), RGB)
save("bmp_no_offset.bmp", bmp(24, bmp_rows(RGB[..., ::-1], 24), offset=0))
index = np.asarray(PALETTED)
table = np.array(PALETTED.getpalette()[: 256 * 3], np.uint8)
table = np.resize(np.concatenate([table, np.zeros(768 - len(table), np.uint8)]), (256, 3))
quad = np.dstack([table[:, ::-1].reshape(256, 1, 3), np.zeros((256, 1, 1), np.uint8)]).tobytes()
triple = table[:, ::-1].tobytes()
save("bmp_8.bmp", bmp(8, bmp_rows(index, 8), palette=quad))
save("bmp_8_few_colors.bmp", bmp(8, bmp_rows(index, 8), palette=quad[: 200 * 4], colors=200))
save("bmp_8_top_down.bmp", bmp(8, bmp_rows(index, 8, True), palette=quad, height=-H))
save("bmp_os2_8.bmp", bmp(8, bmp_rows(index, 8), 12, palette=triple))
save("bmp_os2_v2_8.bmp", bmp(8, bmp_rows(index, 8), 64, palette=quad))
sixteen = PICTURE.quantize(16)
small = np.asarray(sixteen)
small_table = np.array(sixteen.getpalette()[:48], np.uint8).reshape(-1, 3)
small_quad = np.dstack([small_table[:, ::-1].reshape(16, 1, 3), np.zeros((16, 1, 1), np.uint8)]).tobytes()
even = np.pad(small, ((0, 0), (0, W % 2)))
nibbles = (even[:, 0::2] << 4 | even[:, 1::2]).astype(np.uint8)
save("bmp_4.bmp", bmp(4, bmp_rows(nibbles, 4), palette=small_quad))
save("bmp_os2_4.bmp", bmp(4, bmp_rows(nibbles, 4), 12, palette=small_table[:, ::-1].tobytes()))
bits1 = np.packbits(GRAY > 127, axis=1)
save("bmp_1.bmp", bmp(1, bmp_rows(bits1, 1), palette=bytes([10, 200, 30, 0, 250, 240, 90, 0])))
save("bmp_1_black_and_white.bmp", bmp(1, bmp_rows(bits1, 1), palette=bytes([0, 0, 0, 0, 255, 255, 255, 0])))
save("bmp_os2_1.bmp", bmp(1, bmp_rows(bits1, 1), 12, palette=bytes([10, 200, 30, 250, 240, 90])))


def rle8(array, top_down=False):
    out = bytearray()
    for row in array if top_down else array[::-1]:
        x = 0
        while x < W:
            run = 1
            while x + run < W and run < 255 and row[x + run] == row[x]:
                run += 1
            if run > 2 or W - x < 3:
                out += bytes([run, row[x]])
            else:
                run = min(7, W - x)
                out += bytes([0, run]) + row[x : x + run].tobytes() + bytes(run % 2)
            x += run
        out += b"\0\0"
    return bytes(out[:-2] + b"\0\1")


def rle4(array):
    out = bytearray()
    for row in array[::-1]:
        x = 0
        while x < W:
            run = min(6, W - x)
            pairs = np.pad(row[x : x + run], (0, run % 2))
            data = (pairs[0::2] << 4 | pairs[1::2]).astype(np.uint8).tobytes()
            if run >= 3:
                out += bytes([0, run]) + data + bytes(len(data) % 2)
            else:
                out += b"".join(bytes([1, value << 4]) for value in row[x : x + run])
            x += run
        out += b"\0\0"
    return bytes(out[:-2] + b"\0\1")


save("bmp_rle8.bmp", bmp(8, rle8(index), compression=1, palette=quad))
save("bmp_rle8_top_down.bmp", bmp(8, rle8(index, True), compression=1, palette=quad, height=-H))
save("bmp_rle4.bmp", bmp(4, rle4(small), compression=2, palette=small_quad))
save("bmp_os2_v2_rle8.bmp", bmp(8, rle8(index), 64, 1, palette=quad))
skipped = index.copy()
skipped[:5] = 0
delta = rle8(index[5:])
save("bmp_rle8_early_end.bmp", bmp(8, delta, compression=1, palette=quad), table[skipped])
jump = b"\5\7\0\2\3\1\4\7\0\1"
expected = np.zeros((H, W), np.uint8)
expected[-1, :5] = 7
expected[-2, 8:12] = 7
save("bmp_rle8_delta.bmp", bmp(8, jump, compression=1, palette=quad), table[expected])
runs = b"".join(b"".join(bytes([1]) + pixel[::-1].tobytes() for pixel in row) + b"\0\0" for row in RGB[::-1])
save("bmp_os2_rle24.bmp", bmp(24, runs + b"\0\1", 64, 4), RGB)

# PNG.


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(image=PICTURE, **options):
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def interlaced(array, color_type, depth=8):
    data = b""
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        part = array[y0::dy, x0::dx]
        if part.shape[1]:
            for row in part:
                data += b"\0" + (np.packbits(row).tobytes() if depth == 1 else row.tobytes())
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], depth, color_type, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def exif(orientation):
    return b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + bytes(6)


plain = png()
for cut in (1, 4, 11, 12, 13, 16):
    # 13 to 16 cut into the checksum of the last pixels; the pixels are whole.
    save(f"png_cut_{cut}.png", plain[:-cut], RGB)
save("png_garbage_behind.png", plain + b"garbage" * 9)
save("png_interlaced.png", interlaced(RGB, 2))
save("png_interlaced_cut.png", interlaced(RGB, 2)[:-12], RGB)
save("png_interlaced_gray_1.png", interlaced(GRAY > 127, 0, 1))
save("png_interlaced_tiny.png", interlaced(RGB[:2, :3], 2))
late = plain[:-12] + chunk(b"eXIf", exif(6)) + plain[-12:]
save("png_exif_behind_pixels.png", late)
save("png_exif_behind_pixels_cut.png", late[:-12], PICTURE.transpose(Image.Transpose.ROTATE_270))
hexed = (b"Exif\0\0" + exif(8)).hex().encode()
lines = b"\nexif\n%8d\n" % (len(hexed) // 2) + b"\n".join(hexed[i : i + 72] for i in range(0, len(hexed), 72)) + b"\n"
profile = b"Raw profile type exif\0"
for kind, content in ((b"tEXt", profile + lines), (b"zTXt", profile + b"\0" + zlib.compress(lines)), (b"iTXt", profile + b"\1\0\0\0" + zlib.compress(lines))):
    save(f"png_profile_{kind.decode().lower()}.png", plain[:33] + chunk(kind, content) + plain[33:])
    save(f"png_profile_{kind.decode().lower()}_behind.png", plain[:-12] + chunk(kind, content) + plain[-12:])
xmp = b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta><rdf:Description tiff:Orientation=\"3\"/></x:xmpmeta>"
save("png_xmp.png", plain[:33] + chunk(b"iTXt", xmp) + plain[33:])
frames = [PICTURE, Image.fromarray(255 - RGB)]
save("png_animated.png", png(save_all=True, append_images=frames[1:], duration=50), RGB)
save("png_animated_hidden_first.png", png(default_image=True, save_all=True, append_images=frames[1:] * 2, duration=50), RGB)
save("png_rgba.png", png(Image.fromarray(RGBA, "RGBA")))
save("png_gray_alpha.png", png(Image.fromarray(np.dstack([GRAY, ALPHA]), "LA")))
save("png_palette.png", png(PALETTED))
save("png_palette_transparent.png", png(PALETTED, transparency=bytes(range(56, 256))))
save("png_palette_4.png", png(sixteen))
save("png_1.png", png(Image.fromarray(GRAY > 127)))
save("png_gray_16.png", png(Image.fromarray(GRAY.astype(np.uint16) * 257)))
key = png(transparency=(250, 20, 30))
save("png_color_key.png", key)

# GIF.


def gif(image=PALETTED, **options):
    out = io.BytesIO()
    image.save(out, "GIF", **options)
    return out.getvalue()


save("gif_plain.gif", gif())
save("gif_interlaced.gif", gif(interlace=1))
save("gif_transparent.gif", gif(transparency=5))
save("gif_animated.gif", gif(save_all=True, append_images=[PICTURE.transpose(Image.Transpose.FLIP_LEFT_RIGHT).quantize(100)], duration=50))
plain_gif = gif()
small_canvas = plain_gif[:6] + struct.pack("<HH", 10, 9) + plain_gif[10:]
save("gif_frame_larger_than_canvas.gif", small_canvas)
large_canvas = plain_gif[:6] + struct.pack("<HH", W + 8, H + 6) + plain_gif[10:]
framed = np.full((H + 6, W + 8, 3), 255, np.uint8)
framed[:H, :W] = np.asarray(PALETTED.convert("RGB"))
# Pillow fills what the frame leaves uncovered with the first colour; browsers leave it transparent.
save("gif_frame_smaller_than_canvas.gif", large_canvas, framed)
at = large_canvas.index(b",\0\0\0\0")
moved = large_canvas[: at + 1] + struct.pack("<HH", 5, 4) + large_canvas[at + 5 :]
framed = np.full((H + 6, W + 8, 3), 255, np.uint8)
framed[4 : H + 4, 5 : W + 5] = np.asarray(PALETTED.convert("RGB"))
save("gif_frame_inside_canvas.gif", moved, framed)
moved = plain_gif[: plain_gif.index(b",\0\0\0\0") + 1] + struct.pack("<HH", 5, 4) + plain_gif[plain_gif.index(b",\0\0\0\0") + 5 :]
framed = np.full((H + 4, W + 5, 3), 255, np.uint8)
framed[4:, 5:] = np.asarray(PALETTED.convert("RGB"))
save("gif_frame_beyond_canvas.gif", moved, framed)

# WebP, JPEG.


def webp(image, **options):
    out = io.BytesIO()
    image.save(out, "WEBP", **options)
    return out.getvalue()


save("webp_lossless.webp", webp(PICTURE, lossless=True))
save("webp_rgba.webp", webp(Image.fromarray(RGBA, "RGBA"), lossless=True, exact=True))
save("webp_animated.webp", webp(Image.fromarray(RGBA, "RGBA"), lossless=True, save_all=True, append_images=[PICTURE.convert("RGBA")], duration=90))


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, **options)
    return out.getvalue()


save("jpeg_420.jpg", jpeg(PICTURE, subsampling=2))
save("jpeg_444.jpg", jpeg(PICTURE, subsampling=0))
save("jpeg_gray.jpg", jpeg(PICTURE.convert("L")))
save("jpeg_cmyk.jpg", jpeg(PICTURE.convert("CMYK")))
save("jpeg_progressive.jpg", jpeg(PICTURE, progressive=True))

exec(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "make_tiffs.py")).read())
exec(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "make_avifs.py")).read())
print(len(os.listdir(EXPECTED)), "pictures")
