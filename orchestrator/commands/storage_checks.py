"""What `doctor` asks of the storage: writing, creating once, its clock, and what was left there."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from orchestrator.commands.machine_checks import Check, room
from orchestrator.errors import StorageError
from orchestrator.storage import Storage
from orchestrator.storage.in_use import InUseNow
from orchestrator.storage.progress import DEAD_AFTER, read_progress
from orchestrator.storage.rows import run_rows

__all__ = ["storage_checks"]

PROBES = "doctor"
SHOWN = 3


def storage_checks(storage: Storage) -> Iterator[Check]:
    """Check a storage; what follows is left out where it cannot be written."""
    problem = storage.check_writable()
    mend = "mend what it says, or name another folder or bucket with --storage"
    yield Check("storage", problem is None, problem or storage.shown(), mend if problem else "")
    if problem is not None:
        return
    if storage.is_local:
        yield room("room", Path(storage.uri))
    try:
        yield _creates_once(storage)
        yield _clock(storage)
        yield _interrupted(storage)
    except StorageError as error:
        yield Check("storage, more", False, str(error), mend)


def _creates_once(storage: Storage) -> Check:
    """Tell whether of two who create a file one is refused, as leases need."""
    name = f"{PROBES}/once-{uuid4().hex}"
    try:
        answers = [storage.create(name, data) for data in (b"first", b"second")]
        kept = storage.read_bytes(name)
    finally:
        storage.delete(name)
    good = answers == [True, False] and kept == b"first"
    return Check(
        "creates once",
        good,
        "of two who create a file one is refused" if good else f"two created a file: {answers}",
        "" if good else "run no two sweeps at once on this storage, or use another store",
    )


def _clock(storage: Storage) -> Check:
    """Compare this machine's clock with the times that the storage gives to files."""
    folder = f"{PROBES}/clock-{uuid4().hex}"
    before = time.time()
    try:
        storage.write_bytes(f"{folder}/x", b"x")
        stamps = storage.files()
    finally:
        storage.delete(folder)
    after = time.time()
    written = next((file.written for file in stamps if file.name == f"{folder}/x"), None)
    if written is None:
        return Check("clock", True, "the storage does not tell the time")
    # stores tell whole seconds
    skew = max(before - 1 - written, written - after, 0.0)
    good = skew < DEAD_AFTER / 2
    return Check(
        "clock",
        good,
        f"{skew:.0f} s apart from the storage's" if skew else "agrees with the storage's",
        "" if good else "set the clock (`timedatectl set-ntp true`): leases and watch go by it",
    )


def _interrupted(storage: Storage) -> Check:
    """Tell of sweeps whose driver has died, and of runs that have begun and nobody does."""
    rows = {row.fingerprint: row for row in run_rows(storage)}
    busy = InUseNow(storage, rows)
    left = [
        row for row in rows.values() if row.status == "unfinished" and not busy(row.fingerprint)
    ]
    dead = [
        progress
        for name in storage.list("sweeps")
        for sweep in storage.list(f"sweeps/{name}")
        if (progress := read_progress(storage, f"{name}/{sweep}"))
        and progress.state == "running"
        and not busy(progress.folder)
    ]
    told = [
        f"{one.folder}: its driver on {one.host or 'some machine'} is silent since "
        f"{one.updated:%Y-%m-%d %H:%M} UTC"
        for one in dead
    ]
    if left:
        have = "run has" if len(left) == 1 else "runs have"
        told.append(f"{len(left)} {have} begun and not ended, and nobody does them")
    if not told:
        return Check("interrupted", True, "no sweep and no run")
    commands = [one.command for one in dead if one.command][:SHOWN]
    mends = [f"continue with: {'; '.join(commands)}"] if commands else []
    if not mends or any(not row.sweeps for row in left):
        mends.append("`simclr-orch gc` removes what no plan asks for")
    return Check("interrupted", True, "; ".join(told), "; ".join(mends))
