"""Makes the demo: draws pictures, trains a small tagging network on them, exports it, and measures it on pictures it never saw.

Install (Python 3.11 or 3.12; the wheel of torch brings gigabytes of CUDA libraries along):

    python3 -m venv /tmp/demo-venv
    /tmp/demo-venv/bin/pip install --require-hashes -r demo/requirements.txt

Run:

    /tmp/demo-venv/bin/python demo/make_demo.py             # everything below demo/model and demo/photos, and demo/truth.tsv
    /tmp/demo-venv/bin/python demo/make_demo.py evaluate    # only measure the model that is there

Every picture follows from its set's name and its number. Training is seeded; its result is the same for the same versions,
processor and number of threads, and nearly the same elsewhere.
"""

import argparse
import io
import json
import shutil
from multiprocessing import Pool
from pathlib import Path
from string import Template

import numpy as np
import onnxruntime
import torch
from PIL import Image, ImageOps
from torch import nn

import pictures

HERE = Path(__file__).resolve().parent
MODEL, PHOTOS, TRUTH = HERE / "model", HERE / "photos", HERE / "truth.tsv"

GROUPS = {
    "shape": pictures.SHAPES,
    "colour": list(pictures.COLOURS),
    "background": list(pictures.BACKGROUNDS),
    "pattern": pictures.PATTERNS,
}
LABELS = [label for labels in GROUPS.values() for label in labels]

TRAINING_SET, TRAINING_PICTURES = "training", 7200
HELD_OUT_SET, HELD_OUT_PICTURES = "held-out", 1200
PHOTO_COUNT = 60
EPOCHS, BATCH, LEARNING_RATE, SEED = 24, 48, 4e-3, 2
THRESHOLD = 0.5

SIDE = 96
PREPROCESSING = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": SIDE, "width": SIDE},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}

FOLDERS = ["autumn", "home", "sale/last chance", "spring", "summer", "winter"]
# Shops do name files like this, and a tagger has to carry such names unharmed.
AWKWARD_NAMES = {16: "sku-0192 (copy)", 33: "Größe M, sku-0396"}


def main():
    """Makes everything, or only measures."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    with Pool(arguments.threads) as pool:
        if arguments.what == "all":
            write_photos()
            export(train(*draw_set(pool, TRAINING_SET, TRAINING_PICTURES)))
            write_configuration()
        write_metrics(evaluate(pool))
    write_card()


def parse_arguments():
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="Makes the demo's pictures and its model.")
    parser.add_argument("what", nargs="?", choices=["all", "evaluate"], default="all")
    parser.add_argument("--threads", type=int, default=2, help="for drawing and for training; 2 made the committed model")
    return parser.parse_args()


# Pictures in, pixels out


def draw_set(pool, set_name, count):
    """A set of pictures as (pixels of the network's input size, truth): arrays of bytes and of zeros and ones."""
    jobs = [(set_name, index) for index in range(count)]
    drawn = pool.starmap(draw_one, jobs, chunksize=20)
    return np.stack([pixels for pixels, _ in drawn]), np.stack([truth for _, truth in drawn])


def draw_one(set_name, index):
    """One picture, as a reader of its JPEG file sees it after resizing, and its truth."""
    plan, image = pictures.draw(set_name, index)
    rng = pictures.generator(set_name + " quality", index)
    return resized(Image.open(io.BytesIO(pictures.jpeg(image, rng)))), truth_of(plan)


def resized(image):
    """The first half of the preprocessing: the bytes of the network's input size."""
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling(PREPROCESSING["resample"])))


def normalised(pixels):
    """The second half of the preprocessing: floats as [picture, channel, row, column]."""
    scaled = pixels.astype(np.float32) * np.float32(PREPROCESSING["rescale_factor"])
    mean, deviation = np.float32(PREPROCESSING["image_mean"]), np.float32(PREPROCESSING["image_std"])
    return np.ascontiguousarray(((scaled - mean) / deviation).transpose(0, 3, 1, 2))


def truth_of(plan):
    """One for every label that is true of the picture, else zero."""
    return np.isin(LABELS, plan.tags()).astype(np.float32)


# The network


def network():
    """Seven convolutions, then the mean over the picture: small, and made of operators that every engine has."""
    return nn.Sequential(
        *convolution(3, 24, stride=2),
        *convolution(24, 32, stride=2),
        *convolution(32, 48),
        *convolution(48, 64, stride=2),
        *convolution(64, 64),
        *convolution(64, 96, stride=2),
        *convolution(96, 64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, len(LABELS)),
    )


