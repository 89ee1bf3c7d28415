"""A whole pre-training step: what precision, memory format and compilation are worth, and where its
time goes.

    python benchmarks/training_step.py [--device cuda] [--encoder resnet18] [--size 32] [--batch
    512] [--repeats 5]

One update of encoder and projection head on two views of a batch whose uint8 images are on the CPU,
as in training. Variants are interleaved in one run: the ratio of their medians does not depend on
how busy the machine is. Beside each: what it achieves of the multiply-adds that convolutions and
linear layers need (forward, and twice that backward), and the peak memory of a GPU. The shares are
of single steps with a wait for the device after each part, which alone costs a little.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workloads.distributed.worker import Worker, limit_threads
from workloads.simclr import optim
from workloads.simclr.encoder import multiply_adds
from workloads.simclr.losses import contrastive_loss
from workloads.simclr.pretrain import autocast, initial_model
from workloads.simclr.spec import RunSpec
from workloads.simclr.views import two_views

PARTS = ("views", "forward and loss", "backward", "update")
STEPS = 4  # a repeat's; the device is waited for after the last


@dataclass(frozen=True)
class Variant:
    """How a step is computed. `searched`: cuDNN times its algorithms first (GPU only)."""

    name: str
    precision: str = "bf16"
    channels_last: bool = True
    searched: bool = False
    compiled: bool = False


VARIANTS = (
    Variant("fp32 (TF32 convolutions on a GPU), contiguous", precision="fp32", channels_last=False),
    Variant("the same, channels last", precision="fp32"),
    Variant("bf16, channels last (what training does)"),
    Variant("the same, cuDNN searching", searched=True),
    Variant("the same, compiled", compiled=True),
)


def recipe(encoder: str, size: int, batch: int, precision: str) -> RunSpec:
    """The paper's recipe for such images: CIFAR-10's (B.9) up to 64 pixels, ImageNet's above."""
    small = size <= 64
    operations = ["crop", "color"] if small else ["crop", "color", "blur"]
    return RunSpec.read(
        {
            "data": {"image_size": size},
            "augment": {"operations": operations, "color": {"strength": 0.5 if small else 1.0}},
            "encoder": {"architecture": encoder, "stem": "cifar" if small else "imagenet"},
            "loss": {"temperature": 0.5 if small else 0.1},
            "schedule": {"batch_size": batch},
            "precision": precision,
        }
    )


class Step:
    """One update after another, of a model of its own, in the four PARTS."""

    def __init__(self, variant: Variant, encoder: str, size: int, batch: int, device: str) -> None:
        self.variant, self.spec, self.worker = (
            variant,
            recipe(encoder, size, batch, variant.precision),
            Worker.here(device),
        )
        self.format = torch.channels_last if variant.channels_last else torch.contiguous_format
        model = initial_model(self.spec).to(self.worker.device, memory_format=self.format)  # type: ignore[call-overload]
        self.optimizer = optim.build(model, self.spec.optim, 0.1)
        self.model: nn.Module = torch.compile(model) if variant.compiled else model  # type: ignore[assignment]
        self.generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(
            0, 256, (batch, 3, size, size), dtype=torch.uint8, generator=self.generator
        )

    def __call__(self, done: Callable[[str], object] = str) -> None:
        torch.backends.cudnn.benchmark = self.variant.searched
        images = self.images.to(self.worker.device, non_blocking=True)
        views = torch.cat(two_views(images, self.spec.augment, self.generator)).contiguous(
            memory_format=self.format
        )
        done("views")
        with autocast(self.spec, self.worker):
            z0, z1 = self.model(views).chunk(2)
            loss: Tensor = contrastive_loss(z0, z1, self.spec.loss)
        done("forward and loss")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        done("backward")
        self.optimizer.step()
        done("update")

    def wait(self) -> None:
        if self.worker.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self) -> float:
        """Of one step, the mean of STEPS."""
        self.wait()
        began = time.perf_counter()
        for _ in range(STEPS):
            self()
        self.wait()
        return (time.perf_counter() - began) / STEPS

    def shares(self, steps: int) -> dict[str, float]:
        """Seconds of each part, the median of some steps."""
        taken: dict[str, list[float]] = {part: [] for part in PARTS}
        for _ in range(steps):
            self.wait()
            since = time.perf_counter()

            def done(part: str) -> None:
                nonlocal since
                self.wait()
                taken[part].append(time.perf_counter() - since)
                since = time.perf_counter()

            self(done)
        return {part: statistics.median(values) for part, values in taken.items()}

    def peak_gibibytes(self) -> float | None:
        if self.worker.device.type != "cuda":
            return None
        torch.cuda.reset_peak_memory_stats()
        self()
        self.wait()
        return torch.cuda.max_memory_allocated() / 2**30


def main() -> None:
    """Measure, and print one line per variant and one per part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--encoder", default="resnet18" if torch.cuda.is_available() else "convnet")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=512 if torch.cuda.is_available() else 128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=min(8, os.cpu_count() or 1))
    parser.add_argument(
        "--compile",
        action="store_true",
        help="measure torch.compile, too, which takes a minute to begin",
    )
    options = parser.parse_args()
    limit_threads(options.threads)

    place = (
        torch.cuda.get_device_name()
        if options.device.startswith("cuda")
        else (f"CPU, {options.threads} thread(s)")
    )
    what = f"{options.encoder}, {options.size} px, batch {options.batch}"
    print(f"{what}, torch {torch.__version__}, {place}, n = {options.repeats} of {STEPS} steps")
    shown = [variant for variant in VARIANTS if options.compile or not variant.compiled]
    steps = [
        Step(variant, options.encoder, options.size, options.batch, options.device)
        for variant in shown
    ]
    times: dict[str, list[float]] = {variant.name: [] for variant in shown}
    for step in steps:  # warms up; one at a time, for memory
        step.seconds()
    for _ in range(options.repeats):
        for step in steps:
            times[step.variant.name].append(step.seconds())

    flop = 2 * 3 * 2 * options.batch * multiply_adds(steps[0].spec.encoder, options.size)
    slowest = statistics.median(times[shown[0].name])
    print(
        f"{'variant':46} {'images/s':>9} {'ratio':>6} {'ms/step':>8} {'range':>15} "
        f"{'TFLOP/s':>8} {'peak GiB':>9}"
    )
    for step in steps:
        values = times[step.variant.name]
        median, extent = (
            statistics.median(values),
            f"{min(values) * 1e3:.1f}-{max(values) * 1e3:.1f}",
        )
        memory = step.peak_gibibytes()
        print(
            f"{step.variant.name:46} {options.batch / median:9.0f} {slowest / median:6.2f} "
            f"{median * 1e3:8.1f} {extent:>15} "
            f"{flop / median / 1e12:8.2f} {'' if memory is None else f'{memory:.1f}':>9}"
        )
    chosen = next(step for step in steps if step.variant == VARIANTS[2])
    parts = chosen.shares(3 * options.repeats)
    whole = sum(parts.values())
    print(
        "where the time of bf16, channels last goes: "
        + ", ".join(f"{part} {taken / whole:.0%}" for part, taken in parts.items())
    )


if __name__ == "__main__":
    main()
