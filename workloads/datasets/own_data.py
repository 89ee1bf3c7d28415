"""Data sets of somebody's own: images in memory or as files, from a function.

An own data set is a function that is called with `data.root` (None where none is given) and its
options, and gives `OwnData` or a tuple of its five. The content is the digest of all that it gives;
a run whose content is pinned and decoded already does not call it.

Legend: N images, C channels, S side in pixels.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel

from workloads.datasets.cache import LEFT_OUT, UNREADABLE, Labels, Source, write_images
from workloads.datasets.encoded import decoders
from workloads.datasets.noticed import Noticed, remarks_on, settle
from workloads.datasets.pixels import Decoded, decode, fit, read
from workloads.datasets.reading import Reading, fields_of, reading_of
from workloads.datasets.spec import DataSpec
from workloads.inventory import Inventory, tally
from workloads.parts import DATASETS, OwnPart, find, plain_options, read_options
from workloads.spec import SpecError

__all__ = ["GivesData", "OwnData", "pinned_data", "source"]

CHUNK = 256
SHOWN = 10

Images = Any  # uint8 [N, C, H, W] of one or three channels, or a sequence of images


class OwnData(NamedTuple):
    """What an own data set gives.

    Images are uint8 [N, C, H, W], as an array or a tensor, with C one or three; or a sequence of
    PIL images, of uint8 arrays [C, H, W], of the bytes of image files, or of their paths, of any
    size each. Labels are N integers from 0. Where there are none, both labels are None, and all
    training images are trained on without.
    """

    train_images: Images
    train_labels: Any
    test_images: Images = ()
    test_labels: Any = None
    classes: Sequence[str] = ()


class GivesData(Protocol):
    """What an own data set is, with options as one frozen pydantic class or one each."""

    def __call__(self, root: str | None, *, options: Any) -> OwnData:
        """Return the images; the same whenever it is called."""


@dataclass(frozen=True)
class _Given:
    """What was given, checked: images and int64 labels [N] of each part; without classes, none."""

    images: dict[str, Images]
    labels: dict[str, NDArray[np.int64]]
    classes: tuple[str, ...]

    def content(self) -> str:
        """Return the digest of classes, labels and images."""
        sha = hashlib.sha256(repr(self.classes).encode())
        for part, images in self.images.items():
            sha.update(f"{part} {len(images)}\n".encode() + self.labels[part].tobytes())
            for image in images:
                head, body = _as_bytes(image)
                sha.update(f"{head} {len(body)}\n".encode() + body)
        return sha.hexdigest()[:20]


def source(spec: DataSpec) -> Source:
    """Find an own data set; without pinned content it is called for it.

    Raises SpecError for a part that cannot be had, has other code than was pinned, fails, or gives
    what are no images, and, while decoding, where that is other content than was pinned.
    """
    _part(spec)
    known = None if spec.content else _given(spec)
    content = spec.content or ("" if known is None else known.content())

    def decode_into(folder: Path) -> Labels:
        given = known or _given(spec)
        if known is None and (now := given.content()) != content:
            raise SpecError(
                [f"data.content={content!r}: what {spec.name} gives is {now!r}; plan again"]
            )
        if not given.classes and spec.labels != "none" and known is None:
            raise SpecError([f"{_named(spec)}: has no labels"])
        return _written(spec, given, folder)

    fields: dict[str, str | int] = {"allow_unreadable": spec.allow_unreadable}
    unlabelled: tuple[str, ...] = ()
    if spec.labels == "none":
        unlabelled = ("data.labels='none': says that there are none",)
    elif known is not None and not known.classes:
        unlabelled = (f"{_named(spec)}: gives no labels",)
    if unlabelled:
        fields["labels"] = "none"
    return Source(content, fields | fields_of(spec), decode_into, unlabelled=unlabelled)


def pinned_data(spec: DataSpec) -> dict[str, Any]:
    """Return code and all options of an own data set, by field; nothing for a built-in one.

    Raises SpecError for a part that cannot be had, and for other code than was pinned.
    """
    if not spec.is_own:
        return {}
    part, options = _part(spec)
    return {"options": plain_options(spec.options, options), "code": part.code}


def _part(spec: DataSpec) -> tuple[OwnPart, BaseModel]:
    part = find(DATASETS, "data.name", spec.name, spec.code)
    return part, read_options(part, "data.options", spec.options)


def _given(spec: DataSpec) -> _Given:
    part, options = _part(spec)
    try:
        given = part.make(spec.root, options=options)
    except SpecError:
        raise
    except Exception as error:  # whatever its author's code raises
        told = " ".join(str(error).split())
        raise SpecError([f"{_named(spec)}: fails: {type(error).__name__}: {told}"]) from error
    if not isinstance(given, tuple) or not 2 <= len(given) <= 5:
        raise SpecError(
            [
                f"{_named(spec)}: gives {type(given).__name__}, and not OwnData or a tuple of "
                "train images, their labels, test images, their labels, names of classes"
            ]
        )
    data = OwnData(*given)
    if data.train_labels is None or spec.labels == "none":
        data = OwnData(data.train_images, None)
    try:
        return _checked(data)
    except ValueError as error:
        raise SpecError([f"{_named(spec)}: gives {error}"]) from None


def _checked(data: OwnData) -> _Given:
    """Raises ValueError for what are no images and labels."""
    images = {
        "train": _images(data.train_images, "training"),
        "test": _images(data.test_images, "test"),
    }
    if not len(images["train"]):
        raise ValueError("no training images")
    if data.train_labels is None:
        unknown = np.zeros(len(images["train"]), np.int64)
        return _Given(images, {"train": unknown, "test": unknown[:0]}, ())
    if not len(images["test"]):
        raise ValueError("no test images; without any, labels are to be None")
    labels = {
        "train": _labels(data.train_labels, len(images["train"]), "training"),
        "test": _labels(data.test_labels, len(images["test"]), "test"),
    }
    count = int(max(of_part.max() for of_part in labels.values())) + 1
    classes = tuple(map(str, data.classes or range(count)))
    if count > len(classes):
        raise ValueError(f"the label {count - 1}, and names of {len(classes)} classes")
    lacking = [name for i, name in enumerate(classes) if not (labels["train"] == i).any()]
    if lacking:
        raise ValueError(f"no training image of the class {lacking[0]!r}")
    return _Given(images, labels, classes)


def _images(images: Images, which: str) -> Images:
    if type(images).__module__ == "torch":
        images = images.numpy(force=True)
    if isinstance(images, np.ndarray):
        if images.ndim == 4 and images.dtype == np.uint8 and images.shape[1] in (1, 3):
            return images
        raise ValueError(
            f"{which} images as {images.dtype} {list(images.shape)}, and not uint8 [N, C, H, W] "
            "with C of 1 or 3"
        )
    if not isinstance(images, Sequence) or isinstance(images, str | bytes):
        raise ValueError(f"{which} images as {type(images).__name__}, and not an array or a list")
    for position, image in enumerate(images):
        if isinstance(image, np.ndarray):
            if image.ndim == 3 and image.dtype == np.uint8 and image.shape[0] in (1, 3):
                continue
            shape = f"{image.dtype} {list(image.shape)}"
            raise ValueError(f"{which} image {position} as {shape}, and not uint8 [C, H, W]")
        if not isinstance(image, Image.Image | bytes | str | Path):
            raise ValueError(
                f"{which} image {position} as {type(image).__name__}, and not a PIL image, an "
                "array, the bytes of a file or its path"
            )
    return images


def _labels(labels: Any, count: int, which: str) -> NDArray[np.int64]:
    found = np.asarray(labels)
    if found.shape != (count,) or found.dtype.kind not in "iu" or found.min() < 0:
        what = f"{found.dtype} {list(found.shape)}"
        raise ValueError(f"{which} labels as {what}, and not {count} integers from 0")
    return found.astype(np.int64)


def _written(spec: DataSpec, given: _Given, folder: Path) -> Labels:
    reading, noticed = reading_of(spec), {part: Noticed() for part in given.images}
    labels, unreadable = dict(given.labels), dict[str, str]()
    for part, images in given.images.items():
        labels[part] = labels[part].copy()
        found = _Found(part, labels[part], noticed[part], unreadable)
        chunks = _decoded(images, spec.image_size, reading, found)
        write_images(folder / f"{part}.npy", len(images), spec.image_size, chunks)
    if len(unreadable) > spec.allow_unreadable:
        raise SpecError(
            [
                f"data.allow_unreadable={spec.allow_unreadable}: {len(unreadable)} images of "
                f"{spec.name} cannot be read",
                *(f"{name}: {why}" for name, why in list(unreadable.items())[:SHOWN]),
            ]
        )

    def again(part: str, by: Reading, row: int) -> Decoded:
        return _decode(given.images[part][row], spec.image_size, by)

    ranges = settle(spec, folder, noticed, again)
    total = sum(map(len, given.images.values()))
    return Labels(
        labels["train"],
        labels["test"],
        given.classes,
        tuple(f"left out, cannot be read: {name}: {why}" for name, why in unreadable.items()),
        inventory=Inventory(
            total - len(unreadable), tally((UNREADABLE, name) for name in unreadable)
        ),
        remarks=remarks_on(ranges, noticed.values()),
    )


@dataclass(frozen=True)
class _Found:
    """What decoding a part met; its labels are LEFT_OUT where an image cannot be read."""

    part: str
    labels: NDArray[np.int64]
    noticed: Noticed
    unreadable: dict[str, str]

    def add(self, row: int, image: Decoded) -> None:
        name = f"{self.part} image {row}"
        self.noticed.add(row, name, image)
        if image.pixels is None:
            self.labels[row] = LEFT_OUT
            self.unreadable[name] = image.reason


def _decoded(
    images: Images, size: int, reading: Reading, found: _Found
) -> Iterator[NDArray[np.uint8]]:
    black = np.zeros((3, size, size), np.uint8)
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        decoded = list(decoders().map(partial(_decode, size=size, reading=reading), chunk))
        for row, image in enumerate(decoded, start):
            found.add(row, image)
        yield np.stack([black if image.pixels is None else image.pixels for image in decoded])


def _decode(image: Any, size: int, reading: Reading) -> Decoded:
    match image:
        case bytes():
            return decode(image, size, reading)
        case str() | Path():
            return read(Path(image), size, reading)
        case np.ndarray():
            levels = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
            return Decoded(fit(Image.fromarray(np.ascontiguousarray(levels)), size))
        case _:
            return Decoded(fit(image.convert("RGB"), size))


def _as_bytes(image: Any) -> tuple[str, bytes]:
    """The kind and form of an image, and the bytes that say the rest."""
    match image:
        case bytes():
            return "file", image
        case str() | Path():
            return "file", Path(image).read_bytes()
        case np.ndarray():
            return f"array {image.shape}", image.tobytes()
        case _:
            return f"image {image.size}", image.convert("RGB").tobytes()


def _named(spec: DataSpec) -> str:
    return f"data.name={spec.name!r}"
