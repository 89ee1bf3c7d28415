"""An index of all runs beside their records: what a list of runs needs of each, in one file.

The records are the truth. Which of them are not those that the index was made of, their stamps tell
(`orchestrator.storage.stamps`); these are read again, and the index is replaced as a whole. So one
that is deleted, cut off, of another version or of another storage is made anew. Several may write
it at once, and the last one wins: whatever it does not know, the next reader adds.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import StorageError
from orchestrator.storage.columns import columns_of, tables_in
from orchestrator.storage.files import Storage

__all__ = ["INDEX", "Entry", "Kind", "indexed"]

INDEX = "index.json"
FORMAT = 1  # raised when what was kept before is no use any more
_NAME, _STAMP = "", "stamp"  # of the file that an entry is of, among the entry's own keys
_UNSETTLED = ""

Entry = Mapping[str, Any]  # plain values by name, without these two

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """Files that are indexed: the first of `files` in each folder `depth` levels below `folder`.

    `read` makes an entry of a file, by its name; None where it is damaged.
    """

    folder: str
    files: tuple[str, ...]
    read: Callable[[Storage, str], Entry | None]
    depth: int = 1


@dataclass
class _Entries:
    """Entries, and the stamps of the files that they are of, by the names of the files."""

    entries: dict[str, Entry] = field(default_factory=dict)
    stamps: dict[str, str] = field(default_factory=dict)


def indexed(storage: Storage, kinds: tuple[Kind, ...]) -> dict[str, Entry]:
    """Return the entry of each file of these kinds that there is, by its name.

    Read are the index, and the files that it does not know as they are now. It is replaced where it
    was not up to date, if it can be: a storage that may only be read is as good. Raises
    StorageError where the storage cannot be read.
    """
    kept, found = _kept(storage), _Entries()
    now = time.time()
    for kind in kinds:
        stamps = storage.stamps(kind.folder, kind.files, depth=kind.depth)
        for name, stamp in stamps.items():
            if kept.stamps.get(name) == stamp.tag:
                found.entries[name], found.stamps[name] = kept.entries[name], stamp.tag
            elif (entry := kind.read(storage, name)) is not None:
                found.entries[name] = entry
                found.stamps[name] = stamp.tag if stamp.is_settled(now) else _UNSETTLED
    if found.stamps != kept.stamps:
        _keep(storage, found)
    return found.entries


def _kept(storage: Storage) -> _Entries:
    """Read the index; nothing where there is none, or none that is whole and of this version."""
    try:
        data = storage.read_bytes(INDEX)
    except StorageError:
        return _Entries()
    kept = _Entries()
    if data is None:
        return kept
    try:
        head, _, body = data.partition(b"\n")
        if json.loads(head) != _head(body):
            return kept
        for keys, rows in tables_in(json.loads(body)):
            own = keys[2:]
            for name, stamp, *values in rows:
                kept.entries[name] = dict(zip(own, values, strict=True))
                kept.stamps[name] = stamp
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return _Entries()  # of somebody else: it is replaced
    return kept


def _keep(storage: Storage, found: _Entries) -> None:
    rows = (
        {_NAME: name, _STAMP: found.stamps[name], **entry} for name, entry in found.entries.items()
    )
    body = json.dumps(columns_of(rows), separators=(",", ":")).encode()
    try:
        storage.write_bytes(INDEX, json.dumps(_head(body)).encode() + b"\n" + body)
    except StorageError as error:
        log.debug("the index of %s is not kept: %s", storage.shown(), error)


def _head(body: bytes) -> dict[str, Any]:
    return {"simclr-orch index": FORMAT, "digest": hashlib.sha256(body).hexdigest()}
