"""The TIFFs of make_pictures.py, which runs this: byte by byte, by Pillow (libtiff) and by tifffile.

It never runs on its own.
"""


def tiff_file(tags, chunks, order="<", big=False):
    """One directory. `tags` has (type, values) by number; `chunks` go under 273/279 or, if 322 is there, 324/325."""
    formats = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 7: "B", 16: "Q"}
    at, count_tag = (324, 325) if 322 in tags else (273, 279)
    tags = dict(tags)
    if chunks:
        tags[at] = (4, [0] * len(chunks))
        tags[count_tag] = (4, [len(c) for c in chunks])
    size = (20 if big else 12) * len(tags) + (16 if big else 6)
    start = 16 if big else 8
    position = start + size
    entries, blobs = [], []
    offsets_at = None
    for number in sorted(tags):
        kind, values = tags[number]
        count = len(values) // (2 if kind == 5 else 1)
        data = struct.pack(order + formats[kind] * len(values), *values)
        inline = 8 if big else 4
        if len(data) <= inline:
            value = data.ljust(inline, b"\0")
        else:
            position += position % 2
            blobs.append((position, data))
            value = struct.pack(order + ("Q" if big else "I"), position)
        if number == at:
            offsets_at = (position if len(data) > inline else None, len(entries))
        if len(data) > inline:
            position += len(data)
        entries.append([number, kind, count, value])
    places = []
    for c in chunks:
        position += position % 2
        places.append(position)
        position += len(c)
    out = bytearray(position)
    mark = b"II" if order == "<" else b"MM"
    if big:
        out[:16] = mark + struct.pack(order + "HHHQ", 43, 8, 0, 16)
        out[16:24] = struct.pack(order + "Q", len(entries))
    else:
        out[:8] = mark + struct.pack(order + "HI", 42, 8)
        out[8:10] = struct.pack(order + "H", len(entries))
    packed_places = struct.pack(order + "I" * len(places), *places)
    for index, (number, kind, count, value) in enumerate(entries):
        if chunks and number == at and offsets_at[0] is None:
            value = packed_places.ljust(8 if big else 4, b"\0")
        if big:
            out[24 + index * 20 : 44 + index * 20] = struct.pack(order + "HHQ", number, kind, count) + value
        else:
            out[10 + index * 12 : 22 + index * 12] = struct.pack(order + "HHI", number, kind, count) + value
    for position, data in blobs:
        out[position : position + len(data)] = data
    if chunks and offsets_at[0] is not None:
        out[offsets_at[0] : offsets_at[0] + len(packed_places)] = packed_places
    for place, c in zip(places, chunks):
        out[place : place + len(c)] = c
    return bytes(out)


def tags_of(photometric, bits, samples=1, compression=1, **more):
    tags = {256: (3, [W]), 257: (3, [H]), 258: (3, [bits] * samples), 259: (3, [compression]), 262: (3, [photometric]), 277: (3, [samples]), 278: (3, [H])}
    for number, value in more.items():
        tags[int(number[1:])] = value
    return tags


def reverse_bits(data):
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)


