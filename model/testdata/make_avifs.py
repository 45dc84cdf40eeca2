"""The AVIFs of make_pictures.py, which runs this: by Pillow (libavif and aom), by imagecodecs, and grids box by box.

It never runs on its own.
"""


def avif(image=PICTURE, **options):
    out = io.BytesIO()
    image.save(out, "AVIF", speed=8, **{"quality": 80, **options})
    return out.getvalue()


for subsampling in ("4:2:0", "4:2:2", "4:4:4"):
    for range_ in ("full", "limited"):
        save(f"avif_{subsampling.replace(':', '')}_{range_}.avif", avif(subsampling=subsampling, range=range_))
for range_ in ("full", "limited"):
    save(f"avif_gray_{range_}.avif", avif(PICTURE.convert("L"), range=range_))
save("avif_rgba.avif", avif(Image.fromarray(RGBA, "RGBA")))
save("avif_rgba_444.avif", avif(Image.fromarray(RGBA, "RGBA"), subsampling="4:4:4"))
save("avif_rgba_premultiplied.avif", avif(Image.fromarray(RGBA, "RGBA"), alpha_premultiplied=True, quality=95))
save("avif_gray_alpha.avif", avif(Image.fromarray(np.dstack([GRAY, ALPHA]), "LA")))
save("avif_even.avif", avif(PICTURE.crop((0, 0, 36, 22))))
save("avif_odd_width.avif", avif(PICTURE.crop((0, 0, 35, 22))))
save("avif_one_pixel.avif", avif(PICTURE.crop((5, 5, 6, 6))))
save("avif_thin.avif", avif(PICTURE.crop((5, 0, 6, 20))))
save("avif_flat.avif", avif(PICTURE.crop((0, 5, 30, 6))))
for value in range(1, 9):
    block = Image.Exif()
    block[0x112] = value
    save(f"avif_orientation_{value}.avif", avif(exif=block))
