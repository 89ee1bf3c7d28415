"""Any folder of images: `train/<class>/*` and `test/<class>/*` (or `val`), and ImageNet as such.

Which files these are, `workloads.datasets.sources.folder_listing` says. EXIF orientation is not
applied and transparency is dropped, as by torchvision's ImageFolder.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.cpus import usable_cpus
from workloads.datasets.cache import LEFT_OUT, UNREADABLE, Labels, Source, write_images
from workloads.datasets.noticed import Noticed, remarks_on, settle
from workloads.datasets.pixels import Decoded, read
from workloads.datasets.reading import Reading, fields_of, reading_of
from workloads.datasets.sources.folder_listing import File, Listing, content_of, listing_of
from workloads.datasets.sources.unlabelled_folder import has_no_classes, unlabelled_listing
from workloads.datasets.spec import DataSpec
from workloads.inventory import Inventory, shown, tally
from workloads.spec import SpecError

__all__ = ["source", "training_files"]

SHOWN = 10
CHUNK = 128
THUMBNAIL = 3_000  # bytes; JPEG files of up to about 80 x 80 pixels


@dataclass
class Found:
    """What decoding met, as relative paths."""

    unreadable: dict[str, str] = field(default_factory=dict)
    grey: list[str] = field(default_factory=list)
    color: int = 0
    parts: dict[str, Noticed] = field(default_factory=dict)


def source(spec: DataSpec, root: Path) -> Source:
    """Find the images below `root`, by their classes' folders.

    The content is the digest of every relative path and size, and of the bytes of 64 files spread
    over the list: fast for a million files, and blind to a file beyond those 64 that is replaced by
    another of the same size.

    A grey image among colour ones is refused unless `grey_images="convert"`; ImageNet has a few and
    always converts. Raises SpecError with all that is wrong with the folder, and, while decoding,
    with its images.
    """
    listing, unlabelled = _listing(spec, root)
    grey = "convert" if spec.name == "imagenet" else spec.grey_images

    reading = reading_of(spec)

    def again(part: str, by: Reading, row: int) -> Decoded:
        files = listing.train if part == "train" else listing.test
        return read(root / files[row].path, spec.image_size, by)

    def decode(folder: Path) -> Labels:
        found = Found()
        labels = {}
        for name, files in (("train", listing.train), ("test", listing.test)):
            noticed = found.parts[name] = Noticed()
            chunks = _decode(root, files, spec.image_size, reading, found, noticed)
            write_images(folder / f"{name}.npy", len(files), spec.image_size, chunks)
            labels[name] = np.array(
                [LEFT_OUT if file.path in found.unreadable else file.label for file in files],
                np.int64,
            )
        problems = _problems(listing, found, spec.allow_unreadable, grey)
        if problems:
            raise SpecError(problems)
        ranges = settle(spec, folder, found.parts, again)
        notes = tuple(
            f"left out, cannot be read: {shown(path)}: {reason}"
            for path, reason in found.unreadable.items()
        )
        remarks = remarks_on(ranges, found.parts.values())
        unreadable = tally((UNREADABLE, path) for path in found.unreadable)
        used = len(listing.train) + len(listing.test) - len(found.unreadable)
        counted = Inventory(used, unreadable)
        return Labels(
            labels["train"],
            labels["test"],
            listing.classes,
            notes,
            inventory=counted,
            remarks=(*listing.notes, *remarks),
        )

    fields: dict[str, str | int] = {"grey_images": grey, "allow_unreadable": spec.allow_unreadable}
    if unlabelled:
        fields["labels"] = "none"
    fields |= fields_of(spec)
    return Source(
        content_of(listing), fields, decode, left_out=listing.left_out, unlabelled=unlabelled
    )


def _listing(spec: DataSpec, root: Path) -> tuple[Listing, tuple[str, ...]]:
    """The files, and why they are without labels if they are."""
    if spec.labels == "none":
        return unlabelled_listing(root), ("data.labels='none': says that there are none",)
    try:
        return listing_of(root, spec.name), ()
    except SpecError as error:
        if spec.name != "image-folder" or not root.is_dir() or not has_no_classes(root):
            raise
        try:
            return unlabelled_listing(root), tuple(error.problems)
        except SpecError:
            raise error from None  # without images there is nothing to be said about labels


def training_files(spec: DataSpec, root: Path) -> list[str]:
    """List the paths of the training images below `root`, with slashes.

    In the order of the stored rows. Nothing is decoded.
    """
    return [file.path for file in listing_of(root, spec.name).train]


def _decode(
    root: Path, files: list[File], size: int, reading: Reading, found: Found, noticed: Noticed
) -> Iterator[NDArray[np.uint8]]:
    """Chunks of uint8 [n, 3, size, size] in the order of `files`, black where one cannot be read.

    Only a few chunks are under way at any time, or a slow disk would let the decoded ones pile up
    in memory.
    """
    threads = _threads(files)
    waiting: deque[Future[list[Decoded]]] = deque()
    paths = [file.path for file in files]
    starts = deque(range(0, len(paths), CHUNK))
    done = 0
    with ThreadPoolExecutor(threads) as pool:
        while starts or waiting:
            while starts and len(waiting) < 2 * threads:
                start = starts.popleft()
                chunk = paths[start : start + CHUNK]
                waiting.append(pool.submit(_read_chunk, root, chunk, size, reading))
            decoded = waiting.popleft().result()
            for row, image in enumerate(decoded, done):
                noticed.add(row, paths[row], image)
            _record(paths[done : done + len(decoded)], decoded, found)
            done += len(decoded)
            black = np.zeros((3, size, size), dtype=np.uint8)
            yield np.stack([black if image.pixels is None else image.pixels for image in decoded])


def _threads(files: list[File]) -> int:
    """How many threads decode: one for thumbnails.

    PIL lets go of the interpreter's lock to decode, but for thumbnails its Python code is most of
    the work.
    """
    thumbnails = sum(file.bytes for file in files) < THUMBNAIL * len(files)
    return 1 if thumbnails else min(usable_cpus(), 16)


def _record(paths: list[str], decoded: list[Decoded], found: Found) -> None:
    for path, image in zip(paths, decoded, strict=True):
        if image.pixels is None:
            found.unreadable[path] = image.reason
        elif image.is_grey:
            found.grey.append(path)
        else:
            found.color += 1


def _read_chunk(root: Path, paths: list[str], size: int, reading: Reading) -> list[Decoded]:
    return [read(root / path, size, reading) for path in paths]


def _problems(listing: Listing, found: Found, allowed: int, grey: str) -> list[str]:
    problems: list[str] = []
    total = len(listing.train) + len(listing.test)
    if len(found.unreadable) > allowed:
        count = len(found.unreadable)
        problems.append(
            f"data.allow_unreadable={allowed}: {count} of {total} images cannot be "
            f"read{_first(count)}"
        )
        problems += [
            f"{_at(listing, path)}: {reason}"
            for path, reason in list(found.unreadable.items())[:SHOWN]
        ]
    else:
        for files in (listing.train, listing.test):
            readable = {file.label for file in files if file.path not in found.unreadable}
            emptied = {
                _at(listing, "/".join(file.path.split("/")[:2]))
                for file in files
                if file.label not in readable
            }
            problems += [f"{path}: holds no image that can be read" for path in sorted(emptied)]

    if found.grey and found.color and grey == "refuse":
        count = len(found.grey)
        problems.append(
            f"data.grey_images='refuse': {count} of {count + found.color} images are grey "
            "and the others in colour; "
            f"'convert' repeats the grey channel{_first(count)}"
        )
        problems += [f"{_at(listing, path)}: is grey" for path in found.grey[:SHOWN]]
    return problems


def _first(count: int) -> str:
    return f", the first {SHOWN}:" if count > SHOWN else ":"


def _at(listing: Listing, path: str) -> str:
    return shown(str(listing.root / path))
