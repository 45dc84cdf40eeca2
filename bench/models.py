"""Makes the models that `make bench` runs: MobileNetV2, ResNet-50 and ViT-B/16 with seeded random weights, as ONNX.

    models.py --pictures FOLDER --out FOLDER NETWORK...

A network's folder has it in 32-bit floats, as a graph and as the weights that torch reads (NETWORK.pt beside the folder). The
two that processors are measured with come again in 8-bit integers as QDQ. The cost of a network does not depend on its
weights, but its numbers have to stay in range: statistics of batch normalisation are those of the given pictures, and the
last layer is shifted and scaled so that the pictures do not all get one class.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

try:
    import numpy
    import onnx
    import torch
    import torchvision
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process
    from PIL import Image
    from torchvision.transforms import v2
except ImportError as error:
    sys.exit(f"models.py: {error}: install bench/requirements.txt first (scripts/setup.sh bench)")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OPSET = 17
# Pictures that the statistics are taken from, and those that the integers' ranges are.
STATISTICS, RANGES = 64, 64
# Of the scores of all pictures: wide enough that softmax has a favourite.
SPREAD = 3.0

ARCHITECTURES = {
    "mobilenet_v2": (torchvision.models.mobilenet_v2, lambda network: network.classifier[1]),
    "resnet50": (torchvision.models.resnet50, lambda network: network.fc),
    "vit_b_16": (torchvision.models.vit_b_16, lambda network: network.heads.head),
}
# In integers too: the transformer is measured on a GPU only.
QUANTISED = ("mobilenet_v2", "resnet50")

PREPROCESSOR = {
    "image_processor_type": "MobileNetV2ImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 2,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": MEAN,
    "image_std": STD,
}


def tensors(folder, count):
    """`count` pictures of the folder, evenly chosen, as [count, 3, 224, 224]."""
    files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        sys.exit(f"models.py: no JPEG is in {folder}")
    prepare = v2.Compose(
        [
            v2.PILToTensor(),
            v2.Resize(256, antialias=True),
            v2.CenterCrop(224),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    chosen = files[:: max(1, len(files) // count)][:count]
    return torch.stack([prepare(Image.open(path).convert("RGB")) for path in chosen])


def network(name, pictures):
    """The network with random weights, in range for `pictures`."""
    make, classifier = ARCHITECTURES[name]
    torch.manual_seed(20_26)
    made = make(weights=None)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # None takes the plain average of what it sees, which is one batch.
            module.momentum = None
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    last = classifier(made)
    if not last.weight.any():
        # As a transformer begins its training: every picture would get the same.
        torch.nn.init.normal_(last.weight, std=0.02)
    with torch.no_grad():
        made.train()(pictures)
        scores = made.eval()(pictures)
        middle = scores.mean(dim=0)
        factor = SPREAD / (scores - middle).std().item()
        last.bias.copy_((last.bias - middle) * factor)
        last.weight.mul_(factor)
        scores = made(pictures)
    classes = scores.argmax(dim=1).unique().numel()
    if not torch.isfinite(scores).all() or classes < 2:
        sys.exit(f"models.py: {name}: {classes} classes over {len(pictures)} pictures: the weights are useless")
    print(f"{name}: {classes} classes over {len(pictures)} pictures, scores' spread {scores.std().item():.2f}")
    return made


def export(made, pictures, path):
    batch = {0: "batch"}
    torch.onnx.export(
        made,
        (pictures[:1],),
        str(path),
        input_names=["pixel_values"],
        output_names=["logits"],
        dynamic_axes={"pixel_values": batch, "logits": batch},
        opset_version=OPSET,
        dynamo=False,
    )
    onnx.checker.check_model(str(path))


class Pictures(CalibrationDataReader):
    """Hands the quantiser one picture after the other."""

    def __init__(self, pictures):
        self.left = iter(pictures.numpy())

    def get_next(self):
        picture = next(self.left, None)
        return None if picture is None else {"pixel_values": numpy.expand_dims(picture, 0)}


def quantise(source, target, pictures):
    prepared = target.with_name("prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(target),
        Pictures(pictures),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    prepared.unlink()


def describe(folder):
    """What Hugging Face's ONNX export would put beside the graph."""
    labels = {str(number): f"class {number}" for number in range(1000)}
    config = {"problem_type": "single_label_classification", "id2label": labels}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=1) + "\n")


def finished(folder, out):
    """Puts a folder in its place once it is whole."""
    describe(folder)
    place = out / folder.name.removeprefix("unfinished-")
    shutil.rmtree(place, ignore_errors=True)
    folder.rename(place)
    return place


def begun(out, name):
    folder = out / f"unfinished-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", required=True, help="a folder of JPEGs")
    parser.add_argument("--out", required=True, type=Path, help="where the model folders go")
    parser.add_argument("networks", nargs="+", choices=ARCHITECTURES, metavar="NETWORK", help=", ".join(ARCHITECTURES))
    arguments = parser.parse_args()
    pictures = tensors(arguments.pictures, max(STATISTICS, RANGES))
    for name in arguments.networks:
        folder = begun(arguments.out, name)
        made = network(name, pictures[:STATISTICS])
        export(made, pictures, folder / "model.onnx")
        torch.save(made.state_dict(), arguments.out / f"{name}.pt")
        floats = finished(folder, arguments.out)
        if name not in QUANTISED:
            continue
        folder = begun(arguments.out, f"{name}_int8")
        quantise(floats / "model.onnx", folder / "model.onnx", pictures[:RANGES])
        finished(folder, arguments.out)


if __name__ == "__main__":
    main()