save("avif_animated.avif", avif(save_all=True, append_images=[PICTURE.transpose(Image.Transpose.FLIP_LEFT_RIGHT)], duration=50))
noisy = Image.fromarray(np.clip(RGB.astype(int) + np.random.default_rng(1).integers(-20, 20, RGB.shape), 0, 255).astype(np.uint8))
save("avif_film_grain.avif", avif(noisy, quality=40, advanced={"film-grain-test": "2"}))
for bits in (10, 12):
    deep = (RGB.astype(np.uint32) * ((1 << bits) - 1) // 255).astype(np.uint16)
    for pixelformat in ("420", "422", "444"):
        for matrix, name in ((6, "601"), (1, "709"), (9, "2020")):
            data = imagecodecs.avif_encode(deep, level=80, speed=8, bitspersample=bits, pixelformat=pixelformat, matrix=matrix)
            save(f"avif_{bits}_{pixelformat}_{name}.avif", data)
for matrix, name in ((1, "709"), (9, "2020"), (0, "identity"), (8, "ycgco"), (4, "fcc"), (7, "smpte240")):
    for pixelformat in ("444",) if matrix == 0 else ("420", "444"):
        try:
            data = imagecodecs.avif_encode(RGB, level=90, speed=8, pixelformat=pixelformat, matrix=matrix)
        except Exception as error:
            print("no avif", name, pixelformat, error)
            continue
        save(f"avif_{name}_{pixelformat}.avif", data)
        at = data.find(b"nclx")
        if at > 0:
            # The flag of the full range, in the container alone: libavif believes it.
            limited = data[: at + 10] + bytes([data[at + 10] & 0x7F]) + data[at + 11 :]
            save(f"avif_{name}_{pixelformat}_limited.avif", limited)
deep = (RGBA.astype(np.uint32) * 1023 // 255).astype(np.uint16)
save("avif_10_rgba.avif", imagecodecs.avif_encode(deep, level=90, speed=8, bitspersample=10, pixelformat="420"))


def box(name, *content, full=None):
    content = (b"" if full is None else struct.pack(">I", full)) + b"".join(content)
    return struct.pack(">I", 8 + len(content)) + name + content


def find(data, *path):
    """The content of a box inside of boxes."""
    for name in path:
        at = 0
        while True:
            size, found = struct.unpack_from(">I4s", data, at)
            if found == name:
                data = data[at + 8 : at + size]
                break
            at += size
        if name in (b"meta",):
            data = data[4:]
    return data


def grid(rows, columns, size, width, height, subsampling="4:2:0"):
    whole = Image.fromarray(scene(columns * size, rows * size))
    streams = []
    for row in range(rows):
        for column in range(columns):
            part = whole.crop((column * size, row * size, (column + 1) * size, (row + 1) * size))
            data = avif(part, subsampling=subsampling)
            streams.append(find(data, b"mdat"))
            properties = find(data, b"meta", b"iprp", b"ipco")
    av1c = b"".join(box(b"av1C", find(properties, b"av1C")) for _ in range(1))
    colr = box(b"colr", find(properties, b"colr"))
    count = rows * columns
    infe = [box(b"infe", struct.pack(">HH4s", 1, 0, b"grid"), b"\0", full=0x02000000)]
    infe += [box(b"infe", struct.pack(">HH4s", 2 + i, 0, b"av01"), b"\0", full=0x02000000) for i in range(count)]
    iinf = box(b"iinf", struct.pack(">H", count + 1), *infe, full=0)
    iref = box(b"iref", box(b"dimg", struct.pack(">HH", 1, count), *(struct.pack(">H", 2 + i) for i in range(count))), full=0)
    ipco = box(b"ipco", box(b"ispe", struct.pack(">II", width, height), full=0), box(b"ispe", struct.pack(">II", size, size), full=0), av1c, colr, box(b"pixi", bytes([3, 8, 8, 8]), full=0))
    ipma = struct.pack(">I", count + 1) + struct.pack(">HB", 1, 3) + bytes([1, 4, 5])
    for i in range(count):
        ipma += struct.pack(">HB", 2 + i, 4) + bytes([2, 0x83, 4, 5])
    iprp = box(b"iprp", ipco, box(b"ipma", ipma, full=0))
    description = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    idat = box(b"idat", description)
    hdlr = box(b"hdlr", struct.pack(">I4s12s", 0, b"pict", b""), b"\0", full=0)
    pitm = box(b"pitm", struct.pack(">H", 1), full=0)
    ftyp = box(b"ftyp", b"avif", struct.pack(">I", 0), b"avifmif1miafMA1B")

    def meta(start):
        iloc = struct.pack(">BBH", 0x44, 0, count + 1)
        iloc += struct.pack(">HHHHII", 1, 1, 0, 1, 0, len(description))
        for i, stream in enumerate(streams):
            iloc += struct.pack(">HHHHII", 2 + i, 0, 0, 1, start, len(stream))
            start += len(stream)
        return box(b"meta", hdlr, pitm, box(b"iloc", iloc, full=0x01000000), iinf, iref, iprp, idat, full=0)

    head = ftyp + meta(0)
    return ftyp + meta(len(head) + 8) + box(b"mdat", *streams)


save("avif_grid.avif", grid(2, 3, 64, 180, 120))
save("avif_grid_444.avif", grid(2, 2, 64, 128, 100, "4:4:4"))

# For the test of memory: many pixels in few bytes.
rows, columns = np.mgrid[0:3000, 0:4000]
large = np.stack([columns / 16 % 256, rows / 12 % 256, (columns + rows) / 28 % 256], -1).astype(int)
large += np.random.default_rng(0).integers(-6, 6, large.shape)
with open(os.path.join(OUT, os.pardir, "large.avif"), "wb") as file:
    file.write(avif(Image.fromarray(large.clip(0, 255).astype(np.uint8)), quality=50))
