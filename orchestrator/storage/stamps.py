"""Which content a file is of, told from a listing: its size, and its modification time or etag.

A file that is replaced twice within the resolution of such a time may look as before. So a stamp
tells when the file was written, and who keeps it can wait until that is long enough ago.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["SETTLED", "Stamp", "local_stamps", "remote_stamps", "written_of"]

SETTLED = 2.0  # seconds; object stores tell times in whole ones


@dataclass(frozen=True)
class Stamp:
    """What a listing tells of a file: `tag` is another one where its content is another.

    `written` is a time in seconds since 1970: 0 where the tag is a digest of the content, and None
    where the store does not tell.
    """

    tag: str
    written: float | None

    def is_settled(self, now: float) -> bool:
        """Tell whether the tag can be relied on: the file was written some time before `now`."""
        return self.written is not None and self.written < now - SETTLED


def local_stamps(root: str, files: Sequence[str], depth: int) -> dict[str, Stamp]:
    """Stamp the first of `files` in each folder `depth` levels below `root`, by relative name."""
    found = {}
    for folder in _folders(root, depth):
        for file in files:
            name = f"{folder}/{file}"
            try:
                status = os.stat(f"{root}/{name}")
            except (FileNotFoundError, NotADirectoryError):
                continue
            found[name] = Stamp(f"{status.st_size}-{status.st_mtime_ns}", status.st_mtime)
            break
    return found


def _folders(root: str, depth: int) -> Iterator[str]:
    try:
        names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    except FileNotFoundError:
        return
    for name in names:
        if depth == 1:
            yield name
        else:
            yield from (f"{name}/{below}" for below in _folders(f"{root}/{name}", depth - 1))


def remote_stamps(filesystem: Any, root: str, files: Sequence[str], depth: int) -> dict[str, Stamp]:
    """Return the same of one of Arrow's file systems, by one listing of all that is below."""
    first: dict[str, tuple[int, str, Stamp]] = {}
    for name, stamp in _remote(filesystem, root.rstrip("/")):
        folder, _, file = name.rpartition("/")
        if file in files and folder.count("/") == depth - 1:
            here = (files.index(file), name, stamp)
            first[folder] = min(first.get(folder, here), here, key=lambda one: one[0])
    return {name: stamp for _, (_, name, stamp) in sorted(first.items())}


def _remote(filesystem: Any, root: str) -> Iterator[tuple[str, Stamp]]:
    from pyarrow.fs import FileSelector, FileType, PyFileSystem

    if isinstance(filesystem, PyFileSystem):
        yield from _by_fsspec(filesystem.handler.fs, root)
        return
    for entry in filesystem.get_file_info(FileSelector(root, allow_not_found=True, recursive=True)):
        if entry.type == FileType.File:
            nanoseconds = entry.mtime_ns
            written = None if nanoseconds is None else nanoseconds / 1e9
            yield entry.path[len(root) + 1 :], Stamp(f"{entry.size}-{nanoseconds}", written)


def _by_fsspec(filesystem: Any, root: str) -> Iterator[tuple[str, Stamp]]:
    """Ask fsspec itself, as Arrow passes on but one of the names under which it has times."""
    for path, entry in filesystem.find(root, detail=True).items():
        name = path.lstrip("/")[len(root.lstrip("/")) + 1 :]
        if tag := _etag(entry):
            yield name, Stamp(f"{entry.get('size')}-{tag}", 0.0)
        else:
            yield name, Stamp(f"{entry.get('size')}-{written_of(entry)}", written_of(entry))


def _etag(entry: Mapping[str, Any]) -> str | None:
    for key in ("ETag", "etag", "md5Hash", "generation"):
        if entry.get(key):
            return str(entry[key])
    return None


def written_of(entry: Mapping[str, Any]) -> float | None:
    """Return when a file was written, in seconds since 1970; None where fsspec does not tell."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        match entry.get(key):
            case datetime() as time:
                return time.timestamp()
            case int() | float() as time:
                return float(time)
            case str() as text:
                try:
                    return datetime.fromisoformat(text).timestamp()
                except ValueError:
                    continue
    return None
