"""Decoded images on disk: written once per machine, memory-mapped by every run.

An entry is a folder with `train.npy` and `test.npy` (uint8 [M, 3, S, S]), `labels.npz` and
`entry.json`, and where a validation split is official `validation.npy`. Of images that are read
where they lie, the first two are their index. It is written beside its place under a lock and
renamed as the last step, so that an entry that exists is complete, two processes never decode the
same images, and what a killed process left is thrown away by the next one.
"""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.draws import rows_used
from workloads.datasets.encoded import EncodedImages
from workloads.inventory import Inventory, LeftOut
from workloads.local_files import flush, locked, problem_with_folder
from workloads.spec import SpecError

__all__ = [
    "LEFT_OUT",
    "UNREADABLE",
    "Labels",
    "Source",
    "Stored",
    "default_cache",
    "stored",
    "write_images",
]

UNREADABLE = "images that cannot be read"  # the reason in inventories; notes name each of them
LEFT_OUT = -1  # the label of a row that belongs to no split, such as an unreadable image

Opener = Callable[[str, Path, NDArray[Any]], EncodedImages]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labels:
    """What is stored beside M images of each part.

    int64 labels [M], LEFT_OUT where the row is to be skipped. Where an image may have several of C
    classes: [M, C] of 1, 0, and -1 where that class is not to be counted; a row of nothing but -1
    is skipped. `validation` marks the rows of `train` that are the official validation split, bool
    [M]. `train_per_class` is for data sets whose authors leave the split to chance: all their
    images are stored as `train`, and as many of each class as it says are drawn for training.
    `inventory` says what is used of all that was met while they were written; of entries that older
    versions wrote there is none. `remarks` say how pixels were read, where that is not as usual.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    validation: NDArray[np.bool_] | None = None
    train_per_class: int | None = None
    inventory: Inventory | None = None
    remarks: tuple[str, ...] = ()

    @property
    def counted(self) -> Inventory:
        """The inventory; where there is none, made of the rows that are used and skipped."""
        if self.inventory is not None:
            return self.inventory
        used = skipped = 0
        for labels in (self.train, self.test):
            used += len(rows_used(labels))
            skipped += len(labels) - len(rows_used(labels))
        example = self.notes[0].rpartition("cannot be read: ")[2] if self.notes else ""
        return Inventory(used, (LeftOut(UNREADABLE, skipped, example),) if skipped else ())


@dataclass(frozen=True)
class Source:
    """A data set before decoding: what it is, and how to write it.

    `decode` writes `train.npy` and `test.npy` into a folder by `write_images` and returns the
    labels; `fields` is all that changes what it writes, other than `content` and the image size.

    Where images are read where they lie, `decode` writes an index of each part instead, the same
    for every image size, and `images` gives the images of a part, by its name, from the entry and
    the index.

    `left_out` is what finding the files passed over, which may change while `content` stays, and
    `unlabelled` says why there are no labels where there are none: no classes, and no test images.
    """

    content: str
    fields: dict[str, str | int]
    decode: Callable[[Path], Labels]
    images: Opener | None = None
    left_out: tuple[LeftOut, ...] = ()
    unlabelled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stored:
    """An entry of the cache, its images memory-mapped read-only, or read where they lie."""

    train_images: NDArray[np.uint8] | EncodedImages
    test_images: NDArray[np.uint8] | EncodedImages
    labels: Labels


def default_cache() -> Path:
    """Return $SIMCLR_ORCH_CACHE, or `simclr-orch/decoded` in the user's cache folder.

    That is $XDG_CACHE_HOME, or ~/.cache; where nothing can be written there, as in a container, a
    folder of the user's among the temporary files, and a warning says so once.
    """
    chosen = os.environ.get("SIMCLR_ORCH_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return _users_cache(os.environ.get("XDG_CACHE_HOME"), os.environ.get("HOME"))


@lru_cache(maxsize=8)
def _users_cache(caches: str | None, home: str | None) -> Path:
    wanted = Path(caches or Path(home or "/") / ".cache") / "simclr-orch" / "decoded"
    if not (problem := problem_with_folder(wanted)):
        return wanted
    instead = Path(tempfile.gettempdir(), f"simclr-orch-{os.getuid()}", "decoded")
    log.warning(
        "%s: cannot be written (%s); images are kept in %s, or where SIMCLR_ORCH_CACHE says",
        wanted,
        problem,
        instead,
    )
    return instead


def _made(cache: Path) -> None:
    """Make the cache's folder. Raises SpecError that names the variable where that cannot be."""
    if problem := problem_with_folder(cache):
        raise SpecError(
            [
                f"SIMCLR_ORCH_CACHE={str(cache)!r}: cannot be written ({problem}); decoded images "
                "need a folder that can"
            ]
        )