def pack_nibbles(array, bits):
    shifts = np.unpackbits(array.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
    return np.packbits(shifts.reshape(array.shape[0], -1), axis=1).tobytes()


def strips(data_rows, rows):
    return [b"".join(data_rows[i : i + rows]) for i in range(0, H, rows)]


def rows_of(array):
    return [row.tobytes() for row in array]


colormap = [int(v) * 257 for v in table.T.reshape(-1)]
small_map = [int(v) * 257 for v in small_table.T.reshape(-1)]
for order, name in (("<", "ii"), (">", "mm")):
    save(f"tiff_palette_8_{name}.tif", tiff_file(tags_of(3, 8, t320=(3, colormap)), [index.tobytes()], order))
    save(f"tiff_palette_4_{name}.tif", tiff_file(tags_of(3, 4, t320=(3, small_map)), [pack_nibbles(small, 4)], order))
    save(f"tiff_rgb_16_{name}.tif", tiff_file(tags_of(2, 16, 3), [(RGB.astype(order + "u2") * 257).astype(order + "u2").tobytes()], order))
    wide = (GRAY.astype(np.uint16) * 257).astype(order + "u2")
    save(f"tiff_gray_16_{name}.tif", tiff_file(tags_of(1, 16), [wide.tobytes()], order), GRAY)
    save(f"tiff_gray_16_inverted_{name}.tif", tiff_file(tags_of(0, 16), [(65535 - wide).astype(order + "u2").tobytes()], order), GRAY)
    save(f"tiff_cmyk_16_{name}.tif", tiff_file(tags_of(5, 16, 4), [(np.asarray(PICTURE.convert("CMYK")).astype(np.uint16) * 257).astype(order + "u2").tobytes()], order))
    # Pillow does not read BigTIFF of this order.
    save(f"tiff_big_{name}.tif", tiff_file(tags_of(2, 8, 3), [RGB.tobytes()], order, True), RGB)
save("tiff_palette_old_8_bit_map.tif", tiff_file(tags_of(3, 8, t320=(3, [int(v) for v in table.T.reshape(-1)])), [index.tobytes()]), table[index])
save("tiff_palette_1.tif", tiff_file(tags_of(3, 1, t320=(3, [2570, 64250, 51400, 61680, 7710, 23130])), [bits1.tobytes()]))
two = pack_nibbles(np.minimum(small, 3), 2)
save("tiff_palette_2.tif", tiff_file(tags_of(3, 2, t320=(3, [int(v) * 257 for v in small_table[:4].T.reshape(-1)])), [two]))
pa = np.dstack([index, ALPHA])
save("tiff_palette_alpha.tif", tiff_file(tags_of(3, 8, 2, t320=(3, colormap), t338=(3, [2])), [pa.tobytes()]))
for photometric, name in ((0, "inverted"), (1, "plain")):
    save(f"tiff_gray_1_{name}.tif", tiff_file(tags_of(photometric, 1), [bits1.tobytes()]))
    save(f"tiff_gray_2_{name}.tif", tiff_file(tags_of(photometric, 2), [pack_nibbles(GRAY >> 6, 2)]))
    save(f"tiff_gray_4_{name}.tif", tiff_file(tags_of(photometric, 4), [pack_nibbles(GRAY >> 4, 4)]))
    save(f"tiff_gray_8_{name}.tif", tiff_file(tags_of(photometric, 8), [GRAY.tobytes()]))
    save(f"tiff_gray_4_reversed_{name}.tif", tiff_file(tags_of(photometric, 4, t266=(3, [2])), [reverse_bits(pack_nibbles(GRAY >> 4, 4))]))
    save(f"tiff_gray_1_reversed_{name}.tif", tiff_file(tags_of(photometric, 1, t266=(3, [2])), [reverse_bits(bits1.tobytes())]))
even12 = GRAY.astype(np.uint16) * 16 + 9
bits12 = np.unpackbits(even12.astype(">u2").view(np.uint8).reshape(H, W, 2), axis=-1)[..., 4:]
save("tiff_gray_12.tif", tiff_file(tags_of(1, 12), [np.packbits(bits12.reshape(H, -1), axis=1).tobytes()]), GRAY)
save("tiff_rgb_reversed.tif", tiff_file(tags_of(2, 8, 3, t266=(3, [2])), [reverse_bits(RGB.tobytes())]))
save("tiff_rgb_lzw_reversed.tif", tiff_file(tags_of(2, 8, 3, 5, t266=(3, [2])), [reverse_bits(imagecodecs.lzw_encode(RGB.tobytes()))]))
no_bits = tags_of(1, 1)
del no_bits[258]
save("tiff_no_bits_stated.tif", tiff_file(no_bits, [bits1.tobytes()]))
no_photo = tags_of(1, 8)
del no_photo[262]
save("tiff_no_photometric.tif", tiff_file(no_photo, [GRAY.tobytes()]))
save("tiff_one_bits_value.tif", tiff_file({**tags_of(2, 8, 3), 258: (3, [8])}, [RGB.tobytes()]))
premultiplied = (RGB.astype(np.uint32) * ALPHA[..., None] // 255).astype(np.uint8)
for kind, name in ((0, "unspecified"), (2, "straight"), (999, "corel")):
    save(f"tiff_rgba_{name}.tif", tiff_file(tags_of(2, 8, 4, t338=(3, [kind])), [RGBA.tobytes()]))
save("tiff_rgba_associated.tif", tiff_file(tags_of(2, 8, 4, t338=(3, [1])), [np.dstack([premultiplied, ALPHA]).tobytes()]))
save("tiff_rgba_associated_16.tif", tiff_file(tags_of(2, 16, 4, t338=(3, [1])), [(np.dstack([premultiplied, ALPHA]).astype("<u2") * 257).astype("<u2").tobytes()]))
save("tiff_rgba_straight_16.tif", tiff_file(tags_of(2, 16, 4, t338=(3, [2])), [(RGBA.astype("<u2") * 257).astype("<u2").tobytes()]))
save("tiff_rgba_missing_extra.tif", tiff_file(tags_of(2, 8, 4), [RGBA.tobytes()]))
save("tiff_rgb_two_extra.tif", tiff_file(tags_of(2, 8, 5, t338=(3, [2, 0])), [np.dstack([RGBA, GRAY]).tobytes()]))
save("tiff_rgb_two_unspecified.tif", tiff_file(tags_of(2, 8, 5, t338=(3, [0, 0])), [np.dstack([RGBA, GRAY]).tobytes()]))
for kind, name in ((0, "unspecified"), (1, "associated"), (2, "straight")):
    la = np.dstack([GRAY if kind != 1 else (GRAY.astype(np.uint32) * ALPHA // 255).astype(np.uint8), ALPHA])
    # Pillow has no conversion from gray with associated alpha to colour but through straight alpha.
    expected = None
    if kind == 1:
        straight = np.minimum(255, la[..., 0].astype(np.uint32) * 255 // np.maximum(ALPHA, 1)).astype(np.uint8)
        expected = white(np.dstack([straight] * 3), ALPHA)
    save(f"tiff_gray_alpha_{name}.tif", tiff_file(tags_of(1, 8, 2, t338=(3, [kind])), [la.tobytes()]), expected)
cmyk = np.asarray(PICTURE.convert("CMYK")).copy()
cmyk[..., 3] = ALPHA // 3
save("tiff_cmyk.tif", tiff_file(tags_of(5, 8, 4, t332=(3, [1])), [cmyk.tobytes()]))
save("tiff_cmyk_extra.tif", tiff_file(tags_of(5, 8, 5, t338=(3, [0])), [np.dstack([cmyk, ALPHA]).tobytes()]))
save("tiff_cmyk_planar.tif", tiff_file(tags_of(5, 8, 4, t284=(3, [2])), [cmyk[..., i].tobytes() for i in range(4)]))
planes = [RGB[..., i].tobytes() for i in range(3)]
save("tiff_planar.tif", tiff_file(tags_of(2, 8, 3, t284=(3, [2])), planes))
save("tiff_planar_16.tif", tiff_file(tags_of(2, 16, 3, t284=(3, [2])), [(RGB[..., i].astype(">u2") * 257).astype(">u2").tobytes() for i in range(3)], ">"), RGB)
save("tiff_strips.tif", tiff_file({**tags_of(2, 8, 3), 278: (3, [5])}, strips(rows_of(RGB), 5)))


def tiles(array, size, dtype=None):
    out = []
    for y in range(0, H, size):
        for x in range(0, W, size):
            tile = array[y : y + size, x : x + size]
            tile = np.pad(tile, ((0, size - tile.shape[0]), (0, size - tile.shape[1])) + ((0, 0),) * (array.ndim - 2))
            out.append(tile.astype(dtype or array.dtype).tobytes())
    return out


def tiled(tags, size=16):
    tags = dict(tags)
    del tags[278]
    return {**tags, 322: (3, [size]), 323: (3, [size])}


save("tiff_tiled.tif", tiff_file(tiled(tags_of(2, 8, 3)), tiles(RGB, 16)))
save("tiff_tiled_planar.tif", tiff_file(tiled(tags_of(2, 8, 3, t284=(3, [2]))), [t for i in range(3) for t in tiles(RGB[..., i], 16)]), RGB)
wide = (RGB.astype(np.uint32) * 257).astype(np.uint16)
save("tiff_tiled_planar_16.tif", tiff_file(tiled(tags_of(2, 16, 3, t284=(3, [2]))), [t for i in range(3) for t in tiles(wide[..., i], 16, "<u2")]), RGB)
save("tiff_tiled_16_mm.tif", tiff_file(tiled(tags_of(2, 16, 3)), tiles(wide, 16, ">u2"), ">"), RGB)
save("tiff_tile_larger_than_picture.tif", tiff_file(tiled(tags_of(2, 8, 3), 64), tiles(RGB, 64)))
floats = (RGB / 255.0).astype("<f4")
save("tiff_rgb_float.tif", tiff_file(tags_of(2, 32, 3, t339=(3, [3, 3, 3])), [floats.tobytes()]), RGB)
save("tiff_orientation_6.tif", tiff_file(tags_of(2, 8, 3, t274=(3, [6])), [RGB.tobytes()]))
save("tiff_orientation_4_lzw.tif", tiff_file(tags_of(2, 8, 3, 5, t274=(3, [4])), [imagecodecs.lzw_encode(RGB.tobytes())]), RGB[::-1])


def by_pillow(image, **options):
    out = io.BytesIO()
    image.save(out, "TIFF", **options)
    return out.getvalue()


for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "tiff_deflate", "zstd"):
    try:
        save(f"tiff_pillow_{compression}.tif", by_pillow(PICTURE, compression=compression))
        save(f"tiff_pillow_{compression}_rgba.tif", by_pillow(Image.fromarray(RGBA, "RGBA"), compression=compression))
        save(f"tiff_pillow_{compression}_palette.tif", by_pillow(PALETTED, compression=compression))
    except (OSError, ValueError) as error:
        print("no", compression, error)
predicted = {317: 2}
for mode, image in (("rgb", PICTURE), ("gray", PICTURE.convert("L")), ("rgba", Image.fromarray(RGBA, "RGBA"))):
    save(f"tiff_pillow_predictor_{mode}.tif", by_pillow(image, compression="tiff_lzw", tiffinfo=predicted))
black = Image.fromarray(GRAY > 127)
for compression in ("group3", "group4", "tiff_ccitt"):
    save(f"tiff_pillow_{compression}.tif", by_pillow(black, compression=compression))
save("tiff_pillow_group3_2d.tif", by_pillow(black, compression="group3", tiffinfo={292: 1}))
save("tiff_pillow_group3_aligned.tif", by_pillow(black, compression="group3", tiffinfo={292: 4}))
save("tiff_pillow_group3_2d_aligned.tif", by_pillow(black, compression="group3", tiffinfo={292: 5}))
save("tiff_pillow_group4_strips.tif", by_pillow(black, compression="group4", tiffinfo={278: 7}))
save("tiff_pillow_group3_reversed.tif", by_pillow(black, compression="group3", tiffinfo={266: 2}))
save("tiff_pillow_group4_reversed.tif", by_pillow(black, compression="group4", tiffinfo={266: 2}))
save("tiff_pillow_group4_white_is_zero.tif", by_pillow(black, compression="group4", tiffinfo={262: 0}))
wide_page = Image.new("1", (700, 40), 1)
for x in range(0, 700, 97):
    wide_page.paste(0, (x, x % 31, x + 60, x % 31 + 8))
for compression in ("group3", "group4"):
    save(f"tiff_page_{compression}.tif", by_pillow(wide_page, compression=compression))
save("tiff_page_group3_2d.tif", by_pillow(wide_page, compression="group3", tiffinfo={292: 1}))
save("tiff_pillow_jpeg.tif", by_pillow(PICTURE, compression="jpeg", quality=90))
save("tiff_pillow_jpeg_gray.tif", by_pillow(PICTURE.convert("L"), compression="jpeg", quality=90))
save("tiff_pillow_jpeg_cmyk.tif", by_pillow(PICTURE.convert("CMYK"), compression="jpeg", quality=90))
save("tiff_pillow_jpeg_ycbcr.tif", by_pillow(PICTURE.convert("YCbCr"), compression="jpeg", quality=90))
save("tiff_pillow_jpeg_strips.tif", by_pillow(PICTURE, compression="jpeg", quality=90, tiffinfo={278: 8}))
save("tiff_pillow_ycbcr.tif", by_pillow(PICTURE.convert("YCbCr"), compression="tiff_lzw"))
pages = io.BytesIO()
PICTURE.save(pages, "TIFF", save_all=True, append_images=[PICTURE.convert("L")])
save("tiff_two_pages.tif", pages.getvalue())


def ycbcr_blocks(across, down):
    luma, blue, red = [np.asarray(band) for band in PICTURE.convert("YCbCr").split()]
    pad = ((0, -H % down), (0, -W % across))
    luma, blue, red = [np.pad(band, pad, "edge") for band in (luma, blue, red)]
    out = bytearray()
    for y in range(0, luma.shape[0], down):
        for x in range(0, luma.shape[1], across):
            out += luma[y : y + down, x : x + across].tobytes()
            out += bytes([blue[y, x], red[y, x]])
    return bytes(out)


for across, down in ((1, 1), (2, 1), (2, 2), (1, 2), (4, 1), (4, 2), (4, 4)):
    # Without compression Pillow takes samples as if none were shared.
    tags = tags_of(6, 8, 3, 5, t530=(3, [across, down]), t532=(5, [0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1]))
    save(f"tiff_ycbcr_{across}{down}.tif", tiff_file(tags, [imagecodecs.lzw_encode(ycbcr_blocks(across, down))]))
studio = [16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1]
save("tiff_ycbcr_studio.tif", tiff_file(tags_of(6, 8, 3, 5, t530=(3, [2, 2]), t532=(5, studio)), [imagecodecs.lzw_encode(ycbcr_blocks(2, 2))]))
save("tiff_ycbcr_default.tif", tiff_file(tags_of(6, 8, 3, 5), [imagecodecs.lzw_encode(ycbcr_blocks(2, 2))]))


def by_tifffile(array, **options):
    out = io.BytesIO()
    tifffile.imwrite(out, array, **options)
    return out.getvalue()


deflate = dict(compression="zlib", predictor=True)
save("tiff_tifffile_deflate.tif", by_tifffile(RGB, photometric="rgb", rowsperstrip=6, **deflate))
save("tiff_tifffile_deflate_16.tif", by_tifffile(wide, photometric="rgb", tile=(16, 16), **deflate), RGB)
save("tiff_tifffile_deflate_16_mm.tif", by_tifffile(wide, photometric="rgb", byteorder=">", compression="lzw", predictor=True), RGB)
save("tiff_tifffile_planar.tif", by_tifffile(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate", tile=(16, 16), **deflate), RGB)
save("tiff_tifffile_float.tif", by_tifffile(floats, photometric="rgb", compression="zlib", predictor=3), RGB)
save("tiff_tifffile_float_mm.tif", by_tifffile(floats, photometric="rgb", byteorder=">", compression="zlib", predictor=3, tile=(16, 16)), RGB)
save("tiff_tifffile_big.tif", by_tifffile(RGB, photometric="rgb", bigtiff=True, compression="lzw", tile=(16, 32)))
save("tiff_tifffile_zstd.tif", by_tifffile(RGB, photometric="rgb", compression="zstd", predictor=True))
save("tiff_tifffile_gray_16.tif", by_tifffile(wide[..., 0], **deflate), RGB[..., 0])
save("tiff_tifffile_jpeg_tiles.tif", by_tifffile(RGB, photometric="ycbcr", compression="jpeg", compressionargs={"level": 90}, tile=(16, 16), subsampling=(2, 2)))
save("tiff_tifffile_jpeg_rgb.tif", by_tifffile(RGB, photometric="rgb", compression="jpeg", compressionargs={"level": 90, "outcolorspace": "rgb"}))
save("tiff_tifffile_jpeg_gray.tif", by_tifffile(GRAY, compression="jpeg", compressionargs={"level": 90}, rowsperstrip=8))
save("tiff_tifffile_jpeg_planar.tif", by_tifffile(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate", compression="jpeg", compressionargs={"level": 90}), None)
stream = jpeg(PICTURE, subsampling=0)
old = tags_of(6, 8, 3, 6, t513=(4, [0]), t514=(4, [len(stream)]), t530=(3, [1, 1]))
blank = tiff_file(old, [stream])
place = blank.index(b"\xff\xd8\xff")
old[513] = (4, [place])
save("tiff_old_jpeg.tif", tiff_file(old, [stream]), Image.open(io.BytesIO(stream)))
