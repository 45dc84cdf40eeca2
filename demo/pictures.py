"""Draws one product-like picture from a seed: background, shadow, shaded product, camera noise.

Everything about a picture follows from the name of its set and its number in it, so any picture can be drawn again on its own.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import products

SHAPES = list(products.PRODUCTS)
# Hue in degrees, saturation and value: the range a colour is drawn from.
COLOURS = {
    "black": ((0, 360), (0.0, 0.12), (0.09, 0.17)),
    "white": ((30, 60), (0.0, 0.04), (0.94, 0.99)),
    "red": ((-8, 6), (0.78, 0.92), (0.68, 0.88)),
    "orange": ((22, 31), (0.82, 0.95), (0.92, 1.0)),
    "yellow": ((47, 54), (0.7, 0.9), (0.92, 1.0)),
    "green": ((100, 155), (0.5, 0.8), (0.42, 0.68)),
    "blue": ((206, 230), (0.62, 0.88), (0.55, 0.85)),
    "purple": ((266, 286), (0.5, 0.7), (0.48, 0.68)),
    "pink": ((326, 345), (0.32, 0.5), (0.93, 1.0)),
    "brown": ((18, 28), (0.5, 0.68), (0.34, 0.48)),
}
PATTERNS = ["striped", "dotted"]
SIZES = [(480, 360), (360, 480), (320, 480), (400, 600), (400, 400), (512, 512), (480, 320)]
# Masks are drawn this much larger and averaged down, which smooths their edges.
SUPERSAMPLING = 3
BROWN, CREAM, COFFEE = (0.56, 0.38, 0.23), (0.95, 0.93, 0.88), (0.25, 0.15, 0.1)


@dataclass(frozen=True)
class Plan:
    """What a picture shows."""

    shape: str
    colour: str
    background: str
    pattern: str | None

    def tags(self):
        """The tags in the order in which the model names them."""
        return [tag for tag in (self.shape, self.colour, self.background, self.pattern) if tag]


@dataclass(frozen=True)
class Pose:
    """How the product's coordinates become pixels."""

    centre: tuple[float, float]
    scale: float
    angle: float
    mirrored: bool

    def to_pixels(self, points):
        """The pixel positions of points in the product's coordinates."""
        points = points * (-self.scale if self.mirrored else self.scale, self.scale)
        sine, cosine = np.sin(self.angle), np.cos(self.angle)
        return points @ np.array([[cosine, sine], [-sine, cosine]]) + self.centre

    def from_pixels(self, x, y):
        """The product's coordinates of pixel positions."""
        x, y = x - self.centre[0], y - self.centre[1]
        sine, cosine = np.sin(self.angle), np.cos(self.angle)
        across, down = (x * cosine + y * sine) / self.scale, (y * cosine - x * sine) / self.scale
        return (-across if self.mirrored else across), down


@dataclass(frozen=True)
class Mask:
    """How much of every pixel in a window of the picture a part covers, from 0 to 1."""

    cover: np.ndarray
    rows: slice
    columns: slice


def draw(set_name, index):
    """The picture `index` of a set as (plan, RGB image)."""
    rng = generator(set_name, index)
    plan = make_plan(rng, index)
    return plan, to_image(compose(plan, rng))


def draw_cutout(set_name, index):
    """The same product as `draw`, cut out for a web page: transparent around it, white beneath the transparency."""
    rng = generator(set_name, index)
    plan = make_plan(rng, index)
    width, height = SIZES[rng.integers(len(SIZES))]
    canvas = np.ones((height, width, 3))
    cover = paint_product(canvas, plan, choose_pose(plan, width, height, rng), rng, lambda *_: None)
    rgba = np.concatenate([canvas, cover[:, :, None]], axis=2)
    return plan, to_image(rgba)


def generator(set_name, index):
    """A random generator of its own for every picture of every set."""
    return np.random.default_rng([*set_name.encode(), index])


def make_plan(rng, index):
    """Takes the shapes in turn, so that every set is balanced, and the rest by chance."""
    shape = SHAPES[index % len(SHAPES)]
    colour = rng.choice(list(COLOURS))
    background = rng.choice(list(BACKGROUNDS))
    printable = any(part.printable for part in products.PRODUCTS[shape](np.random.default_rng(0)))
    pattern = rng.choice(PATTERNS) if printable and rng.random() < 0.4 else None
    return Plan(shape, str(colour), str(background), str(pattern) if pattern else None)


