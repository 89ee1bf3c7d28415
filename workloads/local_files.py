"""Files of this machine that several processes share: locks, and files that appear as a whole."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

__all__ = [
    "Hasher",
    "Lock",
    "copy_whole",
    "flush",
    "locked",
    "problem_with_folder",
    "replaced",
    "update_from",
    "write_whole",
]

BLOCK = 1 << 20  # bytes


class Hasher(Protocol):
    """What hashlib's objects do."""

    def update(self, data: bytes, /) -> None:
        """Digest more bytes."""


class Lock:
    """An exclusive lock on a file, among the processes and threads of this machine.

    It is free again when it is closed, and when its process dies, however that happens. The file
    stays: one that is deleted while another process waits for it would be no lock any more. Who
    deletes it nevertheless, holding it, has all who use it ask whether it `is_in_place`.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, which is created if need be, and lock nothing yet. Raises OSError."""
        self._path, self._file = path, path.open("a")

    def is_in_place(self) -> bool:
        """Tell whether the file is the one that others find by its name, not deleted since."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._file.fileno()))

    def try_to_take(self) -> bool:
        """Take the lock if nobody else has it; whether that went well."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def take(self) -> None:
        """Take the lock, however long that takes."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def close(self) -> None:
        """Give the lock back."""
        self._file.close()

    def __enter__(self) -> "Lock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on the file `path` meanwhile, after waiting for it."""
    with Lock(path) as lock:
        lock.take()
        yield


@contextmanager
def replaced(path: Path, *, beside: str | None = None, durable: bool = True) -> Iterator[Path]:
    """Have a file written beside its place, and put it there, over any old one, as the last step.

    Yields where to write. Whoever reads `path` finds the old file or all of the new one, whatever
    happens meanwhile; what was written by an attempt that fails is deleted. A killed process leaves
    it: `beside` is its name, `{path.name}.partial` when None. With `durable`, a power cut cannot
    leave a renamed file without its content.
    """
    unfinished = path.with_name(beside or f"{path.name}.partial")
    try:
        yield unfinished
        if durable:
            flush(unfinished)  # so that the rename cannot outrun the data
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(
    path: Path, data: bytes, *, beside: str | None = None, durable: bool = True
) -> None:
    """Write a file, or replace it, so that nobody ever sees a part of it; as `replaced` does."""
    with replaced(path, beside=beside, durable=durable) as unfinished:
        unfinished.write_bytes(data)


def problem_with_folder(folder: Path) -> str | None:
    """Make a folder for files that are to be written; say why that cannot be, None where it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    if not os.access(folder, os.W_OK | os.X_OK):
        return "it belongs to another user or may only be read"
    return None


def flush(path: Path) -> None:
    """Wait until what was written to a file, or which names a folder has, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def update_from(hasher: Hasher, file: BinaryIO) -> None:
    """Digest a file from where it is to its end; memory holds a block of it. Raises OSError."""
    while block := file.read(BLOCK):
        hasher.update(block)


def copy_whole(path: Path, to: Path) -> None:
    """Have a file under another name, too, over any old one, without copying where that can be.

    A kill leaves the old one or all of the new one. The file must be replaced, and never written.
    """
    with replaced(to, beside=f".{to.name}.{os.getpid()}.partial", durable=False) as beside:
        beside.unlink(missing_ok=True)
        try:
            os.link(path, beside)
        except OSError:  # a file system without links
            shutil.copyfile(path, beside)
