"""Image files named by a data set's own lists, from lists to what is stored.

Legend: N images of a part, C classes, S side in pixels.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.cpus import usable_cpus
from workloads.datasets.cache import LEFT_OUT, UNREADABLE, Labels, Source, write_images
from workloads.datasets.draws import rows_used
from workloads.datasets.image_files import image_endings
from workloads.datasets.noticed import Noticed, remarks_on, settle
from workloads.datasets.pixels import Decoded, read
from workloads.datasets.reading import Reading, fields_of, reading_of
from workloads.datasets.spec import DataSpec
from workloads.inventory import Inventory, shown, tally
from workloads.local_files import update_from
from workloads.spec import SpecError

__all__ = ["ImageList", "ImageLists", "source"]

NO_LABEL = "images of which no label counts"
SHOWN = 10
SAMPLED = 64
CHUNK = 128


@dataclass(frozen=True)
class ImageList:
    """Images by their paths below the root, with slashes, and their labels.

    Labels are int64 [N], or [N, C] as in `Labels`.
    """

    paths: list[str]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class ImageLists:
    """The lists of each part.

    Without `validation` it is drawn from `train`, without `test` both are. `train_per_class` is as
    in `workloads.datasets.cache.Labels`. `apart` are folders with images that belong to no class.
    """

    train: ImageList
    validation: ImageList | None
    test: ImageList | None
    classes: tuple[str, ...]
    train_per_class: int | None = None
    apart: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, list[ImageList]]:
        """Return what is stored as training and as test images."""
        train = [self.train] if self.validation is None else [self.train, self.validation]
        return {"train": train, "test": [] if self.test is None else [self.test]}


def source(spec: DataSpec, root: Path, lists: ImageLists) -> Source:
    """Find the listed images below `root`.

    A grey one's channel is repeated, because all of these sets have some among many. The content is
    the digest of every list with its labels, of the sizes of the files, and of the bytes of 64
    files spread over the lists: fast for a hundred thousand files, and blind to a file beyond those
    64 that is replaced by another of the same size. Raises SpecError when more files are missing
    than `allow_unreadable`, and, while decoding, unreadable.
    """
    paths: list[str] = []
    for of_part in lists.parts.values():
        for each in of_part:
            paths += each.paths

    sizes = [_size(root / path) for path in paths]
    missing = [path for path, size in zip(paths, sizes, strict=True) if size < 0]
    if len(missing) > spec.allow_unreadable:
        what = (
            f"data.root={str(root)!r}: {len(missing)} of the {len(paths)} images that "
            f"{spec.name} lists are missing"
        )
        raise SpecError(
            [
                f"{what}{_first(len(missing))}",
                *(f"{root / path}: is missing" for path in missing[:SHOWN]),
            ]
        )

    fields = fields_of(spec) | {"allow_unreadable": spec.allow_unreadable}
    return Source(
        _content(root, lists, paths, sizes),
        fields,
        lambda folder: _decode(spec, root, lists, folder),
        left_out=tally(_unlisted(root, paths, lists.apart)),
    )


def _unlisted(root: Path, paths: list[str], apart: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Images that lie where the listed ones do, or in the folders `apart`, and are in no list."""
    listed = set(paths)
    folders = dict.fromkeys([*(path.rpartition("/")[0] for path in paths), *apart])
    for folder in folders:
        if not (root / folder).is_dir():
            continue
        for name in sorted(os.listdir(root / folder)):
            ending = os.path.splitext(name)[1].lower()
            if ending in image_endings() and name[0] != "." and f"{folder}/{name}" not in listed:
                yield "images that no list of the data set names", f"{folder}/{name}"


