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
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.cache import LEFT_OUT, Labels, Source
from workloads.datasets.encoded import EncodedImages
from workloads.datasets.noticed import Noticed, found_ranges, remarks_on
from workloads.datasets.pixels import Decoded, decode, glance
from workloads.datasets.reading import Reading, fields_of, reading_of
from workloads.datasets.shards.archives import Member, members_of
from workloads.datasets.shards.files import Shard, ShardFolder, content_of, shards_at
from workloads.datasets.spec import DataSpec
from workloads.datasets.value_range import Ranges
from workloads.spec import SpecError

__all__ = ["Scanned", "scan", "source"]

SHOWN = 10
HEADER = 4 << 10  # bytes of an image in which its header usually lies
INDEX_REVISION = 2  # raised whenever the code indexes equal shards otherwise
RANGES = "ranges.json"
OPENED = 256  # files at once
SCANNED = 8  # shards at once
THUMBNAIL = 32  # side in pixels; of images that are decoded only to see whether they can be


@dataclass(frozen=True)
class Scanned:
    """The images of one shard, and what is known of each: its pixels are None."""

    members: list[Member]
    seen: list[Decoded]


def source(spec: DataSpec, root: str) -> Source:
    """Find the images of the shards below `root`, a folder or a URI that Arrow knows (`s3://...`).

    The content is the digest of every shard's name and size, of the manifest, and of 64 blocks of
    16 KiB spread over all bytes: fast, and blind to a change between these that leaves the size as
    it was and the manifest alone.
    Raises SpecError with all that is wrong with the folder, and, while indexing, with its images.
    """
    folder = shards_at(root)
    fields: dict[str, str | int] = {
        "grey_images": spec.grey_images,
        "allow_unreadable": spec.allow_unreadable,
        "index": INDEX_REVISION,
    }
    return Source(
        content_of(folder),
        fields | fields_of(spec),
        partial(_write_index, spec, folder),
        partial(_images, spec, folder),
    )


def scan(
    folder: ShardFolder, shard: Shard, copy: Path, reading: Reading, *, decodes: bool
) -> Scanned:
    """Read the header of each image of a shard, or with `decodes` the whole image.

    Images of more than 8 bits are always decoded, for the range of their values.

    `copy` is as in `members_of`. Raises SpecError for a file that is no such shard or cannot be
    read.
    """
    try:
        with folder.open(shard) as file:
            members = members_of(file, copy)
            if not copy.exists():
                return _glanced_at(file, members, reading, decodes)
        with copy.open("rb") as file:
            return _glanced_at(file, members, reading, decodes)
    except (OSError, ValueError) as error:
        raise SpecError([f"{folder.root}/{shard.path}: {' '.join(str(error).split())}"]) from error


def _glanced_at(file: BinaryIO, members: list[Member], reading: Reading, decodes: bool) -> Scanned:
    seen = []
    for member in members:

        def whole(member: Member = member) -> bytes:
            file.seek(member.offset)
            return file.read(member.length)

        if decodes:
            one = decode(whole(), THUMBNAIL, reading)
        else:
            file.seek(member.offset)
            is_whole = member.length <= HEADER
            one = glance(file.read(min(member.length, HEADER)), reading, is_whole=is_whole)
            if one.reason and not is_whole:
                one = glance(whole(), reading)
            if one.is_deep:
                one = decode(whole(), THUMBNAIL, reading)
        seen.append(one._replace(pixels=None))
    return Scanned(members, seen)


class _Part(NamedTuple):
    """A part in the order of its rows: where each image lies, and what is known of it.

    That is its label, as its shard says it, whether it is grey, why it cannot be read, and what
    else was noticed.
    """

    records: NDArray[Any]
    said: list[int | str]
    grey: NDArray[np.bool_]
    reasons: dict[int, str]
    noticed: Noticed


