"""Two views of 32-pixel images by the full policy: batched here, per sample with torchvision's v2
transforms.

Both run in this process, interleaved, so that the ratio of their medians does not depend on how
busy the machine is. torchvision's transforms draw one set of parameters for a whole batch, so a
correct use of them is one image at a time.

    python benchmarks/views.py [--threads 1] [--batch 256] [--size 32] [--repeats 7] [--device cuda]

With a GPU, ours run there and torchvision's stay on the CPU, in one process: what a loader without
worker processes would do.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms import v2

from workloads.simclr.spec import AugmentSpec, ColorSpec
from workloads.simclr.views import two_views
from workloads.simclr.views.filters import blur_kernel_size


def torchvision_policy(augment: AugmentSpec, size: int) -> v2.Transform:
    """The same policy for one uint8 image; brightness is multiplicative because torchvision has no
    other.
    """
    strength, crop, blur = augment.color.strength, augment.crop, augment.blur
    jitter = v2.ColorJitter(0.8 * strength, 0.8 * strength, 0.8 * strength, 0.2 * strength)
    smooth = v2.GaussianBlur(
        blur_kernel_size(size, blur.kernel_fraction), (blur.min_sigma, blur.max_sigma)
    )
    return v2.Compose(
        [
            v2.RandomResizedCrop(
                size,
                (crop.min_area, crop.max_area),
                (crop.min_aspect, crop.max_aspect),
                v2.InterpolationMode.BICUBIC,
                antialias=crop.antialias,
            ),
            v2.RandomHorizontalFlip(crop.flip),
            v2.RandomApply([jitter], augment.color.jitter_probability),
            v2.RandomGrayscale(augment.color.grayscale_probability),
            v2.RandomApply([smooth], blur.probability),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )


def seconds(views: Callable[[Tensor], object], images: Tensor) -> float:
    """Wall time of one call, until a GPU is done."""
    begin = time.perf_counter()
    views(images)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def main() -> None:
    """Measure, and print one line per variant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu", help="of ours")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    augment = AugmentSpec(color=ColorSpec(brightness="multiplicative"))
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(
        0, 256, (options.batch, 3, options.size, options.size), dtype=torch.uint8
    )
    policy = torchvision_policy(augment, options.size)

    def batched(images: Tensor) -> object:
        return two_views(images.to(options.device), augment, generator)

    def per_sample(images: Tensor) -> object:
        return [torch.stack([policy(image) for image in images]) for _ in range(2)]

    variants = {"torchvision v2, per sample": per_sample, "workloads.simclr.views": batched}
    times: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(options.repeats + 1):
        for name, views in variants.items():
            taken = seconds(views, images)
            if repeat:  # the first round warms up
                times[name].append(taken)

    medians = {name: statistics.median(values) for name, values in times.items()}
    slowest = medians["torchvision v2, per sample"]
    place = f"{options.threads} thread(s), ours on {options.device}"
    print(
        f"two views, {options.size} px, batch {options.batch}, {place}, {options.repeats} repeats"
    )
    print(f"{'variant':28} {'images/s':>10} {'ratio':>6} {'ms/batch':>9}  spread")
    for name, median in medians.items():
        spread = f"{min(times[name]) * 1e3:.1f}-{max(times[name]) * 1e3:.1f} ms"
        print(
            f"{name:28} {options.batch / median:10.0f} {slowest / median:6.1f} "
            f"{median * 1e3:9.1f}  {spread}"
        )


if __name__ == "__main__":
    main()
