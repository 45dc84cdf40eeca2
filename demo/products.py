"""The silhouettes of the demo's twelve products.

A product is a list of parts, painted back to front. Its coordinates run from -1 to 1 in both directions, y pointing down, so that
the scene can scale, turn and mirror it as a whole.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Part:
    """One painted area: a filled polygon, or a line where `width` is set."""

    points: np.ndarray
    paint: str
    relief: str = "flat"
    width: float = 0.0
    printable: bool = False


def fill(points, paint="body", relief="flat", printable=False):
    """A filled polygon."""
    return Part(np.asarray(points, dtype=np.float64), paint, relief, 0.0, printable)


def line(points, paint, width, relief="flat"):
    """A line with round ends."""
    return Part(np.asarray(points, dtype=np.float64), paint, relief, width)


def ellipse(x, y, radius_x, radius_y, start=0.0, end=360.0):
    """Points on an ellipse between two angles in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(start, end, 64))
    return np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], axis=1)


def rounded(corners, radius, steps=8):
    """A polygon whose corners are rounded by quadratic curves that start `radius` away from each corner."""
    corners = np.asarray(corners, dtype=np.float64)
    points = []
    for before, corner, after in zip(np.roll(corners, 1, axis=0), corners, np.roll(corners, -1, axis=0)):
        entry = towards(corner, before, radius)
        leave = towards(corner, after, radius)
        for t in np.linspace(0, 1, steps):
            points.append((1 - t) ** 2 * entry + 2 * t * (1 - t) * corner + t**2 * leave)
    return np.array(points)


def towards(origin, target, distance):
    """The point `distance` away from `origin` towards `target`, but no further than half way."""
    step = target - origin
    length = np.linalg.norm(step)
    return origin + step * min(distance / length, 0.5)


def box(left, top, right, bottom, radius=0.0):
    """A rectangle with rounded corners."""
    return rounded([(left, top), (right, top), (right, bottom), (left, bottom)], max(radius, 1e-3))


def curve(points, closed=True, steps=10):
    """A Catmull-Rom curve through the points."""
    points = np.asarray(points, dtype=np.float64)
    count = len(points)
    if closed:
        around = points[(np.arange(count + 3) - 1) % count]
    else:
        around = np.concatenate([points[:1], points, points[-1:]])
    pieces = [curve_piece(around[i : i + 4], steps) for i in range(len(around) - 3)]
    return np.concatenate(pieces + [around[-2:-1]])


def curve_piece(points, steps):
    """The curve between the second and the third of four points."""
    a, b, c, d = points
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def mug(rng):
    """A mug with its handle on the right."""
    top, foot, half = -0.75, rng.uniform(0.72, 0.85), rng.uniform(0.52, 0.62)
    waist = half * rng.uniform(0.82, 1.0)
    side = rounded([(-half, top), (half, top), (waist, foot), (-waist, foot)], 0.16)
    handle = curve([(half - 0.08, -0.42), (0.82, -0.46), (0.97, -0.05), (0.82, 0.33), (waist - 0.06, 0.42)], closed=False)
    return [
        line(handle, "body", 0.15, "flat"),
        fill(side, "body", "round", printable=True),
        fill(ellipse(0, top, half, 0.13), "light"),
        fill(ellipse(0, top + 0.015, half - 0.07, 0.095), rng.choice(["deep", "coffee"])),
    ]


def shirt(rng):
    """A T-shirt laid flat."""
    hem, waist, sleeve = rng.uniform(0.82, 0.95), rng.uniform(0.48, 0.56), rng.uniform(-0.3, -0.1)
    right = [(0.26, -0.88), (0.56, -0.78), (1.0, sleeve - 0.1), (0.74, sleeve + 0.12), (0.53, -0.3), (waist, hem)]
    left = [(-x, y) for x, y in reversed(right)]
    outline = rounded(right + left, 0.05)
    collar = ellipse(0, -0.88, 0.27, 0.2, 0, 180)
    return [
        fill(ellipse(0, -0.86, 0.25, 0.09), "deep"),
        fill(outline, "body", "cloth", printable=True),
        fill(collar, "deep"),
        line(collar, "light", 0.05),
        line([(-0.53, -0.3), (-0.6, -0.72)], "crease", 0.015),
        line([(0.53, -0.3), (0.6, -0.72)], "crease", 0.015),
        line([(-waist + 0.02, hem - 0.08), (waist - 0.02, hem - 0.08)], "crease", 0.012),
    ]


