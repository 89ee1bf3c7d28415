"""One process and thread of this machine at a time, for what a store cannot do at once."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import TrackingError, UnreachableError
from workloads.local_files import Lock

__all__ = ["exclusive"]

PATIENCE = 60.0  # seconds; creating a database takes a few
SQLITE = "sqlite:///"


@contextmanager
def exclusive(uri: str) -> Iterator[None]:
    """Let one process and thread of this machine at a time use a store.

    Raises UnreachableError after a minute of waiting.
    """
    path = _lock_file(uri)
    with _taken(path):
        try:
            yield
        finally:
            if not uri.startswith("sqlite:"):
                path.unlink(missing_ok=True)  # nothing is left among temporary files


def _taken(path: Path) -> Lock:
    """Return the lock on a file, taken. Raises UnreachableError after a minute of waiting."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            lock = Lock(path)
        except OSError as error:
            raise TrackingError(f"{path}: {error.strerror}") from error
        if lock.try_to_take() and lock.is_in_place():
            return lock
        lock.close()
        if time.monotonic() > deadline:
            raise UnreachableError(f"{path}: another process has held this lock for {PATIENCE:g} s")
        time.sleep(0.02)


def _lock_file(uri: str) -> Path:
    """Beside the SQLite database, which several machines may share, else among temporary files."""
    if uri.startswith("sqlite:"):
        return Path(f"{uri.removeprefix(SQLITE)}.lock")
    name = hashlib.sha256(uri.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"simclr-orch-{os.getuid()}-{name}.lock")
