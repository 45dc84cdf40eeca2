"""Writes what transformers' own PIL processors make of a few pictures, for folder/tests/transformers.rs to compare with.

    processors.py FOLDER    writes manifest.json, pictures as raw RGB and tensors as 32-bit floats into FOLDER

Each processor is made with its defaults but for small sizes; the manifest has the file that says the same.
"""

import importlib
import inspect
import json
import sys
from pathlib import Path

import numpy as np
import transformers.models
from PIL import Image
from transformers.image_processing_backends import PilBackend

SHAPES = [(97, 64), (64, 131), (45, 45)]


def picture(height, width):
    samples = np.random.default_rng(height * width).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    return Image.fromarray(samples).resize((width, height), Image.Resampling.BICUBIC)


def small(found):
    """Sizes of the same form as the processor's own."""
    own = {key: value for key, value in dict(found.size).items() if value is not None}
    sizes = {"size": {"shortest_edge": 48} if "shortest_edge" in own else {"height": 40, "width": 40}}
    if getattr(found, "crop_size", None) is not None:
        sizes["crop_size"] = {"height": 44, "width": 44} if found.__class__.__name__.startswith("Perceiver") else {"height": 37, "width": 37}
    return sizes


def classes():
    for path in sorted(Path(transformers.models.__file__).parent.glob("*/image_processing_pil_*.py")):
        module = importlib.import_module(f"transformers.models.{path.parent.name}.{path.stem}")
        for name, found in sorted(vars(module).items()):
            if inspect.isclass(found) and found.__module__ == module.__name__ and issubclass(found, PilBackend):
                yield name, found


def main(folder, table):
    pictures = [picture(*shape) for shape in SHAPES]
    for number, image in enumerate(pictures):
        (folder / f"{number}.rgb").write_bytes(np.asarray(image).tobytes())
    manifest = {"shapes": SHAPES, "cases": []}
    for name, found in classes():
        if name.removesuffix("Pil").removesuffix("ImageProcessor") not in table:
            continue
        sizes = small(found())
        processor = found(**sizes)
        file = {"image_processor_type": name, **sizes}
        for number, image in enumerate(pictures):
            tensor = np.asarray(processor(images=image, return_tensors="np")["pixel_values"], dtype=np.float32)
            tensor = tensor.reshape(tensor.shape[-3:])
            case = f"{len(manifest['cases'])}.f32"
            (folder / case).write_bytes(tensor.tobytes())
            manifest["cases"].append({"class": name, "file": file, "picture": number, "shape": tensor.shape, "tensor": case})
    (folder / "manifest.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads((Path(__file__).parent.parent / "src/folder/processors.json").read_text())["processors"])
