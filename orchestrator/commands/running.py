"""Which running sweep is meant, and whether somebody still drives it."""

import socket
from datetime import UTC, datetime

from orchestrator.errors import PlanError
from orchestrator.live.lines import duration
from orchestrator.storage import Storage
from orchestrator.storage.progress import SweepProgress, read_progress
from orchestrator.storage.sweeps import is_running
from workloads.spelling import did_you_mean

__all__ = ["death_of", "is_driven", "progress_of", "watched"]


def watched(name: str | None, storage: Storage, sweep: str | None = None) -> SweepProgress:
    """Return the progress of the sweep of that name that somebody drives, else of the latest.

    `sweep` is the beginning of its id, where there are several. Without a name it is of all.
    Raises PlanError where none has left any.
    """
    if storage.is_local and not storage.local_path().is_dir():
        raise PlanError([f"--storage {storage.shown()}: no such folder"])
    names = storage.list("sweeps")
    if name is not None and name not in names:
        known = f"; there are {', '.join(names)}" if names else ""
        hint = did_you_mean(name, names)
        raise PlanError([f"{name}: no sweep of that name in {storage.shown()}{hint or known}"])
    found = [
        progress
        for one in ([name] if name else names)
        for folder in storage.list(f"sweeps/{one}")
        if folder.startswith(sweep or "")
        and (progress := read_progress(storage, f"{one}/{folder}"))
    ]
    if not found:
        which = " ".join(word for word in (name, sweep) if word) or "watch"
        raise PlanError(
            [f"{which}: no sweep in {storage.shown()} has left its progress: none has begun, or it "
             "ran before progress was kept; `simclr-orch runs` lists what was run"]
        )  # fmt: skip
    return max(found, key=lambda one: (is_driven(one, storage), one.started))


def progress_of(before: SweepProgress, storage: Storage) -> SweepProgress:
    """Read the same sweep's progress again."""
    return read_progress(storage, before.folder) or before


def is_driven(progress: SweepProgress, storage: Storage, now: datetime | None = None) -> bool:
    """Tell whether a process drives a sweep: on this machine by its lock, else by its last word."""
    if not progress.is_alive(now):
        return False
    here = storage.is_local and progress.host == socket.gethostname()
    return is_running(storage, progress.folder) if here else True


def death_of(progress: SweepProgress) -> str:
    """Say of a sweep that was left running that nobody drives it, and how to go on."""
    ago = (datetime.now(UTC) - progress.updated).total_seconds()
    return (
        f"{progress.name} {progress.sweep}: nobody drives it any more; process {progress.pid} on "
        f"{progress.host} last wrote {duration(ago)} ago. Continue with: {progress.command}"
    )
