"""Files of the storage that cannot be what their names say: set aside, said, and done without.

A full disk, a crash of the machine or another program may leave an empty, truncated or foreign
file. It is renamed, `run.json` to `run.json.damaged`, so that nobody meets it twice and nothing is
lost, and counts as missing: a run without a record continues from its checkpoint, one without a
checkpoint begins again.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from orchestrator.errors import StorageError
from orchestrator.storage.files import Storage
from workloads.runs.folder import sound

__all__ = ["read_sound", "set_aside"]

T = TypeVar("T")

log = logging.getLogger(__name__)


def read_sound(storage: Storage, name: str, read: Callable[[bytes], T]) -> T | None:
    """Return what `read` makes of a file; None where there is none, or a damaged one.

    Whatever `read` raises is damage, except for want of memory. Raises StorageError where the
    storage fails.
    """
    try:
        data = storage.read_bytes(name)
    except StorageError:
        if not storage.is_folder(name):
            raise
        set_aside(storage, name, "is a folder")
        return None
    if data is None:
        return None
    return sound(data, read, partial(set_aside, storage, name))


def set_aside(storage: Storage, name: str, reason: str) -> None:
    """Rename a damaged file, and warn of it; where that cannot be done, it stays and is named."""
    try:
        aside = storage.set_aside(name)
    except StorageError:
        aside = None
    if aside is None and not storage.exists(name):
        return  # another process has just done it
    done = f"set aside as {aside.rpartition('/')[2]}" if aside else "left where it is"
    log.warning("%s: %s; %s, and taken as missing", storage.shown(name), reason, done)
