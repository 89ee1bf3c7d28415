"""Any folder of images: `train/<class>/*` and `test/<class>/*` (or `val`), and ImageNet as such.

Classes and files are taken in the order of their names; hidden ones and files that are no images by
the ends of their names are passed over. EXIF orientation is not applied and transparency is
dropped, as by torchvision's ImageFolder.
"""

import hashlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.cache import LEFT_OUT, UNREADABLE, Labels, Source, write_images
from workloads.datasets.noticed import Noticed, notes_of, settle
from workloads.datasets.pixels import Decoded, is_read_anew, read
from workloads.datasets.reading import Reading, fields_of, reading_of
from workloads.datasets.spec import DataSpec
from workloads.inventory import Inventory, tally
from workloads.spec import SpecError

__all__ = ["EXTENSIONS", "File", "Listing", "content_of", "listing_of", "source", "training_files"]

EXTENSIONS = (
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".pbm",
    ".pgm",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
SHOWN = 10
SAMPLED = 64
CHUNK = 128
THUMBNAIL = 3_000  # bytes; JPEG files of up to about 80 x 80 pixels


class File(NamedTuple):
    """An image of the folder: its path below the root, with slashes, its size and its label."""

    path: str
    bytes: int
    label: int


@dataclass(frozen=True)
class Listing:
    """The files of both parts, sorted by path, and their classes."""

    root: Path
    train: list[File]
    test: list[File]
    classes: tuple[str, ...]


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
    listing = listing_of(root, spec.name)
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
                [LEFT_OUT if file.path in found.unreadable else file.label for file in files]
            )
        problems = _problems(listing, found, spec.allow_unreadable, grey)
        if problems:
            raise SpecError(problems)
        ranges = settle(spec, folder, found.parts, again)
        notes = tuple(
            f"left out, cannot be read: {path}: {reason}"
            for path, reason in found.unreadable.items()
        )
        notes += notes_of(ranges, found.parts.values())
        unreadable = tally((UNREADABLE, path) for path in found.unreadable)
        used = len(listing.train) + len(listing.test) - len(found.unreadable)
        counted = Inventory(used, unreadable)
        return Labels(labels["train"], labels["test"], listing.classes, notes, inventory=counted)

    fields: dict[str, str | int] = {"grey_images": grey, "allow_unreadable": spec.allow_unreadable}
    return Source(content_of(listing), fields | fields_of(spec), decode)


def training_files(spec: DataSpec, root: Path) -> list[str]:
    """List the paths of the training images below `root`, with slashes.

    In the order of the stored rows. Nothing is decoded.
    """
    return [file.path for file in listing_of(root, spec.name).train]


def _tests(name: str) -> tuple[str, ...]:
    """The folders that may hold the test images, in order of preference."""
    return ("val",) if name == "imagenet" else ("test", "val")


def listing_of(root: Path, name: str = "image-folder") -> Listing:
    """List the files below `root`. Raises SpecError with all that is wrong with its layout."""
    tests = _tests(name)
    hint = (
        ("; ImageNet cannot be downloaded: get it from https://image-net.org/download")
        if name == "imagenet"
        else ""
    )
    if not root.is_dir():
        raise SpecError([f"data.root={str(root)!r}: there is no such folder{hint}"])

    parts = ["train", next((part for part in tests if (root / part).is_dir()), tests[0])]
    missing = [
        f"data.root={str(root)!r}: has no folder {wanted}{hint}"
        for part, wanted in zip(parts, ("train", " or ".join(tests)), strict=True)
        if not (root / part).is_dir()
    ]
    if missing:
        raise SpecError(missing)

    train, test = (_classes(root / part) for part in parts)
    problems = _layout_problems(root, parts, train, test)
    if problems:
        raise SpecError(problems)
    return Listing(root, _files(parts[0], train), _files(parts[1], test), tuple(train))


def _classes(folder: Path) -> dict[str, dict[str, int]]:
    """Class to file name to size in bytes, all in the order of names."""
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
        )
    return {name: _images(folder / name) for name in names}


def _images(folder: Path) -> dict[str, int]:
    """File name to size; a link that leads nowhere has size -1 and is found unreadable later."""
    with os.scandir(folder) as entries:
        sizes = {
            entry.name: entry.stat().st_size if entry.is_file() else -1
            for entry in entries
            if entry.name.lower().endswith(EXTENSIONS)
            and not entry.name.startswith(".")
            and not entry.is_dir()
        }
    return dict(sorted(sizes.items()))


def _files(part: str, classes: dict[str, dict[str, int]]) -> list[File]:
    files = []
    for label, (name, images) in enumerate(classes.items()):
        for image, size in images.items():
            files.append(File(f"{part}/{name}/{image}", size, label))
    return files


def _layout_problems(
    root: Path, parts: list[str], train: dict[str, dict[str, int]], test: dict[str, dict[str, int]]
) -> list[str]:
    problems = []
    for part, classes in zip(parts, (train, test), strict=True):
        problems += [
            f"{root / part / name}: holds no image"
            for name, images in classes.items()
            if not images
        ]
    if len(train) < 2:
        problems.append(f"{root / parts[0]}: has {len(train)} class folders, at least 2 are needed")

    of_train_only, of_test_only = sorted(train.keys() - test), sorted(test.keys() - train)
    for part, lacking in ((parts[1], of_train_only), (parts[0], of_test_only)):
        if lacking:
            more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
            other = parts[0] if part == parts[1] else parts[1]
            problems.append(
                f"{root / part}: lacks classes that {other} has: {', '.join(lacking[:SHOWN])}{more}"
            )
    return problems


def content_of(listing: Listing) -> str:
    """Compute the digest of every relative path and size, and of the bytes of 64 of the files."""
    files = [*listing.train, *listing.test]
    hasher = hashlib.sha256()
    for file in files:
        hasher.update(f"{file.path}\0{file.bytes}\n".encode(errors="surrogateescape"))

    def sampled() -> Iterator[bytes]:
        for number in sorted({step * (len(files) - 1) // (SAMPLED - 1) for step in range(SAMPLED)}):
            try:
                data = (listing.root / files[number].path).read_bytes()
            except OSError:
                data = b"cannot be read"
            hasher.update(data)
            yield data

    # Whatever was computed from such images before is not to be taken for these.
    if is_read_anew(sampled()):
        hasher.update(b"value range of all images")
    return hasher.hexdigest()[:20]


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
    return 1 if thumbnails else min(os.cpu_count() or 1, 16)


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
            f"{listing.root / path}: {reason}"
            for path, reason in list(found.unreadable.items())[:SHOWN]
        ]
    else:
        for files in (listing.train, listing.test):
            readable = {file.label for file in files if file.path not in found.unreadable}
            emptied = {
                listing.root / Path(file.path).parent
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
        problems += [f"{listing.root / path}: is grey" for path in found.grey[:SHOWN]]
    return problems


def _first(count: int) -> str:
    return f", the first {SHOWN}:" if count > SHOWN else ":"