def _write_index(spec: DataSpec, folder: ShardFolder, entry: Path) -> Labels:
    """Write `train.npy` and `test.npy`, and copies of images that cannot be read where they lie."""
    parts = {name: _scan_part(spec, folder, name, entry) for name in ("train", "test")}
    classes, numbers = _classes(folder, parts)
    labels = {}
    for name, part in parts.items():
        labels[name] = np.array([numbers[label] for label in part.said], np.int64)
        labels[name][list(part.reasons)] = LEFT_OUT
    problems = _problems(spec, folder, parts, labels, classes)
    if problems:
        raise SpecError(problems)

    notes = []
    for name, part in parts.items():
        np.save(entry / f"{name}.npy", part.records)
        for line in _unreadable(folder, name, part):
            notes.append(f"left out, cannot be read: {line}")
    noticed = {name: part.noticed for name, part in parts.items()}
    ranges = found_ranges(spec, noticed)
    (entry / RANGES).write_text(json.dumps(ranges))
    remarks = remarks_on(ranges, noticed.values())
    return Labels(labels["train"], labels["test"], classes, tuple(notes), remarks=remarks)


def _scan_part(spec: DataSpec, folder: ShardFolder, name: str, entry: Path) -> _Part:
    shards = _of(folder, name)
    copies = [_copy(entry, name, number) for number in range(len(shards))]
    with ThreadPoolExecutor(min(SCANNED, len(shards))) as pool:
        scanning = partial(
            scan, folder, reading=reading_of(spec), decodes=spec.allow_unreadable > 0
        )
        scanned = list(pool.map(scanning, shards, copies))

    rows: list[tuple[int, int, int, bytes]] = []
    said: list[int | str] = []
    seen: list[Decoded] = []
    for number, one in enumerate(scanned):
        for member in one.members:
            rows.append((number, member.offset, member.length, member.name.encode()))
            said.append(member.label)
        seen += one.seen
    if len({type(label) for label in said}) > 1:
        raise SpecError([f"{folder.root}/{name}: some labels are numbers and others names"])

    width = max((len(encoded) for *_, encoded in rows), default=1)
    record = np.dtype(
        [("shard", "<i4"), ("offset", "<i8"), ("length", "<i8"), ("name", f"S{width}")]
    )
    index = np.array(rows, record)

    # As the index of an image folder is: by class, then by name.
    classes = np.unique(np.array(said), return_inverse=True)[1]
    order = np.lexsort((index["offset"], index["shard"], index["name"], classes)).tolist()
    in_order = [seen[row] for row in order]
    noticed = Noticed()
    for row, (record_of, one_of) in enumerate(zip(index[order], in_order, strict=True)):
        noticed.add(row, _name(folder, name, record_of), one_of)
    return _Part(
        index[order],
        [said[row] for row in order],
        np.array([each.is_grey for each in in_order], np.bool_),
        {row: each.reason for row, each in enumerate(in_order) if each.reason},
        noticed,
    )


def _classes(
    folder: ShardFolder, parts: dict[str, _Part]
) -> tuple[tuple[str, ...], dict[int | str, int]]:
    """The names of the classes, and the number of each label that the shards say.

    Raises SpecError.
    """
    train, test = ({*part.said} for part in parts.values())
    problems = []
    for name, lacking in (("test", train - test), ("train", test - train)):
        if lacking:
            shown = ", ".join(sorted(map(str, lacking))[:SHOWN])
            more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
            problems.append(
                f"{folder.root}: {name} lacks classes that the other part has: {shown}{more}"
            )
    if len(train) < 2:
        problems.append(f"{folder.root}: train has {len(train)} classes, at least 2 are needed")
    if problems:
        raise SpecError(problems)

    labels: list[Any] = sorted(train)
    names = (folder.manifest or {}).get("classes", [])
    named = []
    for label in labels:
        has_name = isinstance(label, int) and 0 <= label < len(names)
        named.append(names[label] if has_name else str(label))
    return tuple(named), {label: number for number, label in enumerate(labels)}


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
        counts = np.bincount(labels[name][labels[name] >= 0], minlength=len(classes))
        for number in np.flatnonzero(counts == 0):
            problems.append(
                f"{folder.root}: {name} has no image of {classes[number]!r} that can be read"
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
    paths = [f"{folder.base}/{shard.path}" for shard in _of(folder, name)]
    copies = [_copy(entry, name, number) for number in range(len(paths))]

    @lru_cache(OPENED)
    def opened(number: int) -> Any:
        from pyarrow.fs import LocalFileSystem

        if copies[number].exists():
            return LocalFileSystem().open_input_file(str(copies[number]))
        return folder.filesystem.open_input_file(paths[number])

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
    return f"{folder.root}/{shard.path}: {record['name'].decode()}"


def _first(count: int) -> str:
    return f", the first {SHOWN}:" if count > SHOWN else ":"
