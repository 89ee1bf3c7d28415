"""Example views for a report's page: what each augmentation makes of a few training images."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from orchestrator.plan.kept import workload_of_plan
from orchestrator.report.collect import Report
from orchestrator.report.page.payload import picture_address
from orchestrator.report.page.rendering import Picture
from orchestrator.report.page.report_page import Views
from workloads.shown import ExampleViews, OperationAlone, ShowsTraining
from workloads.spec import SpecError

__all__ = ["views_of"]

IMAGES, PAIRS = 6, 2  # of the data set, and views of each
MOST_SPECS = 12  # policies that are looked at for operations that others do not have
GAP = 2  # pixels between images


def views_of(report: Report) -> Views | None:
    """Return what augmentations make of a few images; why not, where the images are not at hand.

    None where runs have no augmentations.
    """
    workload = workload_of_plan(report.plan)
    if not isinstance(workload, ShowsTraining):
        return None
    rows: dict[str, Picture] = {}
    first: ExampleViews | None = None
    try:
        for spec in _policies(report, workload):
            found = workload.example_views(spec, images=IMAGES, pairs=PAIRS)
            first = first or found
            rows |= {one.name: _alone(one) for one in found.alone if one.name not in rows}
    except (SpecError, OSError) as error:
        return Views((), [f"The images are not at hand here: {error}"])
    if first is None:
        return None
    notes = [
        f"{IMAGES} training images of {first.data}. Each operation acts alone, and on every image; "
        "in training it acts with its probability, after the others."
    ]
    return Views([_pairs(first), *rows.values()], notes)


def _policies(report: Report, workload: Any) -> Iterator[Any]:
    """The recipe, and of the cells those with an operation that no earlier one has."""
    base = workload.read(report.plan["base"])
    yield base
    seen = {*base.flat().get("augment.operations", ())}
    found = 1
    for point in report.ablation.points(report.plan["scale"]):
        own: dict[str, Any] = {
            name: value
            for name, value in point.items()
            if name.startswith("augment.") and not hasattr(value, "resolve")
        }
        new = {*own.get("augment.operations", ())} - seen
        if new and found < MOST_SPECS:
            yield base.with_values(own)
            seen |= new
            found += 1


def _pairs(found: ExampleViews) -> Picture:
    """The originals over the views that the recipe's own policy makes of them."""
    rows = [found.originals]
    rows += [pair[:, view] for pair in found.pairs for view in range(pair.shape[1])]
    return Picture(
        name="The recipe's own policy",
        picture=_picture(rows),
        alt=f"{len(found.originals)} images, and below each its views",
        words=f"First row: the images. Below: {', '.join(found.branches)}, {PAIRS} times. "
        f"Policy: {found.policy}",
    )


def _alone(one: OperationAlone) -> Picture:
    rows = [one.views[:, draw] for draw in range(one.views.shape[1])]
    told = [f"{name} {_text(value)}" for name, value in one.parameters.items()]
    if one.probability is not None:
        told.insert(0, f"probability {one.probability:g}")
    return Picture(
        name=one.name,
        picture=_picture(rows),
        alt=f"What {one.name} makes of the same images",
        words=", ".join(told),
    )


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _picture(rows: list[Any]) -> str:
    """Rows of uint8 images [N, S, S, 3], of whatever sizes, as one picture."""
    side = max(row.shape[1] for row in rows)
    step = side + GAP
    sheet = Image.new("RGB", (step * len(rows[0]) - GAP, step * len(rows) - GAP), "white")
    for y, row in enumerate(rows):
        for x, pixels in enumerate(row):
            image = Image.fromarray(np.ascontiguousarray(pixels))
            if image.size != (side, side):
                image = image.resize((side, side), Image.Resampling.BILINEAR)
            sheet.paste(image, (x * step, y * step))
    file = io.BytesIO()
    sheet.save(file, "webp", quality=90, method=4)
    return picture_address(file.getvalue(), "webp")
