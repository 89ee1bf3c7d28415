"""What of a storage nobody needs any more: told from one listing and the list of runs.

Never among it is a record, a plan, a look, a log, or whatever belongs to a run or a sweep that
somebody is doing now.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from orchestrator.storage.files import PARTIAL
from orchestrator.storage.listing import File
from orchestrator.storage.progress import PROGRESS
from orchestrator.storage.rows import RunRow
from workloads.runs.folder import CHECKPOINT, checkpoint_files

__all__ = [
    "ASKED_FOR",
    "CONSEQUENCES",
    "KINDS",
    "Facts",
    "Garbage",
    "GarbageKind",
    "garbage_in",
    "is_busy",
]

GarbageKind = Literal[
    "checkpoints",
    "runs",
    "damaged",
    "partial",
    "leftovers",
    "progress",
    "temporary",
    "states",
    "cache",
]
KINDS: tuple[GarbageKind, ...] = get_args(GarbageKind)
ASKED_FOR: tuple[GarbageKind, ...] = ("states", "cache")  # only where they are named

CONSEQUENCES: Mapping[GarbageKind, str] = {
    "checkpoints": "older ones of runs that have ended, and all of failed runs that no plan asks "
    "for: nothing reads them",
    "runs": "stopped before they left a record, and no plan asks for them any more: asked for "
    "again, they would begin anew",
    "damaged": "set aside when they could not be read: nothing reads them",
    "partial": "left by writers that were killed: nothing reads them",
    "leftovers": "of Ray, and states of packs of cells, that killed drivers left: nothing reads "
    "them",
    "progress": "of sweeps that ended long ago: `watch` no longer shows how they went",
    "temporary": "files of this machine that killed processes left: nothing reads them",
    "states": "last states of finished runs: results, predictions and reports stay, but `evaluate`,"
    " `export` and `embed` refuse these runs, and what differs only in how it is evaluated is "
    "trained anew",
    "cache": "decoded images of this machine, of all storages: decoded again when next needed",
}
SEARCHES = "tune/"  # how the sweeps begin that may go on with settings that they have stopped
PLACES = ("runs", "sweeps", "ray-train", "ray-tune")  # and files of the storage's own folder
DAMAGED = re.compile(r"\.damaged(-\d+)?$")


@dataclass(frozen=True)
class Garbage:
    """A file or folder that can go: its name in the storage, or its path on this machine.

    `written` is when the newest of its files was, in seconds since 1970.
    """

    kind: GarbageKind
    name: str
    size: int
    written: float | None
    reason: str
    run: str | None = None
    sweep: str | None = None
    files: int = 1


@dataclass(frozen=True)
class Facts:
    """What is known of a storage: its files, its runs, and what is being done there now.

    `busy` tells of the name of a run, or of a sweep's folder (`temperature/0123456789ab`).
    """

    files: Sequence[File]
    rows: Mapping[str, RunRow]
    busy: Callable[[str], bool]

    @property
    def plans_are_known(self) -> bool:
        """False where a plan was damaged: which runs nobody plans, cannot be told then."""
        names = {file.name for file in self.files}
        damaged = (name for name in names if "/plan.json.damaged" in name)
        return all(f"{name.rpartition('/')[0]}/plan.json" in names for name in damaged)

    @property
    def lent(self) -> frozenset[str]:
        """The runs whose state others have evaluated, or are to evaluate."""
        return frozenset(row.trained_by for row in self.rows.values() if row.trained_by)


def garbage_in(facts: Facts, before: Mapping[GarbageKind, float]) -> list[Garbage]:
    """List what is of these kinds, and was last written before a time, in seconds since 1970.

    Of files whose age the store does not tell there is none.
    """
    told = _Told(facts)
    found: dict[str, list[tuple[Garbage, File]]] = {}
    for file in facts.files:
        one = told.of(file)
        if one is not None and one.kind in before:
            found.setdefault(one.name, []).append((one, file))
    whole = (_whole(parts) for parts in found.values())
    old = (one for one in whole if one.written is not None and one.written < before[one.kind])
    return [one for one in old if not is_busy(one, facts.busy)]


def is_busy(one: Garbage, busy: Callable[[str], bool]) -> bool:
    """Tell whether somebody is doing the run, or the sweep, that something belongs to."""
    return any(busy(name) for name in (one.run, one.sweep) if name)


def _whole(parts: Sequence[tuple[Garbage, File]]) -> Garbage:
    """Add up the files of what goes as one."""
    first = parts[0][0]
    files = [file for _, file in parts]
    times = [file.written for file in files]
    newest = None if None in times else max(time for time in times if time is not None)
    return Garbage(
        first.kind,
        first.name,
        sum(file.size for file in files),
        newest,
        first.reason,
        first.run,
        first.sweep,
        len(files),
    )


class _Told:
    """Tells of each file of a storage what it is, if it can go."""

    def __init__(self, facts: Facts) -> None:
        self._rows, self._lent = facts.rows, facts.lent
        self._plans_are_known = facts.plans_are_known

    def of(self, file: File) -> Garbage | None:
        """Tell what a file is, perhaps with all others of its folder; None for what stays."""
        parts = file.name.split("/")
        row = self._rows.get(parts[1]) if parts[0] == "runs" and len(parts) > 2 else None
        if row is not None and row.status == "unfinished" and not self._is_planned(row):
            folder, reason = f"runs/{row.fingerprint}", f"{_name(row)}: stopped, and in no plan"
            return Garbage("runs", folder, 0, None, reason, row.fingerprint)
        one = _damaged_or_partial(file.name, parts)
        if one is not None and one.kind == "damaged" and "/plan.json.damaged" in one.name:
            return one if self._plans_are_known else None
        return one or (self._of_run(row, parts[2:], file.name) if row else _of_sweep(file))

    def _is_planned(self, row: RunRow) -> bool:
        return bool(row.sweeps) or not self._plans_are_known

    def _of_run(self, row: RunRow, inside: Sequence[str], file: str) -> Garbage | None:
        """Tell what a sound file in the folder of a run is."""

        def one(kind: GarbageKind, reason: str) -> Garbage:
            return Garbage(kind, file, 0, None, f"{_name(row)}: {reason}", row.fingerprint)

        older = len(inside) == 1 and checkpoint_files(inside) not in ([], [CHECKPOINT])
        if older and row.status == "finished":
            return one("checkpoints", "finished, and has a newer one")
        if not older and [*inside] != [CHECKPOINT]:
            return None
        is_lent = row.fingerprint in self._lent
        if row.status == "failed" and row.ended and not self._is_planned(row) and not is_lent:
            return one("checkpoints", "failed, and in no plan")
        searched = any(sweep.startswith(SEARCHES) for sweep in row.sweeps)
        if row.status == "finished" and not (is_lent or searched or row.weights):
            return one("states", "finished")
        return None


def _name(row: RunRow) -> str:
    return row.name or row.fingerprint[:12]


def _of_sweep(file: File) -> Garbage | None:
    match file.name.split("/"):
        case ["sweeps", name, sweep, "running", *_]:
            folder = f"sweeps/{name}/{sweep}/running"
            reason = "states of packs of cells"
            return Garbage("leftovers", folder, 0, None, reason, sweep=f"{name}/{sweep}")
        case ["sweeps", name, sweep, last] if last == PROGRESS:
            reason = "how far a sweep was"
            return Garbage("progress", file.name, 0, None, reason, sweep=f"{name}/{sweep}")
        case ["ray-train", run, *_]:
            reason = "Ray Train's files"
            return Garbage("leftovers", f"ray-train/{run}", 0, None, reason, run)
        case ["ray-tune", sweep, *_]:
            reason = "Ray Tune's files"
            return Garbage("leftovers", f"ray-tune/{sweep}", 0, None, reason, sweep=sweep)
    return None


def _damaged_or_partial(name: str, parts: Sequence[str]) -> Garbage | None:
    """Tell what a damaged or unfinished file is, wherever it lies; its run or sweep with it."""
    if len(parts) > 1 and parts[0] not in PLACES:
        return None
    run = parts[1] if parts[0] == "runs" and len(parts) > 2 else None
    sweep = "/".join(parts[1:3]) if parts[0] == "sweeps" and len(parts) > 3 else None
    for depth, part in enumerate(parts, 1):
        if DAMAGED.search(part):
            whole = "/".join(parts[:depth])
            return Garbage("damaged", whole, 0, None, "could not be read", run, sweep)
    if parts[-1].endswith(PARTIAL):
        return Garbage("partial", name, 0, None, "was never completed", run, sweep)
    return None
