"""Makes the golden crops that resize/tests.rs compares with: what Pillow makes of a picture that both draw.

Run it with Pillow installed (13.0.0 made the committed files): python3 model/testdata/make_golden.py
"""

from pathlib import Path

from PIL import Image, ImageOps

WIDTH, HEIGHT, EDGE, CROP = 61, 47, 32, 28
TALL = (37, 20)
CUTS = [(24, 24), (13, 30), (40, 9)]
FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


def pixel(x, y):
    """A slope in red, a checkerboard in green, a disc in blue."""
    inside = (x - 30) ** 2 + (y - 20) ** 2 < 150
    return (x * 3 + y) % 256, 200 if (x // 5 + y // 5) % 2 else 40, 230 if inside else 20


def main():
    picture = Image.new("RGB", (WIDTH, HEIGHT))
    picture.putdata([pixel(x, y) for y in range(HEIGHT) for x in range(WIDTH)])
    size = (int(EDGE * WIDTH / HEIGHT), EDGE)
    left, top = (round((side - CROP) / 2) for side in size)
    for name, number in FILTERS.items():
        crop = picture.resize(size, number).crop((left, top, left + CROP, top + CROP))
        crop.save(Path(__file__).parent / f"golden_{name}.png", optimize=True)
        # From 13 on, Pillow goes down first where the height shrinks by more than twice what the width does.
        tall = picture.transpose(Image.Transpose.TRANSPOSE).resize(TALL, number)
        tall.save(Path(__file__).parent / f"golden_tall_{name}.png", optimize=True)
    for width, height in CUTS:
        cut = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
        cut.save(Path(__file__).parent / f"golden_cut_{width}x{height}.png", optimize=True)


if __name__ == "__main__":
    main()
