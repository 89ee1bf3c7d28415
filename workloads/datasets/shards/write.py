"""Shards written from a folder of images.

A file is written beside its place and renamed, and its entry of the manifest follows: what a killed
process left is written again, what has an entry is not.
"""

import io
import tarfile
import threading
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from workloads.datasets.image_files import image_endings
from workloads.datasets.shards.sharding import LOCK, Sharding, entry_of
from workloads.datasets.shards.threads import in_threads
from workloads.datasets.sources.folder_listing import File
from workloads.inventory import shown
from workloads.local_files import locked, replaced
from workloads.spec import SpecError

__all__ = ["Written", "forget", "write_shards"]

ROW_GROUP = 64  # images of a Parquet file that are read together when it is indexed
LONGEST = 60  # characters of a file's name that stay part of an image's name in a shard


class Written(NamedTuple):
    """A file of the output, its images and bytes, and whether an earlier call had written it."""

    path: str
    images: int
    bytes: int
    before: bool


def write_shards(sharding: Sharding, workers: int) -> Generator[Written]:
    """Write what is missing with `workers` threads, and yield each file that is there.

    Raises SpecError that names what cannot be read or written; what was written by then is kept.
    """
    output = sharding.output
    try:
        for part in sharding.parts:
            (output / part).mkdir(parents=True, exist_ok=True)
        with locked(output / LOCK):
            entries = sharding.written()
            sharding.keep(entries, complete=False)  # from now on the folder is known to be ours
            for name, entry in entries.items():
                yield Written(name, entry["images"], entry["bytes"], True)

            missing = [name for name in sharding.files if name not in entries]
            for name, entry in in_threads(workers, missing, partial(_write, sharding)):
                entries[name] = entry
                sharding.keep(entries, complete=False)
                yield Written(name, entry["images"], entry["bytes"], False)
            sharding.keep(entries, complete=True)
    except OSError as error:
        raise SpecError([f"{output}: cannot be written ({error.strerror or error})"]) from error


def forget(sharding: Sharding, names: list[str]) -> None:
    """Have the files of these names written again by the next call. Raises OSError."""
    with locked(sharding.output / LOCK):
        entries = sharding.written()
        kept = {name: entry for name, entry in entries.items() if name not in names}
        sharding.keep(kept, complete=False)


def _write(sharding: Sharding, name: str, stop: threading.Event) -> dict[str, Any]:
    """Write one file; its entry of the manifest."""
    path, members = sharding.output / name, sharding.files[name]
    write = _write_tar if sharding.format == "tar" else _write_parquet
    try:
        with replaced(path, beside=f"{path.name}.unfinished") as unfinished:
            write(unfinished, _read(sharding.listing.root, members, stop))
            entry = entry_of(unfinished, len(members))
    except OSError as error:
        raise SpecError([f"{path}: cannot be written ({error.strerror or error})"]) from error
    return entry


class _Image(NamedTuple):
    """An image's name in a shard, the ending of its file, its label and its bytes."""

    key: str  # begins with its number in the folder
    ending: str
    label: int
    data: bytes


def _read(root: Path, members: list[tuple[int, File]], stop: threading.Event) -> Iterator[_Image]:
    for row, file in members:
        if stop.is_set():
            raise SpecError(["stopped"])
        path = root / file.path
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SpecError([f"{path}: cannot be read ({error.strerror})"]) from error
        stem, ending = _name(path, data)
        # In WebDataset a name ends at its first dot.
        stem = stem.replace(".", "_")[:LONGEST]
        yield _Image(f"{row:09d}-{stem}", ending, file.label, data)


def _name(path: Path, data: bytes) -> tuple[str, str]:
    """A file's name and ending; its format's ending where its own is not that of an image.

    Without one, WebDataset does not see a member.
    """
    if path.suffix.lower() in image_endings():
        return path.stem, path.suffix.lower()
    try:
        with Image.open(io.BytesIO(data)) as image:
            kind = image.format or ""
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        kind = ""
    return path.name, {"JPEG": ".jpg", "TIFF": ".tif"}.get(kind, f".{kind.lower() or 'image'}")


def _write_tar(path: Path, images: Iterator[_Image]) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for image in images:
            for ending, data in ((image.ending, image.data), (".cls", str(image.label).encode())):
                member = tarfile.TarInfo(image.key + ending)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def _write_parquet(path: Path, images: Iterator[_Image]) -> None:
    """Not compressed, which images are already, so that each lies in the file in one piece."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([("image", pa.binary()), ("label", pa.int64()), ("key", pa.string())])
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        group: list[dict[str, Any]] = []
        for image in images:
            group.append({"image": image.data, "label": image.label, "key": shown(image.key)})
            if len(group) == ROW_GROUP:
                writer.write_table(pa.Table.from_pylist(group, schema))
                group = []
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema))