def compose(plan, rng):
    """The picture as an array of floats from 0 to 1."""
    width, height = SIZES[rng.integers(len(SIZES))]
    canvas = BACKGROUNDS[plan.background](width, height, rng)
    pose = choose_pose(plan, width, height, rng)
    lying = plan.shape in products.LYING or plan.background in ("wood", "fabric")
    shadow = cast_shadow if lying else stand_shadow
    paint_product(canvas, plan, pose, rng, shadow)
    return photograph(canvas, rng)


def choose_pose(plan, width, height, rng):
    """Places the product within the picture, a little turned."""
    scale = min(width, height) * rng.uniform(0.31, 0.42)
    room_x, room_y = (width - 2.1 * scale) / 2, (height - 2.1 * scale) / 2
    turn = 14 if plan.shape in products.LYING else 5
    centre = (width / 2 + rng.uniform(-0.7, 0.7) * room_x, height / 2 + rng.uniform(-0.7, 0.7) * room_y)
    return Pose(centre, scale, np.radians(rng.uniform(-turn, turn)), bool(rng.random() < 0.5))


def paint_product(canvas, plan, pose, rng, shadow):
    """Paints the product and its shadow onto the canvas; returns what the product covers."""
    height, width = canvas.shape[:2]
    parts = products.PRODUCTS[plan.shape](rng)
    masks = [rasterise(part, pose, width, height) for part in parts]
    cover = np.zeros((height, width))
    for mask in masks:
        np.maximum(cover[mask.rows, mask.columns], mask.cover, out=cover[mask.rows, mask.columns])
    shadow(canvas, cover, pose)
    palette = make_palette(plan.colour, rng)
    printer = Printer(plan.pattern, palette["body"], rng)
    for part, mask in zip(parts, masks):
        paint_part(canvas, part, mask, pose, palette, printer, rng)
    return cover


def rasterise(part, pose, width, height):
    """Draws a part's mask, larger than needed, and averages it down."""
    points = pose.to_pixels(part.points)
    line_width = part.width * pose.scale
    margin = line_width + 2
    left, top = np.maximum(np.floor(points.min(axis=0) - margin), 0).astype(int)
    right, bottom = np.minimum(np.ceil(points.max(axis=0) + margin), (width, height)).astype(int)
    image = Image.new("L", ((right - left) * SUPERSAMPLING, (bottom - top) * SUPERSAMPLING))
    corners = [tuple(point) for point in (points - (left, top)) * SUPERSAMPLING]
    if part.width:
        draw_line(ImageDraw.Draw(image), corners, line_width * SUPERSAMPLING)
    else:
        ImageDraw.Draw(image).polygon(corners, fill=255)
    cover = np.asarray(image.reduce(SUPERSAMPLING), dtype=np.float64) / 255
    return Mask(cover, slice(top, bottom), slice(left, right))


def draw_line(pen, corners, width):
    """A line with round joints and ends; Pillow's own lines are ragged where their pieces are short."""
    radius = width / 2
    for x, y in corners:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:]):
        reach = radius / max(np.hypot(x1 - x0, y1 - y0), 1e-6)
        dx, dy = (y0 - y1) * reach, (x1 - x0) * reach
        pen.polygon([(x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy)], fill=255)


def make_palette(colour, rng):
    """The paints of a product of this colour."""
    hues, saturations, values = COLOURS[colour]
    body = from_hsv(rng.uniform(*hues), rng.uniform(*saturations), rng.uniform(*values))
    metal = np.array([0.75, 0.74, 0.72]) if rng.random() < 0.6 else np.array([0.8, 0.66, 0.38])
    return {
        "body": body,
        "light": body * 0.75 + 0.25,
        "dusk": body * 0.82,
        "crease": body * 0.62,
        "deep": body * 0.48,
        "glow": body * 0.35 + np.array([0.62, 0.58, 0.42]),
        "lens": body * 0.35 + 0.04,
        "shine": body * 0.4 + 0.32,
        "trim": np.array(CREAM),
        "paper": np.array([0.96, 0.95, 0.92]),
        "ink": np.array([0.14, 0.14, 0.16]),
        "wood": np.array(BROWN) * rng.uniform(0.8, 1.3),
        "coffee": np.array(COFFEE),
        "metal": metal,
    }


def from_hsv(hue, saturation, value):
    """A colour as red, green and blue from 0 to 1."""
    steps = (np.array([5, 3, 1]) + hue / 60) % 6
    return value - value * saturation * np.clip(np.minimum(steps, 4 - steps), 0, 1)


