"""All files of a storage, by one listing: their sizes, and when they were written."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.storage.stamps import written_of

__all__ = ["File", "local_files", "remote_files"]


@dataclass(frozen=True)
class File:
    """A file of a storage: its name there, its bytes, and when it was written.

    `written` is in seconds since 1970, None where the store does not tell.
    """

    name: str
    size: int
    written: float | None


def local_files(root: str) -> list[File]:
    """List all files below a folder, hidden and unfinished ones, too, and follow no link."""
    return sorted(_local(root, ""), key=lambda file: file.name)


def _local(root: str, prefix: str) -> Iterator[File]:
    try:
        entries = list(os.scandir(root))
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _local(entry.path, f"{prefix}{entry.name}/")
            else:
                status = entry.stat(follow_symlinks=False)
                yield File(f"{prefix}{entry.name}", status.st_size, status.st_mtime)
        except FileNotFoundError:  # it has just been replaced or removed
            continue


def remote_files(filesystem: Any, root: str) -> list[File]:
    """List the same of one of Arrow's file systems."""
    return sorted(_remote(filesystem, root.rstrip("/")), key=lambda file: file.name)


def _remote(filesystem: Any, root: str) -> Iterator[File]:
    from pyarrow.fs import FileSelector, FileType, PyFileSystem

    if isinstance(filesystem, PyFileSystem):
        for path, entry in filesystem.handler.fs.find(root, detail=True).items():
            name = path.lstrip("/")[len(root.lstrip("/")) + 1 :]
            yield File(name, int(entry.get("size") or 0), written_of(entry))
        return
    for entry in filesystem.get_file_info(FileSelector(root, allow_not_found=True, recursive=True)):
        if entry.type == FileType.File:
            nanoseconds = entry.mtime_ns
            written = None if nanoseconds is None else nanoseconds / 1e9
            yield File(entry.path[len(root) + 1 :], int(entry.size or 0), written)
