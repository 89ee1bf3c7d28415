"""Folders for files of a moment, which the next command removes where a process could not."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["scratch_folder"]


@contextmanager
def scratch_folder(
    place: Path | None = None, prefix: str = "simclr-orch-scratch-"
) -> Iterator[Path]:
    """Make a folder in `place`, by default among temporary files, that is gone afterwards.

    Its name begins with `prefix`. First those are removed that killed processes of this user have
    left there: a folder is locked while its process lives. Raises OSError where none can be made.
    """
    place = place or Path(tempfile.gettempdir())
    _remove_abandoned(place, prefix)
    # Not yet by the name that others look for: it is not locked at first.
    folder = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=place))
    try:
        with _opened(folder) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            folder = folder.rename(folder.with_name(folder.name.removeprefix(".")))
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(place: Path, prefix: str) -> None:
    for folder in place.glob(f"{prefix}*"):
        with suppress(OSError), _opened(folder) as descriptor:  # held, gone, or another user's
            if os.fstat(descriptor).st_uid == os.getuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