class Printer:
    """Prints a product's pattern, if it has one, onto the parts that can carry it."""

    def __init__(self, pattern, body, rng):
        self.pattern = pattern
        self.pitch = rng.uniform(0.24, 0.34)
        self.direction = rng.choice([0.0, np.pi / 2, np.pi / 4])
        bright = body @ np.array([0.3, 0.59, 0.11]) > 0.62
        self.ink = body * 0.42 if bright else body * 0.1 + 0.86

    def colour(self, paint, part, across, down):
        """The paint of every pixel of a part."""
        if not (self.pattern and part.printable):
            return paint
        ink = self.stripes(across, down) if self.pattern == "striped" else self.dots(across, down)
        return paint + (self.ink - paint) * ink[:, :, None]

    def stripes(self, across, down):
        """Parallel stripes, as ink from 0 to 1."""
        along = across * np.cos(self.direction) + down * np.sin(self.direction)
        return sharp_step(np.cos(along * 2 * np.pi / self.pitch) - 0.15)

    def dots(self, across, down):
        """Dots in staggered rows, as ink from 0 to 1."""
        row = np.floor(down / self.pitch)
        x = (across / self.pitch + 0.5 * row) % 1 - 0.5
        y = (down / self.pitch) % 1 - 0.5
        return sharp_step(0.3 - np.hypot(x, y), 14)


def sharp_step(values, slope=5):
    """0 for negative values, 1 for positive ones, with a soft edge between."""
    return np.clip(values * slope + 0.5, 0, 1)


def paint_part(canvas, part, mask, pose, palette, printer, rng):
    """Lays a shaded part over the canvas."""
    y, x = np.mgrid[mask.rows, mask.columns]
    across, down = pose.from_pixels(x, y)
    side = position(part, across, pose)
    light = shade(part, mask, pose, side, down, rng)[:, :, None]
    paint = np.clip(printer.colour(palette[part.paint], part, across, down) * light, 0, 1)
    gloss = highlight(part, side)[:, :, None]
    paint = paint + (1 - paint) * gloss
    window = canvas[mask.rows, mask.columns]
    window += (paint - window) * mask.cover[:, :, None]


def position(part, across, pose):
    """The position of a pixel between the part's left edge in the picture (-1) and its right edge (1)."""
    low, high = part.points[:, 0].min(), part.points[:, 0].max()
    side = (2 * across - low - high) / max(high - low, 1e-3)
    return -side if pose.mirrored else side


def shade(part, mask, pose, side, down, rng):
    """How much light every pixel of a part gets: 1 is the paint's own brightness."""
    light = 1.04 - 0.04 * np.clip(side, -1, 1) - 0.07 * down + bevel(mask.cover, pose.scale)
    if part.relief == "round":
        light = light - 0.34 * np.clip(np.abs(side + 0.25) - 0.2, 0, None) ** 1.5
    if part.relief == "cloth":
        light = light + 0.09 * noise(*mask.cover.shape, 5, 6, rng)
    return light


def highlight(part, side):
    """The white glint on round parts, from 0 to 1."""
    if part.relief != "round":
        return np.zeros_like(side)
    return 0.22 * np.exp(-(((side + 0.42) / 0.13) ** 2))


def bevel(cover, scale):
    """Light on edges that face the upper left, shade on those that face away."""
    padded = np.pad(cover, 1)
    down, right = np.gradient(blurred(padded, scale * 0.035))
    return 0.9 * scale * 0.035 * (down + 0.7 * right)[1:-1, 1:-1]


def blurred(values, radius):
    """An array of values from 0 to 1, blurred."""
    image = Image.fromarray(np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float64) / 255


def noise(height, width, rows, columns, rng):
    """Smooth noise from -1 to 1 with about this many bumps down and across."""
    coarse = rng.uniform(-1, 1, (max(rows, 2), max(columns, 2))).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)


def cast_shadow(canvas, cover, pose):
    """The shadow of something that lies on a table, lit from the upper left."""
    for distance, softness, strength in ((0.03, 0.025, 0.35), (0.09, 0.09, 0.35)):
        shift = max(round(distance * pose.scale), 1)
        shadow = np.roll(cover, (shift, shift), axis=(0, 1))
        canvas *= 1 - strength * blurred(shadow, softness * pose.scale)[:, :, None]


def stand_shadow(canvas, cover, pose):
    """The shadow under an object on the floor, and a faint one around it."""
    rows, columns = np.nonzero(cover > 0.5)
    foot = rows.max() - 0.02 * pose.scale
    feet = columns[rows > foot - 0.25 * pose.scale]
    y, x = np.mgrid[: canvas.shape[0], : canvas.shape[1]]
    middle, half = (feet.min() + feet.max()) / 2, (feet.max() - feet.min()) / 2 + 0.12 * pose.scale
    distance = np.hypot((x - middle) / half, (y - foot) / (0.13 * pose.scale))
    canvas *= 1 - 0.5 * np.exp(-(distance**2) * 1.6)[:, :, None]
    canvas *= 1 - 0.12 * blurred(cover, 0.1 * pose.scale)[:, :, None]


