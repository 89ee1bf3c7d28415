"""Images of one's own, without labels: all that lie below a folder, at any depth, read once.

Unlike the images of a data set they are not kept decoded, and an unreadable one stops nothing.

Legend: n images of a block, S side in pixels.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.encoded import decoders
from workloads.datasets.pixels import Decoded, read
from workloads.datasets.reading import reading_of
from workloads.datasets.sources.folder_walk import walk
from workloads.datasets.spec import DataSpec
from workloads.inventory import shown, tally
from workloads.spec import SpecError

__all__ = ["Block", "OwnImages", "images_at", "of_known_range"]

TASK = 8  # images that a thread decodes in one go
AHEAD = 32  # tasks that are under way at a time


@dataclass(frozen=True)
class Block:
    """Images that could be read, uint8 [n, 3, S, S], by name; and why others could not."""

    names: Sequence[str]
    pixels: NDArray[np.uint8]
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OwnImages:
    """The images below `root`, by their paths from there with slashes, in the order of these."""

    spec: DataSpec
    root: Path
    paths: Sequence[str]
    left_out: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def blocks(self, count: int) -> Iterator[Block]:
        """Yield blocks of `count` images that can be read, the last one of fewer."""
        names: list[str] = []
        pixels: list[NDArray[np.uint8]] = []
        unreadable: dict[str, str] = {}
        for path, image in self._decoded():
            if image.pixels is None:
                unreadable[path] = image.reason
                continue
            names.append(path)
            pixels.append(image.pixels)
            if len(names) == count:
                yield Block(tuple(names), np.stack(pixels), unreadable)
                names, pixels, unreadable = [], [], {}
        if names or unreadable:
            side = self.spec.image_size
            stacked = np.stack(pixels) if pixels else np.empty((0, 3, side, side), np.uint8)
            yield Block(tuple(names), stacked, unreadable)

    def _decoded(self) -> Iterator[tuple[str, Decoded]]:
        """The images in their order, a few tasks of which are under way at any time."""
        waiting: deque[Future[list[tuple[str, Decoded]]]] = deque()
        starts = deque(range(0, len(self.paths), TASK))
        try:
            while starts or waiting:
                while starts and len(waiting) < AHEAD:
                    start = starts.popleft()
                    part = self.paths[start : start + TASK]
                    waiting.append(decoders().submit(self._read, part))
                yield from waiting.popleft().result()
        finally:
            for task in waiting:
                task.cancel()

    def _read(self, paths: Sequence[str]) -> list[tuple[str, Decoded]]:
        size, reading = self.spec.image_size, reading_of(self.spec)
        images = [(path, read(self.root / path, size, reading)) for path in paths]
        return [(shown(path), of_known_range(image, self.spec)) for path, image in images]


def of_known_range(image: Decoded, spec: DataSpec) -> Decoded:
    """Return an image as it was read, or why its deep samples could not be.

    Their range follows, of a data set, from its training images, which these are not.
    """
    if image.values is None or spec.value_range is not None:
        return image
    low, high = image.values.low, image.values.high
    return Decoded(
        None,
        reason=f"has values from {low:g} to {high:g}; --set data.value_range says which become "
        "0 and 255, as of the images that were trained on",
    )


def images_at(spec: DataSpec, root: Path) -> OwnImages:
    """List the images below a folder, to be read as the images of `spec` are.

    Raises SpecError where there are none.
    """
    if not root.is_dir():
        raise SpecError([f"{root}: there is no such folder"])
    found = walk(root)
    paths = list(found.images)
    left_out = [str(each) for each in tally(found.left_out)]
    if not paths:
        raise SpecError([f"{root}: holds no image, at any depth", *left_out])
    return OwnImages(spec, root, paths, left_out)
