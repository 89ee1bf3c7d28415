"""What was met while the images of a data set were decoded, and what follows from all of them.

Which range of values becomes 0 to 255 is known once every deep image has been read. So these, and
no others, are decoded a second time, unless the range is the one that they were read by.

Legend: M stored images of a part.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from workloads.datasets.encoded import decoders
from workloads.datasets.pixels import Decoded
from workloads.datasets.reading import Reading, reading_of
from workloads.datasets.spec import DataSpec
from workloads.datasets.value_range import Ranges, Values, images, range_lines, ranges_of
from workloads.spec import SpecError

__all__ = ["Noticed", "found_ranges", "remarks_on", "settle"]

Again = Callable[[str, Reading, int], Decoded]

CHUNK = 128


@dataclass
class Noticed:
    """The extremes of the deep images of a part, by their rows, and remarks on any of its images.

    Each remark comes with a count and the name of its first image.
    """

    values: dict[int, Values] = field(default_factory=dict)
    remarks: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, row: int, name: str, image: Decoded) -> None:
        """Take notice of one image."""
        if image.values is not None:
            self.values[row] = image.values
        for remark in image.remarks:
            count, first = self.remarks.get(remark, (0, name))
            self.remarks[remark] = count + 1, first


def found_ranges(spec: DataSpec, parts: Mapping[str, Noticed]) -> Ranges:
    """Find the ranges by the training images, or as `data.value_range` gives them."""
    train, test = (list(parts[part].values.values()) for part in ("train", "test"))
    return ranges_of(train, test, spec.value_range)


def settle(spec: DataSpec, folder: Path, parts: Mapping[str, Noticed], again: Again) -> Ranges:
    """Decode deep images again where their range is another than they were read by.

    `again` reads the image in a row of a part, whose arrays lie in `folder`. Returns the ranges.
    """
    assumed, ranges = reading_of(spec).ranges, found_ranges(spec, parts)
    reading = reading_of(spec, ranges)
    for part, noticed in parts.items():
        rows = [
            row
            for row, values in noticed.values.items()
            if ranges.of(values.is_real) != assumed.of(values.is_real)
        ]
        if not rows:
            continue
        stored = np.load(folder / f"{part}.npy", mmap_mode="r+")
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            decoded = decoders().map(partial(again, part, reading), chunk)
            for row, image in zip(chunk, decoded, strict=True):
                if image.pixels is None:
                    raise SpecError([f"an image changed while it was read: {image.reason}"])
                stored[row] = image.pixels
        stored.flush()
    return ranges


def remarks_on(ranges: Ranges, parts: Iterable[Noticed]) -> tuple[str, ...]:
    """Say what is to be known of the pixels of all parts, one line each."""
    values: list[Values] = []
    remarks: dict[str, tuple[int, str]] = {}
    for noticed in parts:
        values += noticed.values.values()
        for remark, (count, first) in noticed.remarks.items():
            before, name = remarks.get(remark, (0, first))
            remarks[remark] = before + count, name
    said = [f"{what}: {images(count)}, such as {name}" for what, (count, name) in remarks.items()]
    return (*range_lines(ranges, values), *said)
