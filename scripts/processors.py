#!/usr/bin/env python3
"""Writes model/src/folder/processors.json: the image processors of transformers, with the defaults each gives to absent fields.

    scripts/processors.py            writes the table (needs transformers with torch and torchvision: scripts/setup.sh processors)
    scripts/processors.py --check    fails if the table differs from what this transformers says

A processor is in the table if its output on generated pictures equals the steps that its `kind` stands for; that is
tried for every class, so a class that only inherits or repeats the common steps needs no entry here.
The kinds themselves are in model/src/folder/processor.rs.
"""

import importlib
import inspect
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import transformers
import transformers.models
from PIL import Image
from transformers.image_processing_utils import BaseImageProcessor
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

TABLE = Path(__file__).parent.parent / "model/src/folder/processors.json"
FIELDS = [
    "size", "crop_size", "crop_pct", "resample", "do_resize", "do_center_crop", "do_rescale", "rescale_factor", "rescale_offset",
    "do_normalize", "image_mean", "image_std", "do_flip_channel_order", "include_top",
]
# Does not affect the values of the picture.
IRRELEVANT = {
    "image_processor_type", "do_convert_rgb", "default_to_square", "return_tensors", "data_format", "input_data_format", "device",
    "disable_grouping", "image_seq_length", "_valid_kwargs_names", "model_input_names", "do_reduce_labels", "segmentation_maps",
}
SHAPES = [(300, 400), (401, 233), (64, 64)]


