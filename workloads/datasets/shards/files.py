"""The files of a data set in shards, on a disk or in an object store, and their digest."""

import hashlib
import io
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from workloads.datasets.shards.layout import NOWHERE, Shard, layout_of
from workloads.inventory import LeftOut, shown
from workloads.spec import SpecError

__all__ = ["MANIFEST", "LocalFile", "Shard", "ShardFolder", "content_of", "shards_at"]

MANIFEST = "manifest.json"
SAMPLED = 64
SAMPLE = 16 << 10  # bytes
READERS = 8
# bytes read at once from a local disk, and from an object store
BUFFER = {True: 64 << 10, False: 8 << 20}
DEEPEST = 5  # folders below the root


class LocalFile:
    """A file on a disk, read at any place from any thread; its name may be any bytes."""

    def __init__(self, path: str) -> None:
        """Open the file. Raises OSError."""
        self._number = os.open(path, os.O_RDONLY)

    def read_at(self, length: int, offset: int) -> bytes:
        """Read so many bytes from there. Raises OSError."""
        return os.pread(self._number, length, offset)

    def __del__(self) -> None:
        if hasattr(self, "_number"):
            os.close(self._number)


@dataclass(frozen=True)
class ShardFolder:
    """The files of both parts in the order of their names, and the manifest beside them.

    `left_out` are files below the root that are in no part.
    """

    filesystem: Any
    base: str
    root: str
    train: tuple[Shard, ...]
    test: tuple[Shard, ...]
    manifest: dict[str, Any] | None
    is_local: bool
    left_out: tuple[LeftOut, ...] = ()

    def open(self, shard: Shard) -> BinaryIO:
        """Open a shard, to be read from its start to its end. Raises OSError."""
        if self.is_local:
            return Path(self.base, shard.path).open("rb", buffering=BUFFER[True])
        file = self.filesystem.open_input_file(f"{self.base}/{shard.path}")
        return io.BufferedReader(file, BUFFER[False])

    def opened(self, shard: Shard) -> Any:
        """Open a shard for `read_at(length, offset)`, from any thread. Raises OSError."""
        path = f"{self.base}/{shard.path}"
        return LocalFile(path) if self.is_local else self.filesystem.open_input_file(path)


def shards_at(root: str, *, labelled: bool = True) -> ShardFolder:
    """List what lies below `root`. Raises SpecError with all that is wrong with its layout.

    Without labels, there is no part for tests, and need not be one for training
    (`workloads.datasets.shards.layout`).
    """
    import pyarrow as pa
    from pyarrow import fs

    is_local = "://" not in root
    named = f"data.root={shown(root)!r}"
    try:
        if is_local:
            filesystem, base = fs.LocalFileSystem(), str(Path(root).expanduser().resolve())
            files, folders = _on_disk(base)
            data = Path(base, MANIFEST).read_bytes() if MANIFEST in files else b""
        else:
            filesystem, base = fs.FileSystem.from_uri(root)
            files, folders = _in_store(filesystem, base)
            data = b""
            if MANIFEST in files:
                with filesystem.open_input_stream(f"{base}/{MANIFEST}") as stream:
                    data = stream.read()
        manifest = _manifest(data) if MANIFEST in files else None
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = shown(" ".join(str(error).split()))
        raise SpecError([f"{named}: cannot be read: {reason}"]) from error

    shards = [Shard(path, size) for path, size in files.items()]
    problems: list[str] = []
    try:
        layout = layout_of(shards, folders, labelled=labelled)
    except ValueError as error:
        problems += [f"{named}: {problem}" for problem in error.args]
    if manifest is not None and not manifest.get("complete"):
        problems.append(
            f"{named}: is not finished; run the `simclr-orch data shard` that began it again"
        )
    if problems:
        raise SpecError(problems)
    return ShardFolder(
        filesystem,
        base.rstrip("/"),
        root,
        layout.train,
        layout.test,
        manifest,
        is_local,
        layout.left_out,
    )


def _on_disk(base: str) -> tuple[dict[str, int], set[str]]:
    """Sizes of the visible files by their paths below `base`, and the folders that lie there."""
    if Path(base).is_file():
        raise NotADirectoryError("is a file; the folder that it lies in is wanted")
    files: dict[str, int] = {}
    folders: set[str] = set()
    for path, entry in _walked(base, "", 0):
        if entry.is_dir():
            folders.add(path)
        else:
            try:
                files[path] = entry.stat().st_size
            except FileNotFoundError:
                files[path] = NOWHERE
    return files, folders


def _walked(base: str, below: str, depth: int) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    try:
        with os.scandir(os.path.join(base, below)) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = f"{below}/{entry.name}" if below else entry.name
        yield path, entry
        if entry.is_dir() and depth < DEEPEST and not _is_circle(entry):
            yield from _walked(base, path, depth + 1)


def _is_circle(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a link to a folder that it lies in."""
    if not entry.is_symlink():
        return False
    return Path(entry.path).parent.resolve().is_relative_to(Path(entry.path).resolve())


def _in_store(filesystem: Any, base: str) -> tuple[dict[str, int], set[str]]:
    from pyarrow.fs import FileSelector, FileType

    files: dict[str, int] = {}
    folders: set[str] = set()
    selector = FileSelector(base, allow_not_found=True, recursive=True)
    for info in filesystem.get_file_info(selector):
        path = info.path.removeprefix(base.rstrip("/")).lstrip("/")
        if any(part.startswith(".") for part in path.split("/")):
            continue
        if info.type == FileType.Directory:
            folders.add(path)
        else:
            files[path] = info.size
    return files, folders


def _manifest(data: bytes) -> dict[str, Any] | None:
    manifest = json.loads(data)
    return manifest if isinstance(manifest, dict) and "shards" in manifest else None


def content_of(folder: ShardFolder) -> str:
    """Compute the digest of every name and size, of the manifest, and of a sample of the bytes.

    The sample is 64 blocks of 16 KiB spread over all bytes. Raises SpecError where they cannot be
    read.
    """
    shards = [*folder.train, *folder.test]
    ends = np.cumsum([shard.bytes for shard in shards])
    last = max(0, int(ends[-1]) - 1)
    positions = sorted({step * last // (SAMPLED - 1) for step in range(SAMPLED)})

    def block(position: int) -> bytes:
        number = min(int(np.searchsorted(ends, position, side="right")), len(shards) - 1)
        start = position - int(ends[number]) + shards[number].bytes
        start -= start % SAMPLE  # so that nothing lies between the blocks of a small data set
        file = folder.opened(shards[number])
        return bytes(file.read_at(SAMPLE, start))

    hasher = hashlib.sha256()
    for shard in shards:
        hasher.update(f"{shard.path}\0{shard.bytes}\n".encode(errors="surrogateescape"))
    hasher.update(json.dumps(folder.manifest, sort_keys=True).encode())
    try:
        with ThreadPoolExecutor(READERS) as pool:
            for data in pool.map(block, positions):
                hasher.update(data)
    except OSError as error:
        named = f"data.root={shown(folder.root)!r}"
        raise SpecError([f"{named}: cannot be read: {shown(str(error))}"]) from error
    return hasher.hexdigest()[:20]