def stored(
    cache: Path, key: str, decode: Callable[[Path], Labels], images: Opener | None = None
) -> Stored:
    """Open the entry `key` of `cache`, which is written now if it is not there.

    Waits while another process writes it. `decode` and `images` are as in `Source`.
    """
    entry = cache / key
    if not entry.is_dir():
        _made(cache)
        with locked(cache / f"{key}.lock"):
            if not entry.is_dir():
                log.info("%s images into %s", "decoding" if images is None else "indexing", entry)
                _write(entry, decode)

    labels = _read_labels(entry)
    train, test = (np.load(entry / f"{part}.npy", mmap_mode="r") for part in ("train", "test"))
    if images is not None:
        train, test = images("train", entry, train), images("test", entry, test)
    return Stored(train, test, labels)


def write_images(path: Path, count: int, size: int, chunks: Iterable[NDArray[np.uint8]]) -> None:
    """Write `count` images, in chunks of uint8 [n, 3, size, size], into the .npy file `path`.

    Raises SpecError when the disk has no room for them. (A memory map would be killed by a signal
    instead.)
    """
    needed, free = count * 3 * size * size, shutil.disk_usage(path.parent).free
    if needed > free:
        room = f"{needed / 2**30:.1f} GiB, and {path.parent.parent} has {free / 2**30:.1f} GiB free"
        hint = "set SIMCLR_ORCH_CACHE to a folder with room, or use a smaller size"
        raise SpecError([f"data.image_size={size}: {count} decoded images take {room}; {hint}"])

    written = 0
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, size, size)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in chunks:
            assert chunk.dtype == np.uint8
            assert chunk.shape[1:] == (3, size, size)
            file.write(np.ascontiguousarray(chunk).data)
            written += len(chunk)
    assert written == count


def _write(entry: Path, decode: Callable[[Path], Labels]) -> None:
    partial = entry.with_name(f"{entry.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        labels = decode(partial)
        np.savez(partial / "labels.npz", train=labels.train, test=labels.test)
        if labels.validation is not None:
            np.save(partial / "validation.npy", labels.validation)
        about = {
            "classes": labels.classes,
            "notes": labels.notes,
            "train_per_class": labels.train_per_class,
            "inventory": labels.counted.tree(),
            "remarks": labels.remarks,
        }
        (partial / "entry.json").write_text(json.dumps(about, indent=1))

        # So that the rename cannot outrun the data in a power cut.
        for path in [*partial.iterdir(), partial]:
            flush(path)
        partial.rename(entry)
        flush(entry.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _read_labels(entry: Path) -> Labels:
    about = json.loads((entry / "entry.json").read_text())
    marked = entry / "validation.npy"
    counted = about.get("inventory")
    with np.load(entry / "labels.npz") as arrays:
        return Labels(
            arrays["train"],
            arrays["test"],
            tuple(about["classes"]),
            tuple(about["notes"]),
            np.load(marked) if marked.is_file() else None,
            about.get("train_per_class"),  # which older entries do not say
            None if counted is None else Inventory.read(counted),
            tuple(about.get("remarks", [])),
        )
