"""What people can see of a run before it is trained: its views, what crops share, its schedule."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from torch import Tensor

from workloads.datasets import load
from workloads.shown import CropHistograms, ExampleViews, ScheduleShown
from workloads.simclr.crop_histograms import crop_histograms
from workloads.simclr.optim import rate_at
from workloads.simclr.spec import RunSpec
from workloads.simclr.supervised import is_supervised
from workloads.simclr.views.shown import example_views, operations_alone
from workloads.spec import SpecError

__all__ = ["histograms_shown", "schedule_shown", "views_shown"]

MATCHED = 500  # images that are told from each other by histograms
POINTS = 1000  # of a schedule's line, at most


def views_shown(spec: RunSpec, *, images: int, pairs: int, download: bool) -> ExampleViews:
    """Make `pairs` pairs of views of `images` training images, spread over the data set.

    With `schedule.image_sizes` the pairs go through the sizes in turn. Raises SpecError.
    """
    originals = _spread_out(spec, images, download=download)
    sides = spec.schedule.sides or (None,)
    by_side = {side: example_views(spec, originals, pairs, side) for side in sides}
    made = [by_side[sides[step % len(sides)]][:, step] for step in range(pairs)]
    return ExampleViews(
        data=_name(spec),
        seed=spec.seed,
        policy=_policy(spec),
        branches=_branches(spec),
        originals=originals.permute(0, 2, 3, 1).numpy(),
        pairs=tuple(made),
        alone=operations_alone(spec, originals, 2),
    )


def histograms_shown(spec: RunSpec, *, images: int, crops: int, download: bool) -> CropHistograms:
    """Compare crops by their colours: `images` to draw, and `MATCHED` to tell from each other.

    Raises SpecError.
    """
    originals = _spread_out(spec, MATCHED, download=download)
    drawn = np.linspace(0, len(originals) - 1, min(images, len(originals))).round().astype(np.int64)
    rest = np.setdiff1d(np.arange(len(originals)), drawn)
    ordered = originals[np.concatenate([drawn, rest])]
    return replace(crop_histograms(spec, ordered, len(drawn), crops), data=_name(spec))


def schedule_shown(spec: RunSpec, *, download: bool) -> ScheduleShown:
    """Return the learning rate by step, and the size of the views. Raises SpecError."""
    images = len(load(spec.data, download=download, without_labels=True).train)
    schedule = spec.schedule
    per_epoch = images // schedule.batch_size
    total = per_epoch * schedule.epochs
    if schedule.epochs == 0:
        raise SpecError(["schedule.epochs=0: nothing is trained, there is no schedule to show"])
    if total == 0:
        raise SpecError(
            [f"schedule.batch_size={schedule.batch_size}: is larger than the {images} "
             "training images"]
        )  # fmt: skip

    warmup = round(schedule.warmup_epochs * per_epoch)
    even = np.linspace(0, total - 1, min(total, POINTS)).round().astype(int).tolist()
    steps = tuple(sorted({*even, min(warmup, total - 1)}))
    left = images - per_epoch * schedule.batch_size
    notes = (
        [f"{left:,} of {images:,} images are left out of each epoch, others each time"]
        if left
        else []
    )
    return ScheduleShown(
        training_images=images,
        batch_size=schedule.batch_size,
        epochs=schedule.epochs,
        steps_per_epoch=per_epoch,
        warmup_steps=warmup,
        optimizer=spec.optim.name,
        steps=steps,
        rates=tuple(rate_at(spec, step, per_epoch) for step in steps),
        sides=_sides(spec, total),
        notes=tuple(notes),
    )


def _spread_out(spec: RunSpec, images: int, *, download: bool) -> Tensor:
    """So many training images, spread over the data set: uint8 [N, 3, H, W]."""
    train = load(spec.data, download=download, without_labels=True).train
    positions = np.linspace(0, len(train) - 1, min(images, len(train))).round().astype(np.int64)
    return train.take(positions)


def _sides(spec: RunSpec, total: int) -> tuple[tuple[int, int], ...]:
    """From which step on views have which side."""
    side_at = [spec.schedule.side_at(step, total) or spec.view_size for step in range(total)]
    changes = [after for after, (one, next_) in enumerate(pairwise(side_at), 1) if one != next_]
    return tuple((step, side_at[step]) for step in (0, *changes))


def _policy(spec: RunSpec) -> str:
    operations = ", ".join(spec.augment.operations)
    if is_supervised(spec):
        return f"{operations} (supervised: one view of each image)"
    if spec.augment.branches == "one":
        return f"one random crop and flip for both views, then {operations} on the second only"
    return f"{operations} on both views"


def _branches(spec: RunSpec) -> tuple[str, ...]:
    if is_supervised(spec):
        return ("view",)
    if spec.augment.branches == "one":
        return ("crop only", "+ operations")
    return ("view 1", "view 2")


def _name(spec: RunSpec) -> str:
    where = Path(spec.data.root).name if spec.data.root else ""
    return f"{spec.data.name} {where}".rstrip()
