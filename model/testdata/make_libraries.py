"""Makes what tensor/tests/libraries.rs compares with: values and whole tensors as the libraries compute them.

golden_values.f32 has 256 values per case of VALUES, golden_tensors.f32 one tensor per pair of a way of WAYS and a picture that it
accepts; the test lists both in the same order. Run it with torch, torchvision, timm, transformers, Pillow, numpy and
opencv-python-headless installed: python3 model/testdata/make_libraries.py. The committed files were made with the versions that
it prints: torch 2.15.0, torchvision 0.29.2, timm 1.0.31, transformers 5.24.0, Pillow 13.0.0, numpy 2.4.6, OpenCV 5.0.0.
"""

import math
from pathlib import Path

import cv2
import numpy as np
import PIL
import timm
import torch
import torchvision
import transformers
from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_eval
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from transformers import CLIPImageProcessor, EfficientNetImageProcessor, ViTImageProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

FOLDER = Path(__file__).parent
IMAGENET = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
CLIP = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
HALF = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]
ODD = [0.1307, 0.7, 1 / 3], [0.3081, 0.017, 1 / 7]
PAIRS = [IMAGENET, CLIP, HALF, ODD]
SCALES = [1 / 255, 1 / 127.5, 1 / 256, 0.00392156862745098, 0.5, 1.0]
PICTURES = [(1, 1), (1, 500), (37, 91), (640, 480)]


def levels():
    """Every sample value, in three equal channels."""
    return Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("RGB")


def picture(width, height):
    """The noise that the tests draw."""
    state, samples = 1, bytearray()
    for _ in range(width * height * 3):
        state = (state * 1664525 + 1013904223) % 2**32
        samples.append(state >> 24)
    return Image.frombytes("RGB", (width, height), bytes(samples))


def with_torchvision(mean, std):
    return transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])(levels()).numpy()


def with_transformers(processor, **settings):
    settings = {"do_resize": False, "do_center_crop": False, **settings}
    return np.asarray(processor(**settings)(levels(), return_tensors="pt")["pixel_values"][0])


def values():
    for mean, std in PAIRS:
        yield with_torchvision(mean, std)
    for processor in ViTImageProcessorPil, ViTImageProcessor:
        for scale in SCALES:
            for mean, std in PAIRS:
                yield with_transformers(processor, rescale_factor=scale, image_mean=mean, image_std=std)
            yield with_transformers(processor, rescale_factor=scale, do_normalize=False)
    for processor in EfficientNetImageProcessorPil, EfficientNetImageProcessor:
        for offset in False, True:
            for top in False, True:
                settings = {"rescale_factor": 1 / 127.5, "rescale_offset": offset, "include_top": top}
                yield with_transformers(processor, image_mean=ODD[0], image_std=ODD[1], **settings)


def timms(mode):
    def way(image):
        mean, std = IMAGENET
        crop_pct = 0.9 if mode == "border" else 0.875
        return transforms_imagenet_eval(
            (20, 12), crop_pct=crop_pct, crop_mode=mode, interpolation="bicubic", mean=mean, std=std
        )(image).numpy()

    return way


def preset(image):
    """torchvision.transforms._presets.ImageClassification as its weights' own code has it."""
    return torchvision.transforms._presets.ImageClassification(
        crop_size=16, resize_size=18, interpolation=InterpolationMode.BILINEAR, antialias=True
    )(image).numpy()


def padded_crop(image):
    """A centre crop that is larger than the picture."""
    steps = [transforms.Resize((9, 14)), transforms.CenterCrop((16, 17)), transforms.ToTensor()]
    return transforms.Compose(steps)(image).numpy()


def clip(image):
    settings = {"size": {"shortest_edge": 19}, "crop_size": {"height": 16, "width": 16}}
    return np.asarray(CLIPImageProcessorPil(**settings)(image, return_tensors="np")["pixel_values"][0])


def clip_crop_of_torchvision(image):
    """Without a resize, which differs from Pillow's by a level here and there."""
    settings = {"do_resize": False, "crop_size": {"height": 30, "width": 40}}
    return np.asarray(CLIPImageProcessor(**settings)(image, return_tensors="pt")["pixel_values"][0])


def clip_crop_of_pil(image):
    settings = {"do_resize": False, "crop_size": {"height": 30, "width": 40}}
    return np.asarray(CLIPImageProcessorPil(**settings)(image, return_tensors="np")["pixel_values"][0])


def tagger_of_drawings(image):
    """Pad to a white square, bicubic, blue first, 0..255, as the public code of the WD taggers does."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), (255, 255, 255))
    square.paste(image, ((side - image.size[0]) // 2, (side - image.size[1]) // 2))
    array = np.asarray(square.resize((16, 16), Image.BICUBIC), dtype=np.float32)
    return array[:, :, ::-1]


def line_of_text(image):
    """resize_norm_img of PaddleOCR, for 12x40."""
    height, width = 12, 40
    array = np.asarray(image)[:, :, ::-1]
    ratio = array.shape[1] / float(array.shape[0])
    resized = width if math.ceil(height * ratio) > width else int(math.ceil(height * ratio))
    array = cv2.resize(np.ascontiguousarray(array), (resized, height)).astype("float32")
    array = array.transpose((2, 0, 1)) / 255
    array -= 0.5
    array /= 0.5
    padded = np.zeros((3, height, width), dtype=np.float32)
    padded[:, :, :resized] = array
    return padded


def mean_of_channels(image):
    array = cv2.resize(np.asarray(image), (15, 14))
    return (array.mean(axis=2) / 255.0).astype(np.float32)


def letterbox(image):
    """Ratio kept, inside 18x14, padded with gray on both sides, in Pillow alone."""
    ratio = max(image.size[1] / 14, image.size[0] / 18)
    size = [max(1, round(side / ratio)) for side in image.size]
    padded = Image.new("RGB", (18, 14), (114, 100, 3))
    padded.paste(image.resize(size, Image.BILINEAR), ((18 - size[0]) // 2, (14 - size[1]) // 2))
    return np.asarray(padded, dtype=np.float32)


WAYS = [
    timms("border"),
    timms("center"),
    preset,
    padded_crop,
    clip,
    clip_crop_of_torchvision,
    clip_crop_of_pil,
    tagger_of_drawings,
    line_of_text,
    mean_of_channels,
    letterbox,
]


def tensors():
    pictures = [picture(*size) for size in PICTURES]
    for number, way in enumerate(WAYS):
        for size, image in zip(PICTURES, pictures):
            # timm resizes it to a width of 0, which Pillow refuses.
            if number == 0 and size == (1, 500):
                continue
            yield np.asarray(way(image), dtype="<f4")


def main():
    for module in torch, torchvision, timm, transformers, PIL, np, cv2:
        print(module.__name__, module.__version__)
    of_channels = [np.asarray(array, dtype="<f4").reshape(3, 256) for array in values()]
    (FOLDER / "golden_values.f32").write_bytes(b"".join(array.tobytes() for array in of_channels))
    (FOLDER / "golden_tensors.f32").write_bytes(b"".join(array.tobytes() for array in tensors()))


if __name__ == "__main__":
    main()
