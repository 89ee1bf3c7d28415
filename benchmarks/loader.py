"""How fast images of a folder reach a training step, against what the step asks for.

    python benchmarks/loader.py [--threads 1] [--batch 128] [--repeats 7]

Decoding: JPEGs of ImageNet's usual size (500 x 375) into the cache at 256 pixels, once per machine.
Loading: batches in random order from a cache of 32-pixel images, alone and with both augmented
views. Steps: encoder, NT-Xent, backward and LARS on views that are there already. Variants are
interleaved; the images are made here and the system's file cache holds them, so that a disk's time
is not in it.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from workloads.datasets import DataSet, DataSpec, load
from workloads.distributed.worker import Worker, limit_threads
from workloads.simclr import optim
from workloads.simclr.losses import contrastive_loss
from workloads.simclr.pretrain import autocast, initial_model
from workloads.simclr.spec import RunSpec
from workloads.simclr.views import two_views

POLICIES = {"crop, colour": ["crop", "color"], "crop, colour, blur": ["crop", "color", "blur"]}
ENCODERS = {
    "convnet": {"architecture": "convnet", "stem": "cifar"},
    "resnet18": {"architecture": "resnet18", "stem": "cifar"},
}


def recipe(encoder: str = "convnet", policy: str = "crop, colour") -> RunSpec:
    """CIFAR's recipe, with one of the encoders and policies."""
    return RunSpec.read(
        {
            "data": {"image_size": 32},
            "augment": {"operations": POLICIES[policy], "color": {"strength": 0.5}},
            "encoder": ENCODERS[encoder],
            "loss": {"temperature": 0.5},
        }
    )


def image_folder(root: Path, images: int, width: int, height: int) -> Path:
    """Smooth noise as JPEGs in two classes, a tenth of them as the test images."""
    chance = np.random.default_rng(0)
    for part, count in (("train", images), ("test", max(4, images // 10))):
        for label in ("a", "b"):
            (root / part / label).mkdir(parents=True)
        for number in range(count):
            coarse = chance.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
            picture.save(root / part / "ab"[number % 2] / f"{number}.jpg", quality=90)
    return root


def decoded(folder: Path, images: int, width: int, height: int, size: int) -> tuple[DataSet, float]:
    """The data set of such a folder, decoded now, and its images per second."""
    root = image_folder(folder / f"images{size}", images, width, height)
    spec = DataSpec.read({"name": "image-folder", "root": str(root), "image_size": size})
    began = time.perf_counter()
    data = load(spec, cache=folder / f"cache{size}")
    rows = sum(len(split) for split in (data.train, data.validation, data.test))
    return data, rows / (time.perf_counter() - began)


def training_step(spec: RunSpec, batch: int) -> Callable[[], object]:
    """One update on views that are there already."""
    worker = Worker.here("cpu")
    model = initial_model(spec).to(memory_format=torch.channels_last)
    optimizer = optim.build(model, spec.optim, spec.learning_rate)
    views = torch.rand(2 * batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)

    def step() -> object:
        with autocast(spec, worker):
            z0, z1 = model(views).chunk(2)
            loss = contrastive_loss(z0, z1, spec.loss)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        return optimizer.step()

    return step


def variants(data: DataSet, batch: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name; each call handles a batch."""
    generator = torch.Generator().manual_seed(0)

    def taken() -> Tensor:
        return data.train.take(torch.randperm(len(data.train), generator=generator)[:batch])

    def viewed(spec: RunSpec) -> Callable[[], object]:
        return lambda: two_views(taken(), spec.augment, generator)

    loading = {
        f"take and two views ({policy})": viewed(recipe(policy=policy)) for policy in POLICIES
    }
    steps = {f"step of {encoder}": training_step(recipe(encoder), batch) for encoder in ENCODERS}
    return {"take": taken, **loading, **steps}


def main() -> None:
    """Measure, and print one line per variant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    limit_threads(options.threads)
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # more than one task of 128 images for each thread
        images = 300 * max(1, (os.cpu_count() or 1) // 2)
        rates = [decoded(folder / str(repeat), images, 500, 375, 256)[1] for repeat in range(3)]
        data, _ = decoded(folder, 4000, 32, 32, 32)
        seconds: dict[str, list[float]] = {}
        calls = variants(data, options.batch)
        for repeat in range(options.repeats + 1):
            for variant, call in calls.items():
                began = time.perf_counter()
                call()
                if repeat:  # the first round warms up
                    seconds.setdefault(variant, []).append(time.perf_counter() - began)
    print(
        f"{os.cpu_count()} cores, {options.threads} thread(s), load {load_before:.1f} before "
        f"and {os.getloadavg()[0]:.1f} after"
    )
    print(
        f"decoding 500 x 375 JPEGs to 256 px, up to {os.cpu_count()} threads: "
        f"{statistics.median(rates):.0f} images/s "
        f"({min(rates):.0f}-{max(rates):.0f}, n = {len(rates)} folders of {images * 11 // 10})"
    )
    print(
        f"{'batches of ' + str(options.batch) + ' at 32 px':<40} {'images/s':>9} {'range':>16} "
        f"{'n':>3}"
    )
    for variant, times in seconds.items():
        speeds = sorted(options.batch / each for each in times)
        extent = f"{speeds[0]:.0f}-{speeds[-1]:.0f}"
        print(f"{variant:<40} {statistics.median(speeds):>9.0f} {extent:>16} {len(speeds):>3}")
    ready = statistics.median(seconds["take and two views (crop, colour)"])
    for encoder in ENCODERS:
        step = statistics.median(seconds[f"step of {encoder}"])
        print(
            f"{encoder}: loading is {step / ready:.1f} x as fast as the step, "
            f"{ready / (ready + step):.0%} of both together"
        )


if __name__ == "__main__":
    main()
