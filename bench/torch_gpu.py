"""PyTorch on the same job as `make bench` measures on a GPU: its own decoding, resizing and DataLoader, the same network.

    torch_gpu.py alone --network NAME --weights FILE --precision fp32|fp16
    torch_gpu.py run   --network NAME --weights FILE --precision fp32|fp16 --pictures FOLDER --workers N --batch B --out FILE

`alone` gives the network bytes from pinned memory, in the batch and layout of memory that are fastest of a few; `run` is what
a user would write: workers decode, resize and crop, the GPU normalises. TF32 is off, so that fp32 is fp32 on both sides. The
last line that either prints is JSON.
"""

import argparse
import csv
import json
import shutil
import sys
import time
from pathlib import Path

try:
    import torch
    import torchvision
    from torchvision.io import ImageReadMode, decode_jpeg, read_file
    from torchvision.transforms.v2 import functional
except ImportError as error:
    sys.exit(f"torch_gpu.py: {error}: install bench/requirements.txt first (scripts/setup.sh bench)")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE, CROP = 256, 224
BATCHES = (32, 64, 128, 256)
# On a processor, where nothing is measured.
TRIED = (1, 2)
# Seconds for each of these.
ENOUGH = 2.0
# After so many seconds without a batch a worker is taken for dead.
TIMEOUT = 120
TOP = 5
# Batches that each worker has ready.
AHEAD = 4


class Network(torch.nn.Module):
    """Bytes in, the best classes and their probabilities out."""

    def __init__(self, arguments):
        super().__init__()
        made = getattr(torchvision.models, arguments.network)(weights=None)
        made.load_state_dict(torch.load(arguments.weights, map_location="cpu", weights_only=True))
        self.kind = torch.float16 if arguments.precision == "fp16" else torch.float32
        self.made = made.eval().to(self.kind)
        self.layout = torch.contiguous_format
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1) * 255)

    def lay_out(self, channels_last):
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.made.to(memory_format=self.layout)

    def forward(self, crops):
        pixels = ((crops.float() - self.mean) / self.std).to(self.kind)
        scores = self.made(pixels.contiguous(memory_format=self.layout))
        return scores.float().softmax(dim=1).topk(TOP)


class Pictures(torch.utils.data.Dataset):
    """The crops of a folder's JPEGs, [3, 224, 224] in bytes."""

    def __init__(self, folder):
        self.paths = sorted(str(path) for path in Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, number):
        try:
            picture = decode_jpeg(read_file(self.paths[number]), mode=ImageReadMode.RGB)
        except RuntimeError:
            return number, torch.zeros(3, CROP, CROP, dtype=torch.uint8)
        picture = functional.resize(picture, [SIDE], antialias=True)
        return number, functional.center_crop(picture, [CROP, CROP])


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def rate(network, device, batch):
    """Images per second in batches of one size; none where memory runs out."""
    crops = torch.randint(0, 256, (batch, 3, CROP, CROP), dtype=torch.uint8)
    crops = crops.pin_memory() if device.type == "cuda" else crops
    try:
        for _ in range(3):
            network(crops.to(device, non_blocking=True))
        wait(device)
        began, images = time.perf_counter(), 0
        while time.perf_counter() - began < ENOUGH:
            found = network(crops.to(device, non_blocking=True))
            images += batch
            # The queue of the device would grow for ever.
            if images % (8 * batch) == 0:
                wait(device)
        found[0].cpu()
        wait(device)
    except torch.OutOfMemoryError:
        return None
    return images / (time.perf_counter() - began)


def alone(network, device, _arguments):
    rates = {}
    for channels_last in (False, True):
        network.lay_out(channels_last)
        for batch in BATCHES if device.type == "cuda" else TRIED:
            rates[batch, channels_last] = rate(network, device, batch)
    best = max((way for way in rates if rates[way]), key=lambda way: rates[way], default=None)
    if best is None:
        sys.exit("torch_gpu.py: the GPU has no memory for any batch")
    return {"images_per_second": rates[best], "batch": best[0], "channels_last": best[1]}


def run(network, device, arguments):
    pictures = Pictures(arguments.pictures)
    network.lay_out(arguments.channels_last)
    room, wanted = shutil.disk_usage("/dev/shm").free, arguments.workers * AHEAD * arguments.batch * 3 * CROP * CROP
    if room < 2 * wanted:
        sys.exit(f"torch_gpu.py: /dev/shm has {room} bytes, DataLoader wants {wanted} and more: --shm-size in a container")
    loader = torch.utils.data.DataLoader(
        pictures,
        batch_size=arguments.batch,
        num_workers=arguments.workers,
        pin_memory=device.type == "cuda",
        prefetch_factor=AHEAD,
        timeout=TIMEOUT,
    )
    with open(arguments.out, "w", newline="") as file:
        rows, before = csv.writer(file), None
        for numbers, crops in loader:
            if len(crops) < arguments.batch:
                # Of another size the last one would be tuned anew.
                crops = torch.cat([crops, crops.new_zeros(arguments.batch - len(crops), *crops.shape[1:])])
            found = numbers, network(crops.to(device, non_blocking=True))
            # One batch late, so that the device has the next one while it is waited for.
            if before:
                rows.writerows(table(pictures, *before))
            before = found
        if before:
            rows.writerows(table(pictures, *before))
    return {"images": len(pictures)}


def table(pictures, numbers, found):
    scores, classes = found
    return zip((pictures.paths[number] for number in numbers), classes.tolist(), scores.tolist())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("alone", "run"))
    parser.add_argument("--network", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--precision", choices=("fp32", "fp16"), required=True)
    parser.add_argument("--device", default="cuda", help="cpu is for trying whether all of this works")
    parser.add_argument("--pictures")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("torch_gpu.py: torch finds no GPU")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    with torch.inference_mode():
        network = Network(arguments).to(device)
        found = {"alone": alone, "run": run}[arguments.what](network, device, arguments)
    found["torch"] = torch.__version__
    found["device"] = torch.cuda.get_device_name() if device.type == "cuda" else "the processor"
    print(json.dumps(found))


if __name__ == "__main__":
    main()