def convolution(inputs, outputs, stride=1):
    """A convolution with its normalisation, which the export folds into the weights."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


def train(pixels, truth):
    """Trains the network from nothing on the drawn pictures."""
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    model = network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    steps = len(pixels) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=EPOCHS * steps)
    for epoch in range(EPOCHS):
        loss = train_epoch(model, optimizer, schedule, pixels, torch.from_numpy(truth))
        print(f"epoch {epoch + 1} of {EPOCHS}: loss {loss:.4f}", flush=True)
    return model.eval()


def train_epoch(model, optimizer, schedule, pixels, targets):
    """One pass over all pictures in a new order; returns the mean loss."""
    losses = []
    for batch in torch.randperm(len(pixels)).split(BATCH)[: len(pixels) // BATCH]:
        inputs = torch.from_numpy(normalised(pixels[batch.numpy()]))
        loss = nn.functional.binary_cross_entropy_with_logits(model(varied(inputs)), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def varied(batch):
    """Mirrors some pictures, and moves and brightens each batch a little, so that no picture is seen twice alike."""
    mirrored = torch.rand(len(batch), 1, 1, 1) < 0.5
    batch = torch.where(mirrored, batch.flip(3), batch)
    top, left = torch.randint(0, 9, (2,)).tolist()
    batch = nn.functional.pad(batch, (4, 4, 4, 4), mode="replicate")[:, :, top : top + SIDE, left : left + SIDE]
    brightness = 1 + 0.04 * torch.randn(len(batch), 1, 1, 1)
    return ((batch + 1) * brightness - 1).contiguous(memory_format=torch.channels_last)


# The model folder, laid out as Hugging Face's ONNX export does


def export(model):
    """Writes the network as one ONNX file with its weights inside."""
    MODEL.mkdir(exist_ok=True)
    torch.onnx.export(
        model.to(memory_format=torch.contiguous_format),
        torch.zeros(1, 3, SIDE, SIDE),
        MODEL / "model.onnx",
        opset_version=13,
        input_names=["pixel_values"],
        output_names=["logits"],
        dynamic_axes={"pixel_values": {0: "batch"}, "logits": {0: "batch"}},
    )


def write_configuration():
    """Writes the labels and the preprocessing next to the network."""
    configuration = {
        "architectures": ["SmallConvNetForImageClassification"],
        "model_type": "small_convnet",
        "problem_type": "multi_label_classification",
        "num_channels": 3,
        "image_size": SIDE,
        "id2label": {str(number): label for number, label in enumerate(LABELS)},
        "label2id": {label: number for number, label in enumerate(LABELS)},
    }
    write_json(MODEL / "config.json", configuration)
    write_json(MODEL / "preprocessor_config.json", PREPROCESSING)


def write_json(path, value):
    """Writes readable JSON."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


# The sixty photos


def write_photos():
    """Writes the first pictures of the held-out set as files of many kinds, and what they show."""
    shutil.rmtree(PHOTOS, ignore_errors=True)
    plans = [pictures.draw(HELD_OUT_SET, index)[0] for index in range(PHOTO_COUNT)]
    kinds = choose_kinds(plans)
    keys = [write_photo(index, kinds.get(index, "jpeg")) for index in range(PHOTO_COUNT)]
    lines = sorted(f"{key}\t{', '.join(plan.tags())}" for key, plan in zip(keys, plans))
    TRUTH.write_text("key\ttags\n" + "\n".join(lines) + "\n", encoding="utf-8")


def choose_kinds(plans):
    """Gives each unusual kind of file to the first picture that it suits, so that its truth stays true."""
    kinds = {}
    for kind, (_, _, suits) in KINDS.items():
        if kind != "jpeg":
            index = next(i for i, plan in enumerate(plans) if i not in kinds and suits(plan))
            kinds[index] = kind
    return kinds


def write_photo(index, kind):
    """Writes one picture as a file of this kind and returns its key, the path below the photos."""
    ending, encode, _ = KINDS[kind]
    name = AWKWARD_NAMES.get(index, f"sku-{index * 12:04}")
    key = f"{FOLDERS[index % 7 % len(FOLDERS)]}/{name}{ending}"
    path = PHOTOS / key
    path.parent.mkdir(parents=True, exist_ok=True)
    encode(index, path)
    return key


def as_jpeg(index, path, **options):
    """A baseline JPEG of a shop's usual quality."""
    picture(index).save(path, "JPEG", quality=85, optimize=True, **options)


def as_progressive_jpeg(index, path):
    """A JPEG that loads in ever finer passes."""
    as_jpeg(index, path, progressive=True)