def picture(height, width):
    """Smooth colours, so that resamplers of two libraries differ by little, with the channels clearly apart."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [np.sin(x / 23) * 90 + 130, np.cos(y / 31) * 60 + 90, (x + y) * 200.0 / (height + width)]
    return Image.fromarray(np.stack(channels, -1).clip(0, 255).astype(np.uint8))


def sides(size):
    """(height, width), or the shorter side; None for any other form of size."""
    size = {key: value for key, value in dict(size or {}).items() if value is not None}
    if set(size) == {"height", "width"}:
        return (size["height"], size["width"])
    return size["shortest_edge"] if set(size) == {"shortest_edge"} else None


def shorter_side(image, side):
    width, height = image.size
    long = int(side * max(image.size) / min(image.size))
    return image.resize((side, long) if width <= height else (long, side), resample=RESAMPLE)


def center_crop(image, size):
    height, width = size
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


def resized(image, fields, kind):
    size = sides(fields.get("size"))
    side = size if isinstance(size, int) else size[0]
    crop = sides(fields.get("crop_size"))
    if kind == "conv_next":
        if side >= 384:
            return image.resize((side, side), resample=RESAMPLE)
        return center_crop(shorter_side(image, int(side / fields["crop_pct"])), (side, side))
    if kind == "pool_former":
        image = shorter_side(image, math.floor(side / fields["crop_pct"]))
    elif kind == "levit":
        image = shorter_side(image, int((256 / 224) * side))
    elif kind == "perceiver":
        short = min(image.size)
        square = (size[0] / crop[0]) * short
        box = center_crop(image, (int(square), int(square)))
        return box.resize(size[::-1], resample=RESAMPLE)
    elif isinstance(size, int):
        image = shorter_side(image, size)
    else:
        image = image.resize(size[::-1], resample=RESAMPLE)
    if fields.get("do_center_crop"):
        image = center_crop(image, (crop, crop) if isinstance(crop, int) else crop)
    return image


def expected(image, fields, kind):
    global RESAMPLE
    RESAMPLE = Image.Resampling(int(fields.get("resample") if fields.get("resample") is not None else 2))
    if fields.get("do_resize"):
        image = resized(image, fields, kind)
    values = np.asarray(image).astype(np.float64).transpose(2, 0, 1)
    if fields.get("do_flip_channel_order"):
        values = values[::-1]
    if fields.get("do_rescale"):
        values = values * fields.get("rescale_factor", 1 / 255)
        if fields.get("rescale_offset"):
            values = values - 1
    if fields.get("do_normalize"):
        mean, std = (np.array(fields[name], dtype=np.float64).reshape(-1, 1, 1) for name in ("image_mean", "image_std"))
        values = (values - mean) / std
        if kind == "efficient_net" and fields.get("include_top"):
            values = values / std
    return values


def same(processor, fields, kind):
    """Whether the processor does what `kind` describes, within two grey levels at most and half a level on average."""
    std = np.abs(np.array(fields.get("image_std") or [1.0])).min() if fields.get("do_normalize") else 1.0
    level = (1 / 255 if fields.get("do_rescale") else 1.0) / std / (std if kind == "efficient_net" else 1.0)
    for shape in SHAPES:
        image = picture(*shape)
        try:
            found = np.asarray(processor(images=image, return_tensors="np")["pixel_values"], dtype=np.float64)
            found = found.reshape(found.shape[-3:])
            wanted = expected(image, fields, kind)
        except Exception:  # noqa: BLE001: whatever a class refuses, it is not of this kind
            return False
        if found.shape != wanted.shape:
            return False
        # Perceiver's box is a pixel off where halves are rounded; its edges are compared by their average alone.
        difference = np.abs(found - wanted)
        if (difference.max() > 3 * level and kind != "perceiver") or difference.mean() > level:
            return False
    return True


def plain_value(value):
    if isinstance(value, dict) or hasattr(value, "items"):
        return {key: plain_value(inner) for key, inner in dict(value).items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [plain_value(inner) for inner in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    return int(value) if isinstance(value, int) or float(value).is_integer() and not isinstance(value, float) else float(value)


def classes():
    root = Path(transformers.models.__file__).parent
    for path in sorted(root.glob("*/image_processing_*.py")):
        try:
            module = importlib.import_module(f"transformers.models.{path.parent.name}.{path.stem}")
        except ImportError:
            continue
        for name, found in sorted(vars(module).items()):
            if inspect.isclass(found) and found.__module__ == module.__name__ and issubclass(found, BaseImageProcessor):
                yield name, found


def kinds(name):
    special = {"ConvNext": "conv_next", "PoolFormer": "pool_former", "Levit": "levit", "EfficientNet": "efficient_net", "Perceiver": "perceiver"}
    return [kind for family, kind in special.items() if name.startswith(family + "ImageProcessor")] or ["plain"]


def entry(name, found):
    """The processor's line of the table, or None if its steps are none of the kinds."""
    try:
        processor = found()
    except Exception:  # noqa: BLE001: some need other files
        return None
    every = processor.to_dict()
    fields = {field: plain_value(every[field]) for field in FIELDS if every.get(field) is not None}
    if fields.get("do_pad") or every.get("do_pad") or (fields.get("do_resize") and sides(fields.get("size")) is None):
        return None
    for kind in kinds(name):
        if same(processor, fields, kind):
            other = {key: plain_value(value) for key, value in every.items() if key not in FIELDS and key not in IRRELEVANT}
            return {"kind": kind, **fields, "other": dict(sorted(other.items()))}
    return None


def table():
    """One line for each family; a second one for its PIL backend if that has other defaults."""
    backends = {name: line for name, found in classes() if (line := entry(name, found)) is not None}
    processors = {}
    for name, line in sorted(backends.items()):
        family = name.removesuffix("Pil").removesuffix("ImageProcessor")
        if not name.endswith("Pil") or family not in processors:
            processors[family] = line
        elif processors[family] != line:
            processors[family + "Pil"] = line
    model_types = {}
    for model_type, names in sorted(IMAGE_PROCESSOR_MAPPING_NAMES.items()):
        family = (names.get("torchvision") or names.get("pil")).removesuffix("Pil").removesuffix("ImageProcessor")
        if family in processors:
            model_types[model_type] = family
    return {"transformers": transformers.__version__, "processors": processors, "model_types": model_types}


def text(found):
    """A line for each entry, so that a change of transformers reads as a change of lines."""
    parts = [f'  "transformers": {json.dumps(found["transformers"])}']
    for part in ("processors", "model_types"):
        lines = [f"    {json.dumps(name)}: {json.dumps(value)}" for name, value in found[part].items()]
        parts.append(f'  "{part}": {{\n' + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    written = text(table())
    json.loads(written)
    if "--check" in sys.argv:
        sys.exit(0 if TABLE.read_text() == written else f"{TABLE} is not what transformers {transformers.__version__} says")
    TABLE.write_text(written)
