"""Runs that a process of this or another machine is doing at the moment, in one folder."""

import fcntl
import os
from pathlib import Path

from workloads.spec import digest

__all__ = ["MARKS", "InUse"]

MARKS = "in-use"  # the file


class InUse:
    """Marks runs as being done, until this process ends, however that happens.

    A byte of one file stands for each run and is locked, as network file systems can do, too.
    """

    def __init__(self, root: Path) -> None:
        """Open the file. Raises OSError."""
        root.mkdir(parents=True, exist_ok=True)
        self._file = os.open(root / MARKS, os.O_RDWR | os.O_CREAT, 0o666)

    def take(self, fingerprint: str) -> bool:
        """Mark a run; whether that went well, since no other process has marked it."""
        place = int(digest({"run": fingerprint})[:12], 16)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def close(self) -> None:
        """Take all marks back."""
        os.close(self._file)