def _size(path: Path) -> int:
    """In bytes; -1 where there is no file."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _content(root: Path, lists: ImageLists, paths: list[str], sizes: list[int]) -> str:
    hasher = hashlib.sha256("\0".join(lists.classes).encode())
    for part in (lists.train, lists.validation, lists.test):
        labels = np.empty(0) if part is None else part.labels
        hasher.update(f"{labels.shape}\n".encode())
        hasher.update(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    for path, size in zip(paths, sizes, strict=True):
        hasher.update(f"{path}\0{size}\n".encode(errors="surrogateescape"))

    for number in sorted({step * (len(paths) - 1) // (SAMPLED - 1) for step in range(SAMPLED)}):
        try:
            with (root / paths[number]).open("rb") as file:
                update_from(hasher, file)
        except OSError:
            hasher.update(b"cannot be read")
    return hasher.hexdigest()[:20]


def _decode(spec: DataSpec, root: Path, lists: ImageLists, folder: Path) -> Labels:
    unreadable: dict[str, str] = {}
    labels, total = {}, 0
    paths_of: dict[str, list[str]] = {}
    noticed: dict[str, Noticed] = {}
    for name, of_part in lists.parts.items():
        paths: list[str] = []
        for each in of_part:
            paths += each.paths
        paths_of[name], noticed[name] = paths, Noticed()
        pixels = _pixels(root, paths, spec, unreadable, noticed[name])
        write_images(folder / f"{name}.npy", len(paths), spec.image_size, pixels)

        stored = np.empty(0, np.int64)
        if of_part:
            stored = np.concatenate([each.labels for each in of_part])
        stored[[path in unreadable for path in paths]] = LEFT_OUT
        labels[name] = stored
        total += len(paths)

    if len(unreadable) > spec.allow_unreadable:
        count = len(unreadable)
        what = (
            f"data.allow_unreadable={spec.allow_unreadable}: {count} of {total} images cannot be "
            f"read{_first(count)}"
        )
        raise SpecError(
            [
                what,
                *(f"{root / path}: {reason}" for path, reason in list(unreadable.items())[:SHOWN]),
            ]
        )

    def again(part: str, reading: Reading, row: int) -> Decoded:
        return read(root / paths_of[part][row], spec.image_size, reading)

    ranges = settle(spec, folder, noticed, again)
    marks = None
    if lists.validation is not None:
        marks = np.arange(len(labels["train"])) >= len(lists.train.paths)
    notes = tuple(
        f"left out, cannot be read: {shown(path)}: {reason}" for path, reason in unreadable.items()
    )
    return Labels(
        labels["train"],
        labels["test"],
        lists.classes,
        notes,
        marks,
        lists.train_per_class,
        _counted(lists, labels, unreadable),
        remarks=remarks_on(ranges, noticed.values()),
    )


def _counted(
    lists: ImageLists, labels: Mapping[str, NDArray[np.int64]], unreadable: Mapping[str, str]
) -> Inventory:
    """What is used of the lists: each of their rows, but what cannot be read or has no label."""
    met: list[tuple[str, str]] = []
    used = 0
    for part, of_part in lists.parts.items():
        paths = [path for each in of_part for path in each.paths]
        rows = rows_used(labels[part])
        used += len(rows)
        for row in sorted({*range(len(paths))} - {*rows.tolist()}):
            met.append((UNREADABLE if paths[row] in unreadable else NO_LABEL, paths[row]))
    return Inventory(used, tally(met))


def _pixels(
    root: Path, paths: list[str], spec: DataSpec, unreadable: dict[str, str], noticed: Noticed
) -> Iterator[NDArray[np.uint8]]:
    """Chunks of uint8 [n, 3, size, size] in the order of `paths`, black where one cannot be read.

    That is noted in `unreadable`.
    """
    black = np.zeros((3, spec.image_size, spec.image_size), dtype=np.uint8)
    reading = reading_of(spec)
    with ThreadPoolExecutor(min(usable_cpus(), 16)) as pool:
        for start in range(0, len(paths), CHUNK):
            chunk = paths[start : start + CHUNK]
            decoded = list(
                pool.map(lambda path: read(root / path, spec.image_size, reading), chunk)
            )
            for row, (path, image) in enumerate(zip(chunk, decoded, strict=True), start):
                noticed.add(row, path, image)
            unreadable |= {
                path: image.reason
                for path, image in zip(chunk, decoded, strict=True)
                if image.pixels is None
            }
            yield np.stack([black if image.pixels is None else image.pixels for image in decoded])


def _first(count: int) -> str:
    return f", the first {SHOWN}:" if count > SHOWN else ":"