def white_background(width, height, rng):
    """Nearly white, a little darker towards the edges."""
    return np.ones((height, width, 3)) * (rng.uniform(0.97, 1.0) - 0.03 * distance_from_middle(width, height)[:, :, None] ** 2)


def studio_background(width, height, rng):
    """A grey backdrop with a spot of light that falls off towards the corners."""
    tint = rng.uniform(0.45, 0.74) + rng.uniform(-0.012, 0.012, 3)
    fall = distance_from_middle(width, height)[:, :, None] ** 1.5
    return np.clip(tint + 0.12 - rng.uniform(0.16, 0.26) * fall, 0, 1)


def distance_from_middle(width, height):
    """0 in the middle of the picture, 1 at the middle of its edges."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.hypot(x, y)


def gradient_background(width, height, rng):
    """Two pastel colours that run into each other."""
    first_hue = rng.uniform(0, 360)
    first = from_hsv(first_hue, rng.uniform(0.16, 0.4), rng.uniform(0.86, 1.0))
    second = from_hsv(first_hue + rng.uniform(50, 150), rng.uniform(0.16, 0.4), rng.uniform(0.86, 1.0))
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    share = np.clip(0.5 + 0.5 * (x * np.cos(angle) + y * np.sin(angle)), 0, 1)[:, :, None]
    return first * (1 - share) + second * share


def wood_background(width, height, rng):
    """A table of planks with their grain."""
    upright = rng.random() < 0.5
    length, breadth = (height, width) if upright else (width, height)
    planks = int(rng.integers(3, 6))
    tone = np.array(BROWN) * rng.uniform(0.85, 1.45)
    tone = tone + (tone.mean() - tone) * rng.uniform(0.0, 0.35)
    light = np.concatenate([plank(length, rows, rng) for rows in split_evenly(breadth, planks)])
    table = np.clip(tone * light[:, :, None], 0, 1)
    return np.ascontiguousarray(table.transpose(1, 0, 2)) if upright else table


def split_evenly(total, pieces):
    """The sizes of nearly equal pieces."""
    edges = np.linspace(0, total, pieces + 1).round().astype(int)
    return np.diff(edges)


def plank(length, rows, rng):
    """The brightness of one plank: long streaks of grain, bent a little, and a dark seam below."""
    streaks = 0.07 * noise(rows, length, rows // 3, 4, rng) + 0.06 * noise(rows, length, rows // 9, 3, rng)
    rings = 0.04 * np.sin(12 * noise(rows, length, 4, 3, rng))
    light = 1 + rng.uniform(-0.09, 0.09) + streaks + rings
    light[-2:] *= 0.55
    return light


def fabric_background(width, height, rng):
    """A muted cloth: gingham, or plain linen, always with a visible weave."""
    base = from_hsv(rng.uniform(0, 360), rng.uniform(0.08, 0.32), rng.uniform(0.72, 0.95))
    y, x = np.mgrid[:height, :width]
    thread = rng.uniform(6, 9)
    weave = 0.06 * (np.sin(2 * np.pi * x / thread) + np.sin(2 * np.pi * y / thread))
    folds = 0.06 * noise(height, width, 4, 4, rng)
    light = 1 + weave + folds - gingham(x, y, min(width, height), rng)
    return np.clip(base * light[:, :, None], 0, 1)


def gingham(x, y, size, rng):
    """How much darker the bands of a checked cloth are; nothing for a plain one."""
    if rng.random() < 0.35:
        return 0.0
    pitch, strength = size * rng.uniform(0.1, 0.17), rng.uniform(0.14, 0.22)
    return strength * (sharp_step(np.sin(2 * np.pi * x / pitch)) + sharp_step(np.sin(2 * np.pi * y / pitch)))


BACKGROUNDS = {
    "white background": white_background,
    "studio": studio_background,
    "gradient": gradient_background,
    "wood": wood_background,
    "fabric": fabric_background,
}


def photograph(canvas, rng):
    """What a camera adds: exposure, a slight colour cast and noise."""
    canvas = canvas * rng.uniform(0.94, 1.04) * rng.uniform(0.985, 1.015, 3)
    return canvas + rng.normal(0, rng.uniform(0.001, 0.008), canvas.shape[:2])[:, :, None]


def to_image(canvas):
    """An RGB or RGBA image from floats."""
    return Image.fromarray(np.rint(np.clip(canvas, 0, 1) * 255).astype(np.uint8))


def jpeg(image, rng):
    """The picture as JPEG bytes of a shop's usual quality."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(rng.integers(78, 92)))
    return file.getvalue()
