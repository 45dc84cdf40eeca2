"""Writes the networks of networks.npz as the exporters of published models would, each in a folder of its own.

Each folder has a model.onnx with the producer, names, layout and first and last operators of its origin, and a file of labels
in a form that such authors use; nothing describes the preprocessing. The range and the channel order that an origin's authors
use are folded into the first convolution, so that any other gives other scores. The forms were copied by eye from published
files and from exports by tf2onnx 1.17, PaddlePaddle 3.3, and PyTorch 2.4 and 2.11.

Run, with numpy and onnx:

    python tests/origins/make_origins.py
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, save

from exporters import caffe2, cntk, dynamo, keras, matlab, mxnet, paddle, torchscript

HERE = Path(__file__).resolve().parent
COLOURS = ["black", "white", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"]
BACKGROUNDS = ["white background", "studio", "gradient", "wood", "fabric"]
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@dataclass(frozen=True)
class Samples:
    """What a network of an origin gets: `(x * scale - mean) / std` of x in 0 to 1, per channel in the order of `order`."""

    scale: float = 1.0
    mean: tuple = (0.0, 0.0, 0.0)
    std: tuple = (1.0, 1.0, 1.0)
    order: tuple = (0, 1, 2)


UNIT, BYTES, SIGNED = Samples(), Samples(255.0), Samples(2.0, (1.0,) * 3)
BYTES_BGR = Samples(255.0, order=(2, 1, 0))
TORCH = Samples(1.0, IMAGENET_MEAN, IMAGENET_STD)
CAFFE = Samples(255.0, (103.939, 116.779, 123.68), order=(2, 1, 0))

VGG = ["vgg16/block1_conv1", "vgg16/block2_conv1", "vgg16/block3_conv1", "vgg16/block5_conv1"]
MOBILENET = [f"mobilenetv2_1.00_64/{name}" for name in ("Conv1", "expanded_conv_depthwise", "block_1_expand", "Conv_1")]
PLAIN = ["conv2d", "conv2d_1", "conv2d_2", "conv2d_3"]

# Per folder: how it is written, what the network gets, and the file and form of its labels.
ORIGINS = {
    "keras": (lambda net: keras(net, PLAIN), UNIT, "class_indices.json"),
    "keras_rescaling": (lambda net: keras(net, PLAIN, opening=(1 / 127.5, -1.0)), SIGNED, "class_names.json"),
    "keras_uint8": (lambda net: keras(net, PLAIN, opening=(1 / 255, 0.0), element=TensorProto.UINT8), UNIT, "labels.txt"),
    "keras_as_nchw": (lambda net: keras(net, PLAIN, is_nchw=True), UNIT, "labels.json"),
    "keras_vgg16": (lambda net: keras(net, VGG), CAFFE, "class_indices.json"),
    "keras_mobilenetv2": (lambda net: keras(net, MOBILENET), SIGNED, "labels.txt"),
    "keras_gray": (lambda net: keras(net, PLAIN), UNIT, "class_names.txt"),
    "matlab_zerocenter": (lambda net: matlab(net, mean=(150.0, 148.0, 146.0)), Samples(255.0, (150.0, 148.0, 146.0)), "classes.txt"),
    "matlab_none": (matlab, BYTES, "classes.txt"),
    "matlab_im2double": (matlab, UNIT, "classes.txt"),
    "cntk": (cntk, BYTES_BGR, "synset.txt"),
    "cntk_transfer": (lambda net: cntk(net, mean=114.0), Samples(255.0, (114.0,) * 3, order=(2, 1, 0)), "labels.txt"),
    "cntk_gray": (cntk, BYTES, "labels.txt"),
    "paddle": (paddle, TORCH, "label_list.txt"),
    "caffe2": (caffe2, CAFFE, "labels.txt"),
    "mxnet": (mxnet, TORCH, "synset.txt"),
    "torch": (torchscript, TORCH, "class_to_idx.json"),
    "torch_dynamo": (dynamo, TORCH, "idx_to_class.json"),
    "torch_normalising": (lambda net: torchscript(net, IMAGENET_MEAN, IMAGENET_STD), TORCH, "classes.json"),
    "torch_half": (torchscript, SIGNED, "classes.txt"),
    "torch_unit": (dynamo, UNIT, "labels.json"),
}


@dataclass
class Network:
    """The layers of a network: convolutions with their normalisations, then a dense layer."""

    filters: list
    normalisations: list
    dense: tuple
    labels: list

    def folded(self):
        """Filters and biases, with the normalisations inside."""
        layers = []
        for filters, (factor, offset, mean, variance) in zip(self.filters, self.normalisations):
            gain = factor / np.sqrt(variance + 1e-5)
            layers.append((filters * gain[:, None, None, None], offset - mean * gain))
        return layers


def main():
    """Writes all folders."""
    weights = np.load(HERE / "networks.npz")
    for name, (write, samples, labels) in ORIGINS.items():
        network = expecting(read(weights, "gray" if name.endswith("gray") else "colour"), samples)
        model = write(network)
        checker.check_model(model)
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        save(model, folder / "model.onnx")
        write_labels(folder / labels, network.labels)


def read(weights, name):
    """The network of that name as it was trained."""
    filters = [weights[f"{name}.{number}.weight"] for number in (0, 3, 6, 9)]
    keys = ("weight", "bias", "running_mean", "running_var")
    normalisations = [tuple(weights[f"{name}.{number}.{key}"] for key in keys) for number in (1, 4, 7, 10)]
    dense = (weights[f"{name}.14.weight"], weights[f"{name}.14.bias"])
    return Network(filters, normalisations, dense, BACKGROUNDS if name == "gray" else COLOURS)


def expecting(network, samples):
    """The same network for other samples: the same scores, and the statistics that training on them would have left."""
    first = network.filters[0]
    channels = first.shape[1]
    order = samples.order if channels == 3 else (0,)
    mean, std = (np.float64(values)[:channels] for values in (samples.mean, samples.std))
    filters = first[:, order].astype(np.float64) * (std / samples.scale)[None, :, None, None]
    shift = (first[:, order].sum((2, 3)) * (mean / samples.scale)).sum(1)
    factor, offset, middle, variance = network.normalisations[0]
    normalisation = (factor, offset, (middle - shift).astype(np.float32), variance)
    return Network(
        [filters.astype(np.float32), *network.filters[1:]],
        [normalisation, *network.normalisations[1:]],
        network.dense,
        network.labels,
    )


def write_labels(path, labels):
    """Labels in the form that files of this name have."""
    forms = {
        "class_indices.json": dict(sorted((label, index) for index, label in enumerate(labels))),
        "class_to_idx.json": {label: index for index, label in enumerate(labels)},
        "idx_to_class.json": {str(index): label for index, label in enumerate(labels)},
    }
    if path.suffix == ".json":
        text = json.dumps(forms.get(path.name, labels))
    elif path.name == "label_list.txt":
        text = "".join(f"{index} {label}\n" for index, label in enumerate(labels))
    else:
        text = "".join(f"{label}\n" for label in labels)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
