"""Shards: images of a data set in a few large files, read where they lie and decoded when needed.

Below the root lie `train/` and `test/` (or `val/`), each with tar files or Parquet files
(`workloads.datasets.shards.archives`), and `manifest.json` where `simclr-orch data shard` wrote
them. Nothing is decoded up front: what is cached is an index, the file, offset, length and name of
every image, in the order of classes and then of names. Shards that were written from a folder of
images give its rows in its order, and so its splits and pixels.

An image that is grey shows it by its header, which the index reads; whether it can be decoded is
known only by doing that. So a damaged image ends a run when it is met, unless `allow_unreadable` is
above 0: then the index decodes every image.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.cache import LEFT_OUT, UNREADABLE, Labels, Source
from workloads.datasets.encoded import EncodedImages
from workloads.datasets.noticed import Noticed, found_ranges, remarks_on
from workloads.datasets.pixels import Decoded
from workloads.datasets.reading import fields_of, reading_of
from workloads.datasets.shards.classes import Classes, classes_of, names_in_files
from workloads.datasets.shards.contents import Asked
from workloads.datasets.shards.files import LocalFile, Shard, ShardFolder, content_of
from workloads.datasets.shards.scanning import Scanned, scan
from workloads.datasets.shards.unlabelled import found_at, refuse_labels
from workloads.datasets.spec import DataSpec
from workloads.datasets.value_range import Ranges
from workloads.inventory import Inventory, LeftOut, shown, tally
from workloads.spec import SpecError

__all__ = ["source"]

SHOWN = 10
INDEX_REVISION = 3  # raised whenever the code indexes equal shards otherwise
RANGES = "ranges.json"
OPENED = 256  # files at once
SCANNED = 8  # shards at once


def source(spec: DataSpec, root: str) -> Source:
    """Find the images of the shards below `root`, a folder or a URI that Arrow knows (`s3://...`).

    The content is the digest of every shard's name and size, of the manifest, and of 64 blocks of
    16 KiB spread over all bytes: fast, and blind to a change between these that leaves the size as
    it was and the manifest alone.
    Raises SpecError with all that is wrong with the folder, and, while indexing, with its images.
    """
    folder, unlabelled = found_at(spec, root)
    fields: dict[str, str | int] = {
        "grey_images": spec.grey_images,
        "allow_unreadable": spec.allow_unreadable,
        "index": INDEX_REVISION,
    }
    for field in ("image_column", "label_column"):
        if (asked := getattr(spec, field)) is not None:
            fields[field] = asked
    if unlabelled:
        fields["labels"] = "none"
    return Source(
        content_of(folder),
        fields | fields_of(spec),
        partial(_write_index, spec, folder, not unlabelled),
        partial(_images, spec, folder),
        folder.left_out,
        unlabelled,
    )


class _Part(NamedTuple):
    """A part in the order of its rows: where each image lies, and what is known of it.

    That is its label, whether it is grey, why it cannot be read, and what
    else was noticed.
    """

    records: NDArray[Any]
    labels: NDArray[np.int64]
    grey: NDArray[np.bool_]
    reasons: dict[int, str]
    noticed: Noticed


def _write_index(spec: DataSpec, folder: ShardFolder, labelled: bool, entry: Path) -> Labels:
    """Write `train.npy` and `test.npy`, and copies of images that cannot be read where they lie."""
    if not labelled:
        refuse_labels(spec, folder)
    asked = Asked(spec.image_column, spec.label_column, labelled)
    scanned = {name: _scanned(spec, asked, folder, name, entry) for name in ("train", "test")}
    left_out = _left_out(folder, scanned)
    wanted = ("train", "test") if labelled else ("train",)
    empty = [name for name in wanted if not any(one.members for one in scanned[name])]
    if empty:
        lines = [str(each) for each in left_out]
        raise SpecError([f"{shown(folder.root)}: {name} has no image" for name in empty] + lines)
    classes, numbers = _numbers(folder, scanned, labelled)
    parts = {name: _part(folder, name, of, numbers[name]) for name, of in scanned.items()}
    labels = {}
    for name, part in parts.items():
        labels[name] = part.labels.copy()
        labels[name][list(part.reasons)] = LEFT_OUT
    problems = _problems(spec, folder, parts, labels, classes.names)
    if problems:
        raise SpecError(problems)

    notes, unreadable = [], []
    for name, part in parts.items():
        np.save(entry / f"{name}.npy", part.records)
        for line in _unreadable(folder, name, part):
            unreadable.append(line)
    notes += [f"left out, cannot be read: {line}" for line in unreadable]
    notes += _notes(folder, scanned)
    noticed = {name: part.noticed for name, part in parts.items()}
    ranges = found_ranges(spec, noticed)
    (entry / RANGES).write_text(json.dumps(ranges))
    used = sum(len(part.records) for part in parts.values()) - len(unreadable)
    counted = Inventory(used, (*tally((UNREADABLE, line) for line in unreadable), *left_out))
    return Labels(
        labels["train"],
        labels["test"],
        classes.names,
        tuple(notes),
        inventory=counted,
        remarks=remarks_on(ranges, noticed.values()),
    )


def _scanned(
    spec: DataSpec, asked: Asked, folder: ShardFolder, name: str, entry: Path
) -> list[Scanned]:
    shards = _of(folder, name)
    copies = [_copy(entry, name, number) for number in range(len(shards))]
    with ThreadPoolExecutor(max(1, min(SCANNED, len(shards)))) as pool:
        scanning = partial(
            scan,
            folder,
            reading=reading_of(spec),
            decodes=spec.allow_unreadable > 0,
            asked=asked,
        )
        return list(pool.map(scanning, shards, copies))


def _left_out(folder: ShardFolder, scanned: dict[str, list[Scanned]]) -> tuple[LeftOut, ...]:
    """What is left out of all shards, one for each reason."""
    counts: dict[str, int] = {}
    examples: dict[str, str] = {}
    for name, of in scanned.items():
        for shard, one in zip(_of(folder, name), of, strict=True):
            for each in one.contents.left_out:
                counts[each.reason] = counts.get(each.reason, 0) + each.count
                examples.setdefault(each.reason, f"{shown(shard.path)}: {each.example}")
    return tuple(LeftOut(reason, count, examples[reason]) for reason, count in counts.items())


def _numbers(
    folder: ShardFolder, scanned: dict[str, list[Scanned]], labelled: bool
) -> tuple[Classes, dict[str, list[int]]]:
    """The classes, and their numbers for the images of each part as they come; else 0."""
    members = {
        name: [member for one in of for member in one.members] for name, of in scanned.items()
    }
    if not labelled:
        return Classes((), {}), {name: [0] * len(of) for name, of in members.items()}
    said = {
        name: [member.label for member in of if member.label is not None]
        for name, of in members.items()
    }
    classes = classes_of(shown(folder.root), said, _names(folder, scanned))
    return classes, {name: [classes.numbers[label] for label in of] for name, of in said.items()}


def _notes(folder: ShardFolder, scanned: dict[str, list[Scanned]]) -> list[str]:
    """What there is to say of shards, each once, with the first that it is said of."""
    where: dict[str, list[str]] = {}
    for name, of in scanned.items():
        for shard, one in zip(_of(folder, name), of, strict=True):
            for note in one.contents.notes:
                where.setdefault(note, []).append(shown(shard.path))
    several = {note: f"{len(paths)} shards, such as " for note, paths in where.items() if paths[1:]}
    return [f"{note} (in {several.get(note, '')}{paths[0]})" for note, paths in where.items()]


def _names(folder: ShardFolder, scanned: dict[str, list[Scanned]]) -> tuple[str, ...]:
    """The names of classes that are numbers: from the manifest, else from the files themselves."""
    if folder.manifest is not None:
        return tuple(folder.manifest.get("classes", ()))
    found = {
        shown(shard.path): one.contents.classes
        for name, of in scanned.items()
        for shard, one in zip(_of(folder, name), of, strict=True)
    }
    return names_in_files(shown(folder.root), found)


def _part(folder: ShardFolder, name: str, scanned: list[Scanned], classes: list[int]) -> _Part:
    rows: list[tuple[int, int, int, bytes]] = []
    seen: list[Decoded] = []
    for number, one in enumerate(scanned):
        for member in one.members:
            rows.append((number, member.offset, member.length, member.name))
        seen += one.seen

    width = max((len(encoded) for *_, encoded in rows), default=1)
    record = np.dtype(
        [("shard", "<i4"), ("offset", "<i8"), ("length", "<i8"), ("name", f"S{width}")]
    )
    index = np.array(rows, record)
    labels = np.array(classes, np.int64)

    # As the index of an image folder is: by class, then by name.
    order = np.lexsort((index["offset"], index["shard"], index["name"], labels)).tolist()
    in_order = [seen[row] for row in order]
    noticed = Noticed()
    for row, (record_of, one_of) in enumerate(zip(index[order], in_order, strict=True)):
        noticed.add(row, _name(folder, name, record_of), one_of)
    return _Part(
        index[order],
        labels[order],
        np.array([each.is_grey for each in in_order], np.bool_),
        {row: each.reason for row, each in enumerate(in_order) if each.reason},
        noticed,
    )


def _problems(
    spec: DataSpec,
    folder: ShardFolder,
    parts: dict[str, _Part],
    labels: dict[str, NDArray[np.int64]],
    classes: tuple[str, ...],
) -> list[str]:
    total = sum(len(part.records) for part in parts.values())
    unreadable: list[str] = []
    for name, part in parts.items():
        unreadable += _unreadable(folder, name, part)
    if len(unreadable) > spec.allow_unreadable:
        what = (
            f"data.allow_unreadable={spec.allow_unreadable}: {len(unreadable)} of {total} images "
            "cannot be read"
        )
        return [what + _first(len(unreadable)), *unreadable[:SHOWN]]

    problems, grey = [], []
    for name, part in parts.items():
        if not classes and len(part.records) == len(part.reasons) > 0:
            problems.append(f"{shown(folder.root)}: {name} has no image that can be read")
        counts = np.bincount(labels[name][labels[name] >= 0], minlength=len(classes))
        for number in np.flatnonzero(counts == 0):
            problems.append(
                f"{shown(folder.root)}: {name} has no image of {classes[number]!r} that can be read"
            )
        grey += [_name(folder, name, record) for record in part.records[part.grey]]

    readable = total - len(unreadable)
    if grey and len(grey) < readable and spec.grey_images == "refuse":
        problems.append(
            f"data.grey_images='refuse': {len(grey)} of {readable} images are grey and the "
            "others in colour; "
            f"'convert' repeats the grey channel{_first(len(grey))}"
        )
        problems += [f"{name}: is grey" for name in grey[:SHOWN]]
    return problems


def _unreadable(folder: ShardFolder, name: str, part: _Part) -> Iterator[str]:
    return (
        f"{_name(folder, name, part.records[row])}: {reason}"
        for row, reason in part.reasons.items()
    )


def _images(
    spec: DataSpec, folder: ShardFolder, name: str, entry: Path, index: NDArray[Any]
) -> EncodedImages:
    """A part's images, from files that stay open while they are in use."""
    shards = _of(folder, name)
    copies = [_copy(entry, name, number) for number in range(len(shards))]

    @lru_cache(OPENED)
    def opened(number: int) -> Any:
        if copies[number].exists():
            return LocalFile(str(copies[number]))
        return folder.opened(shards[number])

    def read(record: np.void) -> bytes:
        return bytes(
            opened(int(record["shard"])).read_at(int(record["length"]), int(record["offset"]))
        )

    integer, real = json.loads((entry / RANGES).read_text())
    reading = reading_of(spec, Ranges(tuple(integer), tuple(real)))
    return EncodedImages(index, spec.image_size, read, partial(_name, folder, name), reading)


def _copy(entry: Path, name: str, number: int) -> Path:
    return entry / f"{name}-{number}.images"


def _of(folder: ShardFolder, name: str) -> tuple[Shard, ...]:
    return folder.train if name == "train" else folder.test


def _name(folder: ShardFolder, name: str, record: np.void) -> str:
    shard = _of(folder, name)[int(record["shard"])]
    member = record["name"].decode(errors="backslashreplace")
    return f"{shown(folder.root)}/{shown(shard.path)}: {member}"


def _first(count: int) -> str:
    return f", the first {SHOWN}:" if count > SHOWN else ":"
