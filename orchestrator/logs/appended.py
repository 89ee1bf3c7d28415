"""Files that grow, in a folder or in an object store."""

import errno
import os
import time

from orchestrator.storage import Storage

__all__ = ["AppendedFile", "parted"]

# An object store replaces objects as a whole; each time costs a request.
SECONDS_BETWEEN_UPLOADS = 5.0


class AppendedFile:
    """A file that grows at its end, and is never shortened.

    In a folder each piece is there as soon as it is given, by one write: another process that
    appends to the same file loses nothing. An object is replaced now and then, and by `flush`.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage, self._name = storage, name
        self._path = storage.local_path(name) if storage.is_local else None
        self._object: bytes | None = None  # its content, once it was read
        self._uploaded, self._pending = 0.0, False

    def content(self) -> bytes:
        """Return what is there; nothing where there is no file. Raises StorageError."""
        if self._path is not None:
            return self._storage.read_bytes(self._name) or b""
        if self._object is None:
            self._object = self._storage.read_bytes(self._name) or b""
        return self._object

    def append(self, piece: bytes) -> None:
        """Put a piece at the end. Raises StorageError or OSError."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "ab", buffering=0) as file:
                if file.write(piece) != len(piece):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            return
        self._object = self.content() + piece
        self._pending = True
        if time.monotonic() - self._uploaded > SECONDS_BETWEEN_UPLOADS:
            self.flush()

    def flush(self) -> None:
        """Have everything be where others read it. Raises StorageError."""
        if self._pending:
            self._storage.write_bytes(self._name, self.content())
            self._uploaded, self._pending = time.monotonic(), False


def parted(where: str) -> tuple[Storage, str]:
    """Return the folder of a file at a path or URI as a storage, and the file's name in it."""
    if "://" not in where:
        where = os.path.abspath(os.path.expanduser(where))
    address, mark, options = where.partition("?") if "://" in where else (where, "", "")
    folder, _, name = address.rpartition("/")
    return Storage((folder or "/") + mark + options), name