def shoe(rng):
    """A trainer seen from the side, its toe on the right."""
    ankle = rng.uniform(-0.55, -0.38)
    upper = curve(
        [(-0.9, 0.3), (-0.93, -0.05), (-0.82, ankle), (-0.55, ankle + 0.1), (-0.3, ankle + 0.02), (-0.12, ankle - 0.03)]
        + [(0.15, -0.16), (0.5, 0.0), (0.88, 0.12), (0.96, 0.36), (0.5, 0.4), (-0.5, 0.4)]
    )
    toe = curve([(0.58, 0.03), (0.9, 0.13), (0.96, 0.36), (0.6, 0.38), (0.52, 0.2)])
    eyelets = [(-0.16, -0.22), (0.0, -0.13), (0.16, -0.04), (0.32, 0.03)]
    laces = [line([(x, y), (x + 0.17, y - 0.12)], "trim", 0.05) for x, y in eyelets]
    stripe = curve([(-0.5, 0.32), (-0.25, 0.05), (0.05, 0.1), (-0.1, 0.32)])
    return [
        fill(upper, "body", "cloth"),
        fill(toe, rng.choice(["light", "trim"]), "flat"),
        fill(stripe, "trim"),
        fill(curve([(-0.9, 0.2), (-0.93, -0.05), (-0.84, ankle + 0.08), (-0.7, 0.0), (-0.68, 0.3)]), "deep"),
        *laces,
        fill(rounded([(-0.96, 0.3), (0.98, 0.32), (1.0, 0.5), (0.9, 0.55), (-0.92, 0.55)], 0.08), "trim", "flat"),
        line([(-0.92, 0.44), (0.96, 0.44)], "crease", 0.02),
    ]


def handbag(rng):
    """A handbag with an arched handle, a flap and a clasp."""
    top, half, foot = -0.12, rng.uniform(0.62, 0.74), rng.uniform(0.82, 0.95)
    side = rounded([(-half, top), (half, top), (0.98, 0.8), (0.86, 0.88), (-0.86, 0.88), (-0.98, 0.8)], 0.15)
    flap = rounded([(-half, top - 0.02), (half, top - 0.02), (half * 0.86, 0.36), (0, 0.46), (-half * 0.86, 0.36)], 0.14)
    height = rng.uniform(0.7, 0.85)
    return [
        line(ellipse(0, top, 0.45, height, 180, 360), "deep", 0.1),
        line(ellipse(0, top, 0.45, height, 180, 360), "body", 0.06),
        fill(side * (1, foot / 0.88), "body", "flat", printable=True),
        fill(flap, "dusk", "flat"),
        fill(box(-0.09, 0.34, 0.09, 0.54, 0.05), "metal", "round"),
        fill(ellipse(-0.45, top + 0.02, 0.06, 0.06), "metal"),
        fill(ellipse(0.45, top + 0.02, 0.06, 0.06), "metal"),
    ]


def bottle(rng):
    """A drinking bottle with a metal cap and sometimes a label."""
    half, neck, shoulder = rng.uniform(0.3, 0.4), rng.uniform(0.12, 0.17), rng.uniform(-0.42, -0.2)
    right = [(neck, -0.72), (neck, shoulder - 0.22), (half, shoulder + 0.06), (half, 0.9), (half * 0.8, 0.98)]
    side = rounded(right + [(-x, y) for x, y in reversed(right)], 0.14)
    cap = box(-neck - 0.04, -1.0, neck + 0.04, -0.68, 0.05)
    parts = [fill(side, "body", "round", printable=True), fill(cap, rng.choice(["metal", "wood", "ink"]), "round")]
    if rng.random() < 0.4:
        parts.append(fill(box(-half, 0.5, half, 0.72), "paper", "round"))
    return parts


def lamp(rng):
    """A table lamp with a cone for a shade."""
    top, wide, rim = rng.uniform(0.26, 0.42), rng.uniform(0.68, 0.82), rng.uniform(0.0, 0.12)
    shade = rounded([(-top, -0.92), (top, -0.92), (wide, rim), (-wide, rim)], 0.05)
    foot = rng.choice(["metal", "wood", "ink"])
    bulge = curve([(-0.06, 0.1), (0.06, 0.1), (0.2, 0.5), (0.09, 0.86), (-0.09, 0.86), (-0.2, 0.5)])
    stem = fill(bulge, foot, "round") if rng.random() < 0.5 else line([(0, 0.05), (0, 0.85)], foot, 0.07, "flat")
    return [
        stem,
        fill(ellipse(0, 0.9, 0.4, 0.09), foot, "round"),
        fill(ellipse(0, rim, wide, 0.09), "glow"),
        fill(shade, "body", "round", printable=True),
    ]


