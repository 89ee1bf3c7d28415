"""Where the images of a shard lie in its file, so that each can be read by itself later.

A tar shard in the layout of WebDataset has members KEY.jpg (or another kind of image) and KEY.cls,
a number or the name of a class, or KEY.json with a field `label` or `cls`
(`workloads.datasets.shards.pairing`); a compressed one is unpacked into a copy first. A Parquet
shard has a column of images and one of labels (`workloads.datasets.shards.tables`).
"""

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import zlib
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from workloads.datasets.image_files import why_no_image
from workloads.datasets.shards.contents import Asked, Contents, Member
from workloads.datasets.shards.labels import Label, label_in_json, label_in_text
from workloads.datasets.shards.pairing import Endings, pair
from workloads.datasets.shards.tables import rows_of
from workloads.datasets.shards.tally import Tally
from workloads.datasets.shards.tar_entries import Entry, entries_of
from workloads.inventory import shown

__all__ = ["ENDINGS", "members_of", "unpacked"]

ENDINGS = (
    ".tar",
    ".parquet",
    ".tar.gz",
    ".tgz",
    ".tar.zst",
    ".tzst",
    ".tar.bz2",
    ".tbz2",
    ".tar.xz",
    ".txz",
)
GZIP, BZIP2, XZ, ZSTANDARD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"
POINTER = b"version https://git-lfs"
COPIED = 4 << 20  # bytes at once
HEADER = 4 << 10
TIFF = (b"II", b"MM")


def members_of(file: BinaryIO, copy: Path, asked: Asked) -> Contents:
    """Find the images of the shard in `file`, by their offsets there or in `copy`.

    `copy` is created where images do not lie in the file as they are. Raises ValueError for a file
    that is no such shard, OSError where one cannot be read or written.
    """
    start = file.read(len(POINTER))
    file.seek(0)
    if start == POINTER:
        raise ValueError("is a pointer of Git LFS and not the file; `git lfs pull` fetches it")
    if start.startswith(b"PAR1"):
        return rows_of(file, copy, asked)
    try:
        if not start.startswith((GZIP, BZIP2, XZ, ZSTANDARD)):
            return _of_tar(file, asked)
        _unpack(file, start, copy)
        with copy.open("rb") as tar:
            return _of_tar(tar, asked)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise ValueError(f"is no tar file, or a damaged one: {error}") from error


def _unpack(file: BinaryIO, start: bytes, copy: Path) -> None:
    with unpacked(file, start) as tar, copy.open("wb") as output:
        shutil.copyfileobj(tar, output, COPIED)


def unpacked(file: BinaryIO, start: bytes) -> Any:
    """Open what a file that begins like `start` holds, compressed or not, to be read once."""
    if start.startswith(GZIP):
        return gzip.GzipFile(fileobj=file)
    if start.startswith(BZIP2):
        return bz2.BZ2File(file)
    if start.startswith(XZ):
        return lzma.LZMAFile(file)
    if not start.startswith(ZSTANDARD):
        return nullcontext(file)
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")


def _of_tar(file: BinaryIO, asked: Asked) -> Contents:
    tally, texts = Tally(), dict[str, bytes]()
    entries = entries_of(file, texts, tally)

    def label_of(entry: Entry, ending: str) -> Label | None:
        data, name = texts.get(entry.name), shown(entry.name)
        if data is None:
            file.seek(entry.offset)
            data = file.read(entry.size)
        if ending != "json":
            return label_in_text(data, name)
        return label_in_json(data, name, asked.label_column)

    samples = pair(
        entries,
        partial(_why_no_image, file),
        label_of,
        Endings(asked.image_column, asked.label_column),
        tally,
        labelled=asked.labelled,
    )
    members = [
        Member(image.offset, image.size, image.name.encode("utf-8", "surrogateescape"), label)
        for image, label in samples
    ]
    return Contents(members, tally.left_out(), tuple(tally.notes))


def _why_no_image(file: BinaryIO, entry: Entry) -> str | None:
    def opened() -> BinaryIO:
        file.seek(entry.offset)
        start = file.read(min(entry.size, HEADER))
        # whose header may lie anywhere
        rest = file.read(entry.size - len(start)) if start.startswith(TIFF) else b""
        return io.BytesIO(start + rest)

    return why_no_image(entry.name, opened)
