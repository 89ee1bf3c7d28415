"""The files of a data set in shards, on a disk or in an object store, and their digest."""

import hashlib
import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from workloads.datasets.shards.archives import ENDINGS
from workloads.spec import SpecError

__all__ = ["MANIFEST", "Shard", "ShardFolder", "content_of", "shards_at"]

MANIFEST = "manifest.json"
SAMPLED = 64
SAMPLE = 16 << 10  # bytes
READERS = 8
# bytes read at once from a local disk, and from an object store
BUFFER = {True: 64 << 10, False: 8 << 20}


class Shard(NamedTuple):
    """One file: its path below the root, with slashes, and its size."""

    path: str
    bytes: int


@dataclass(frozen=True)
class ShardFolder:
    """The files of both parts in the order of their names, and the manifest beside them."""

    filesystem: Any
    base: str
    root: str
    train: tuple[Shard, ...]
    test: tuple[Shard, ...]
    manifest: dict[str, Any] | None
    is_local: bool

    def open(self, shard: Shard) -> BinaryIO:
        """Open a shard, to be read from its start to its end. Raises OSError."""
        file = self.filesystem.open_input_file(f"{self.base}/{shard.path}")
        return io.BufferedReader(file, BUFFER[self.is_local])


def shards_at(root: str) -> ShardFolder:
    """List what lies below `root`. Raises SpecError with all that is wrong with its layout."""
    import pyarrow as pa
    from pyarrow import fs

    is_local = "://" not in root
    try:
        if is_local:
            filesystem, base = fs.LocalFileSystem(), str(Path(root).expanduser().resolve())
        else:
            filesystem, base = fs.FileSystem.from_uri(root)
        listed = {name: _files(filesystem, base, name) for name in ("train", "test", "val")}
        manifest = _manifest(filesystem, base)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise SpecError(
            [f"data.root={root!r}: cannot be read: {' '.join(str(error).split())}"]
        ) from error
    test = listed["test"] if listed["test"] is not None else listed["val"]
    problems = [
        f"data.root={root!r}: has no folder {wanted}"
        if files is None
        else f"data.root={root!r}: {wanted} holds no {' or '.join(ENDINGS)} file"
        for wanted, files in (("train", listed["train"]), ("test or val", test))
        if not files
    ]
    if manifest is not None and not manifest.get("complete"):
        problems.append(
            f"data.root={root!r}: is not finished; run the `simclr-orch data shard` that began "
            "it again"
        )
    if problems:
        raise SpecError(problems)
    assert listed["train"] is not None
    assert test is not None
    return ShardFolder(
        filesystem, base.rstrip("/"), root, listed["train"], test, manifest, is_local
    )


def _files(filesystem: Any, base: str, part: str) -> tuple[Shard, ...] | None:
    """None where there is no such folder."""
    from pyarrow.fs import FileSelector, FileType

    if filesystem.get_file_info(f"{base}/{part}").type != FileType.Directory:
        return None
    infos = filesystem.get_file_info(FileSelector(f"{base}/{part}"))
    shards = [
        Shard(f"{part}/{info.base_name}", info.size)
        for info in infos
        if info.base_name.endswith(ENDINGS)
    ]
    return tuple(sorted(shard for shard in shards if not shard.path.startswith(f"{part}/.")))


def _manifest(filesystem: Any, base: str) -> dict[str, Any] | None:
    try:
        with filesystem.open_input_stream(f"{base}/{MANIFEST}") as stream:
            manifest = json.loads(stream.read())
    except FileNotFoundError:
        return None
    return manifest if isinstance(manifest, dict) and "shards" in manifest else None


def content_of(folder: ShardFolder) -> str:
    """Compute the digest of every name and size, of the manifest, and of a sample of the bytes.

    The sample is 64 blocks of 16 KiB spread over all bytes. Raises SpecError where they cannot be
    read.
    """
    shards = [*folder.train, *folder.test]
    ends = np.cumsum([shard.bytes for shard in shards])
    positions = sorted({step * (int(ends[-1]) - 1) // (SAMPLED - 1) for step in range(SAMPLED)})

    def block(position: int) -> bytes:
        number = int(np.searchsorted(ends, position, side="right"))
        start = position - int(ends[number]) + shards[number].bytes
        start -= start % SAMPLE  # so that nothing lies between the blocks of a small data set
        with folder.filesystem.open_input_file(f"{folder.base}/{shards[number].path}") as file:
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
        raise SpecError([f"data.root={folder.root!r}: cannot be read: {error}"]) from error
    return hasher.hexdigest()[:20]