def as_turned_jpeg(index, path):
    """Stored lying on its side, with the EXIF orientation that puts it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(index).transpose(Image.Transpose.ROTATE_90).save(path, "JPEG", quality=85, optimize=True, exif=exif)


def as_grey_jpeg(index, path):
    """A JPEG with one channel."""
    picture(index).convert("L").save(path, "JPEG", quality=85, optimize=True)


def as_palette_png(index, path):
    """A PNG of 96 colours."""
    picture(index).quantize(96, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)


def as_transparent_png(index, path):
    """A PNG of the product alone, transparent around it."""
    pictures.draw_cutout(HELD_OUT_SET, index)[1].save(path, "PNG", optimize=True)


def as_webp(index, path):
    """A lossy WebP."""
    picture(index).save(path, "WEBP", quality=85, method=6)


def picture(index):
    """A picture of the held-out set."""
    return pictures.draw(HELD_OUT_SET, index)[1]


def is_colourless(plan):
    """Whether a picture loses nothing in grey."""
    return plan.colour in ("black", "white") and plan.background in ("studio", "white background")


# Kind of file: its ending, how it is written, and which pictures it suits.
KINDS = {
    "jpeg": (".jpg", as_jpeg, lambda plan: True),
    "progressive": (".jpg", as_progressive_jpeg, lambda plan: True),
    "turned": (".jpg", as_turned_jpeg, lambda plan: True),
    "grey": (".jpg", as_grey_jpeg, is_colourless),
    "transparent": (".png", as_transparent_png, lambda plan: plan.background == "white background" and plan.colour != "white"),
    "palette": (".png", as_palette_png, lambda plan: plan.background == "white background"),
    "webp": (".webp", as_webp, lambda plan: True),
}


# The measurement


def evaluate(pool):
    """Measures the exported file, not the network in memory, so that anyone with an ONNX engine can repeat it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(MODEL / "model.onnx", options, providers=["CPUExecutionProvider"])
    pixels, truth = draw_set(pool, HELD_OUT_SET, HELD_OUT_PICTURES)
    photo_pixels, photo_truth = read_photos()
    return {
        "trained_on": TRAINING_PICTURES,
        "parameters": sum(parameter.numel() for parameter in network().parameters()),
        "model_bytes": (MODEL / "model.onnx").stat().st_size,
        "held_out": measures(scores(session, pixels), truth),
        "photos": measures(scores(session, photo_pixels), photo_truth),
    }


def read_photos():
    """The committed photos as a stranger reads them: decoded, turned upright, over white, resized."""
    rows = [row.split("\t") for row in TRUTH.read_text(encoding="utf-8").splitlines()[1:]]
    pixels = [resized(opaque(ImageOps.exif_transpose(Image.open(PHOTOS / key)))) for key, _ in rows]
    truth = [np.isin(LABELS, tags.split(", ")) for _, tags in rows]
    return np.stack(pixels), np.stack(truth).astype(np.float32)


def opaque(image):
    """An image without transparency: what was transparent becomes white."""
    if image.mode != "RGBA":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def scores(session, pixels):
    """The network's probabilities for every picture and label."""
    batches = [normalised(pixels[start : start + 50]) for start in range(0, len(pixels), 50)]
    logits = [session.run(["logits"], {"pixel_values": batch})[0] for batch in batches]
    return 1 / (1 + np.exp(-np.concatenate(logits)))


def measures(probabilities, truth):
    """The figures that the model's card states, as shares from 0 to 1."""
    chosen = probabilities >= THRESHOLD
    right = (chosen * truth).sum()
    precisions = [average_precision(*column) for column in zip(probabilities.T, truth.T)]
    return {
        "pictures": len(truth),
        **{f"{group}_accuracy": group_accuracy(group, probabilities, truth) for group in GROUPS},
        "all_tags_exact": share((chosen == truth).all(axis=1)),
        "micro_f1": round(float(2 * right / (chosen.sum() + truth.sum())), 4),
        "mean_average_precision": share(precisions),
    }


def group_accuracy(group, probabilities, truth):
    """How often the best label of a group is the true one; a pattern, which may be absent, is right if its tags are."""
    columns = [LABELS.index(label) for label in GROUPS[group]]
    probabilities, truth = probabilities[:, columns], truth[:, columns]
    if group == "pattern":
        return share(((probabilities >= THRESHOLD) == truth).all(axis=1))
    return share(probabilities.argmax(axis=1) == truth.argmax(axis=1))


def share(right):
    """The mean of values from 0 to 1, as the metrics state it."""
    return round(float(np.mean(right)), 4)


def average_precision(probabilities, truth):
    """The mean, over a label's true pictures, of the precision down to each of them in score order."""
    ranked = truth[np.argsort(-probabilities, kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return (precision * ranked).sum() / ranked.sum()


def write_metrics(metrics):
    """Writes and shows the figures."""
    write_json(MODEL / "metrics.json", metrics)
    print(json.dumps(metrics, indent=2))


def write_card():
    """Writes the model's README, its figures taken from the metrics."""
    metrics = json.loads((MODEL / "metrics.json").read_text())
    figures = {f"{part}_{name}": shown(value) for part in ("held_out", "photos") for name, value in metrics[part].items()}
    counts = {name: f"{metrics[name]:,}" for name in ("trained_on", "parameters", "model_bytes")}
    template = Template((HERE / "model-card.md").read_text(encoding="utf-8"))
    (MODEL / "README.md").write_text(template.substitute(figures, **counts), encoding="utf-8")


def shown(value):
    """A share as a percentage, a count as it is."""
    return f"{value:.2%}".replace("%", " %") if isinstance(value, float) else f"{value:,}"


if __name__ == "__main__":
    main()