def chair(rng):
    """A chair in half profile on four wooden or metal legs."""
    frame = rng.choice(["wood", "metal", "ink"])
    back = rounded([(-0.62, -0.98), (0.38, -0.9), (0.4, 0.02), (-0.58, 0.08)], rng.uniform(0.1, 0.3))
    seat = rounded([(-0.62, 0.06), (0.42, 0.0), (0.74, 0.22), (-0.4, 0.34)], 0.1)
    front = rounded([(-0.4, 0.32), (0.74, 0.2), (0.74, 0.31), (-0.4, 0.43)], 0.04)
    return [
        line([(-0.54, 0.15), (-0.62, 0.8)], frame, 0.07),
        line([(0.36, 0.1), (0.44, 0.74)], frame, 0.07),
        fill(back, "body", "cloth", printable=True),
        fill(seat, "light", "flat"),
        fill(front, "dusk", "flat"),
        line([(-0.34, 0.42), (-0.42, 0.98)], frame, 0.08),
        line([(0.66, 0.3), (0.76, 0.92)], frame, 0.08),
    ]


def watch(rng):
    """A wrist watch whose strap has the product's colour."""
    radius = rng.uniform(0.4, 0.48)
    dial, hand = [("paper", "ink"), ("ink", "paper")][int(rng.integers(2))]
    strap = [(-0.27, -0.25), (-0.22, -1.0), (0.22, -1.0), (0.27, -0.25), (0.27, 0.25), (0.2, 1.0), (-0.2, 1.0), (-0.27, 0.25)]
    angles = np.radians(np.arange(0, 360, 30))
    hours = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius
    ticks = [line([hour * 0.68, hour * 0.76], hand, 0.025) for hour in hours]
    hour, minute = rng.uniform(0, 2 * np.pi, 2)
    return [
        fill(rounded(strap, 0.08), "body", "round"),
        line([(0, -0.9), (0, -0.55)], "crease", 0.02),
        *[fill(ellipse(0, y, 0.03, 0.03), "deep") for y in (0.62, 0.74, 0.86)],
        fill(box(radius - 0.02, -0.07, radius + 0.1, 0.07, 0.03), "metal"),
        fill(ellipse(0, 0, radius, radius), "metal", "flat"),
        fill(ellipse(0, 0, radius * 0.83, radius * 0.83), dial),
        *ticks,
        line([(0, 0), (np.cos(hour) * radius * 0.4, np.sin(hour) * radius * 0.4)], hand, 0.045),
        line([(0, 0), (np.cos(minute) * radius * 0.62, np.sin(minute) * radius * 0.62)], hand, 0.03),
    ]


def book(rng):
    """A closed hardback, its pages showing below and on the right."""
    depth, half = rng.uniform(0.07, 0.13), rng.uniform(0.6, 0.7)
    back = box(-half, -0.88 + depth, half + depth, 0.88 + depth, 0.03)
    pages = box(-half + 0.03, -0.82, half + depth * 0.7, 0.86 + depth * 0.6, 0.02)
    cover = box(-half, -0.92, half, 0.86, 0.03)
    title = rng.uniform(-0.6, -0.3)
    return [
        fill(back, "deep"),
        fill(pages, "paper"),
        fill(cover, "body", "flat", printable=True),
        fill(box(-half, -0.92, -half + 0.14, 0.86, 0.02), "dusk"),
        fill(box(-0.32, title - 0.1, 0.46, title + 0.22, 0.03), "paper"),
        line([(-0.2, title), (0.34, title)], "ink", 0.05),
        line([(-0.12, title + 0.12), (0.26, title + 0.12)], "ink", 0.03),
    ]


def hat(rng):
    """A brimmed hat with a ribbon, or a baseball cap."""
    return brimmed_hat(rng) if rng.random() < 0.5 else baseball_cap(rng)


def brimmed_hat(rng):
    """A hat with a wide brim and a dark ribbon."""
    height, half = rng.uniform(-0.68, -0.5), rng.uniform(0.48, 0.56)
    crown = curve(
        [(-half, 0.22), (-half + 0.04, -0.2), (-0.3, height), (0, height + 0.06)]
        + [(0.3, height), (half - 0.04, -0.2), (half, 0.22), (0, 0.32)]
    )
    ribbon = curve([(-half, 0.2), (-half, 0.0), (0, 0.1), (half, 0.0), (half, 0.2), (0, 0.32)])
    brim = curve([(-1.0, 0.12), (-0.6, 0.16), (0, 0.26), (0.6, 0.16), (1.0, 0.12), (0.7, 0.46), (0, 0.56), (-0.7, 0.46)])
    return [
        fill(brim, "body", "cloth"),
        fill(crown, "body", "round", printable=True),
        fill(ribbon, rng.choice(["ink", "deep", "trim"]), "round"),
    ]


