"""Trains two tiny networks on drawings like the demo's, and writes their weights as networks.npz.

One names a product's colour from a colour picture, the other its background from a gray one. Both see pictures of 0 to 1,
squashed to 64x64. `make_origins.py` writes them as each exporter would.

Run, with torch and demo/requirements.txt's other packages (about ten minutes on two cores):

    python tests/origins/train.py
"""

import io
import sys
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "demo"))
import pictures  # noqa: E402

SIDE = 64
SET, PICTURES, HELD_OUT = "origins", 4000, 400
EPOCHS, BATCH, RATE, SEED = 24, 32, 8e-3, 3
WIDTHS = [8, 12, 16, 20]
LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


def main():
    """Trains both networks on the same drawings."""
    torch.set_num_threads(1)
    with Pool(2) as pool:
        drawn = pool.map(draw, range(PICTURES), chunksize=20)
    pixels = torch.from_numpy(np.stack([item[0] for item in drawn])).permute(0, 3, 1, 2).float() / 255
    colours, backgrounds = (torch.tensor([item[number] for item in drawn]) for number in (1, 2))
    gray = (pixels * LUMA).sum(1, keepdim=True)
    weights = weights_of("colour", train(pixels, colours, len(pictures.COLOURS)))
    weights |= weights_of("gray", train(gray, backgrounds, len(pictures.BACKGROUNDS)))
    np.savez(HERE / "networks.npz", **weights)


def draw(index):
    """One drawing as a reader of its JPEG file sees it, and the numbers of its colour and its background."""
    plan, image = pictures.draw(SET, index)
    file = io.BytesIO(pictures.jpeg(image, pictures.generator(SET + " quality", index)))
    pixels = np.asarray(Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return pixels, list(pictures.COLOURS).index(plan.colour), list(pictures.BACKGROUNDS).index(plan.background)


def network(channels, classes):
    """Four convolutions without padding, so that a change of range can be folded into the first one exactly."""
    layers = []
    for width, stride in zip(WIDTHS, [2, 2, 1, 2]):
        layers += [nn.Conv2d(channels, width, 3, stride, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def train(pixels, targets, classes):
    """A network, trained on all but the last pictures."""
    torch.manual_seed(SEED)
    np.random.seed(SEED)
    model, count = network(pixels.shape[1], classes), len(pixels) - HELD_OUT
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * (count // BATCH))
    for _ in range(EPOCHS):
        for batch in torch.randperm(count).split(BATCH)[: count // BATCH]:
            scores = model(varied(pixels[batch]))
            loss = nn.functional.cross_entropy(scores, targets[batch], label_smoothing=0.02)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        right = (model(pixels[count:]).argmax(1) == targets[count:]).float().mean()
    print(f"{classes} classes: {right:.4f} of the held-out pictures are right", flush=True)
    return model


def varied(batch):
    """Mirrors, moves and enlarges pictures a little, so that neither a crop nor a squash surprises the network."""
    mirrored = torch.rand(len(batch), 1, 1, 1) < 0.5
    batch = torch.where(mirrored, batch.flip(3), batch)
    batch = nn.functional.pad(batch, (4, 4, 4, 4), mode="replicate")
    size = int((SIDE + 8) * np.random.uniform(0.75, 1))
    top, left = np.random.randint(0, SIDE + 8 - size + 1, 2)
    part = batch[:, :, top : top + size, left : left + size]
    return nn.functional.interpolate(part, size=(SIDE, SIDE), mode="bilinear", antialias=True)


def weights_of(name, model):
    """All tensors of a network by the names of its layers."""
    return {f"{name}.{key}": value.numpy() for key, value in model.state_dict().items() if value.ndim}


if __name__ == "__main__":
    main()