def baseball_cap(rng):
    """A cap whose peak points to the right."""
    height = rng.uniform(-0.72, -0.58)
    dome = curve(
        [(-0.78, 0.3), (-0.74, -0.15), (-0.42, height + 0.08), (-0.05, height)]
        + [(0.3, height + 0.16), (0.5, -0.1), (0.52, 0.26), (-0.1, 0.36)]
    )
    peak = curve([(0.3, 0.18), (0.52, 0.1), (0.85, 0.22), (1.0, 0.42), (0.8, 0.42), (0.4, 0.38), (0.1, 0.36)])
    return [
        fill(dome, "body", "round", printable=True),
        line(curve([(-0.05, height), (0.14, -0.2), (0.16, 0.3)], closed=False), "crease", 0.015),
        line(curve([(-0.05, height), (-0.4, -0.2), (-0.44, 0.32)], closed=False), "crease", 0.015),
        fill(ellipse(-0.05, height, 0.07, 0.04), "dusk"),
        fill(peak, "dusk", "flat"),
    ]


def sunglasses(rng):
    """Sunglasses seen from the front, their frame and lenses in the product's colour."""
    return round_glasses(rng) if rng.random() < 0.4 else square_glasses(rng)


def round_glasses(rng):
    """Sunglasses with round lenses."""
    radius = rng.uniform(0.34, 0.4)
    return glasses(ellipse(0.5, 0.05, radius, radius), rng)


def square_glasses(rng):
    """Sunglasses with lenses that narrow towards the cheek."""
    drop = rng.uniform(0.32, 0.46)
    return glasses(rounded([(0.13, -0.26), (0.92, -0.3), (0.82, drop), (0.26, drop)], 0.22), rng)


def glasses(lens, rng):
    """Both lenses with frame, bridge and folded temples, given the right lens."""
    mirrored = lens * (-1, 1)
    width = rng.uniform(0.11, 0.15)
    shine = curve([(0.3, -0.08), (0.5, -0.14), (0.42, 0.08), (0.3, 0.12)])
    temples = [line([(side * 0.9, -0.16), (side * 0.98, -0.34), (side * 0.7, -0.44)], "dusk", 0.08) for side in (-1, 1)]
    frames = [line(np.concatenate([side, side[:1]]), "body", width) for side in (mirrored, lens)]
    return [
        *temples,
        *[fill(side, "lens") for side in (mirrored, lens)],
        fill(shine, "shine"),
        fill(shine + (-0.98, 0), "shine"),
        *frames,
        line(curve([(-0.16, -0.1), (0, -0.2), (0.16, -0.1)], closed=False), "body", 0.1),
    ]


def umbrella(rng):
    """An open umbrella with a hooked handle."""
    top, rim = -0.88, rng.uniform(-0.12, 0.02)
    dome = ellipse(0, rim, 0.98, rim - top, 180, 360)
    scallops = [ellipse(x, rim, 0.245, rng.uniform(0.06, 0.1), 0, -180) for x in (0.735, 0.245, -0.245, -0.735)]
    canopy = np.concatenate([dome, *scallops])
    middle = (top + rim) / 2 - 0.12
    bends = [curve([(0, top), (x * 0.62, middle), (x, rim)], closed=False) for x in (-0.49, 0.0, 0.49)]
    ribs = [line(bend, "crease", 0.018) for bend in bends]
    hook = curve([(0, 0.6), (0, 0.84), (0.12, 0.96), (0.26, 0.9), (0.28, 0.76)], closed=False)
    return [
        line([(0, -0.98), (0, 0.65)], "metal", 0.045),
        line(hook, rng.choice(["wood", "ink"]), 0.085),
        fill(canopy, "body", "round", printable=True),
        *ribs,
    ]


# Lying products are photographed from above; the others are upright and turned less.
LYING = {"t-shirt", "watch", "book", "sunglasses"}

PRODUCTS = {
    "mug": mug,
    "t-shirt": shirt,
    "shoe": shoe,
    "handbag": handbag,
    "bottle": bottle,
    "lamp": lamp,
    "chair": chair,
    "watch": watch,
    "book": book,
    "hat": hat,
    "sunglasses": sunglasses,
    "umbrella": umbrella,
}
