"""The runs of a storage as rows: what each is, how it goes or ended, and which sweeps asked for it.

They come from the index, so that no record is read that has not changed.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from orchestrator.run_record import DEFAULT_WORKLOAD, Metrics, RunRecord
from orchestrator.storage.files import Storage
from orchestrator.storage.index import Entry, Kind, indexed
from orchestrator.storage.progress import SweepProgress, read_progress
from orchestrator.storage.sweeps import is_running
from workloads.spec import flatten

__all__ = ["OWN_FIELDS", "RowStatus", "RunRow", "run_rows"]

RowStatus = Literal["finished", "failed", "stopped", "running", "unfinished"]

_SPEC, _RESULT, _LOGGED = "spec.", "result.", "logged."  # before names, in entries


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A run of the storage as a list shows it.

    Runs that have begun and left no record are `running` where a process of this machine runs their
    sweep, and else `unfinished`: interrupted, or run where this cannot be told from. `ablations`
    are the names of the sweeps that asked for it (`ablation/sweep` in `sweeps`), `preset` is the
    recipe of the first of them. `spec` has the specification by dotted field, `results` what the
    evaluation gave and `logged` what training logged last. `epoch` counts those that
    have ended, of `epochs`, of a run that its sweep tells of while it goes on. `started` and
    `ended` are times as ISO 8601 has them, in UTC; `duration` is in seconds. None is what is not
    known.
    """

    fingerprint: str
    name: str
    workload: str
    status: RowStatus
    ablations: tuple[str, ...] = ()
    sweeps: tuple[str, ...] = ()
    preset: str | None = None
    seed: int | None = None
    started: str | None = None
    ended: str | None = None
    duration: float | None = None
    error: str = ""
    trained_by: str | None = None
    weights: bool = False
    machine: Mapping[str, Any] | None = None
    epoch: int | None = None
    epochs: int | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    results: Metrics = field(default_factory=dict)
    logged: Metrics = field(default_factory=dict)

    @property
    def metrics(self) -> Metrics:
        """The results, and what training logged last under other names."""
        return {**self.logged, **self.results}

    def value(self, name: str) -> Any:
        """Return what a field is: one of the row's own, of the specification, or a metric.

        `ablation` are all ablations that asked for it. None where the run has no such field.
        """
        if name == "ablation":
            return list(self.ablations)
        if name in OWN_FIELDS:
            return getattr(self, name)
        if name in self.spec:
            return self.spec[name]
        return self.results.get(name, self.logged.get(name))


# The row's own fields that a list can be asked for, in the order of tables.
OWN_FIELDS = (
    "fingerprint",
    "name",
    "status",
    "ablation",
    "workload",
    "preset",
    "seed",
    "started",
    "ended",
    "duration",
    "error",
    "trained_by",
)


def run_rows(storage: Storage) -> list[RunRow]:
    """Return a row for each run that has begun, in the order of their fingerprints.

    Raises StorageError where the storage cannot be read.
    """
    entries = indexed(storage, (_RUNS, _SWEEPS))
    asked: dict[str, list[Entry]] = {}
    plans = [entry for entry in entries.values() if "cells" in entry]
    for plan in sorted(plans, key=lambda plan: str(plan["started"])):
        for fingerprint in plan["cells"]:
            asked.setdefault(fingerprint, []).append(plan)

    rows = []
    layouts: dict[tuple[str, ...], _Layout] = {}
    for entry in entries.values():
        if "cells" not in entry:
            keys = tuple(entry)
            layout = layouts.get(keys) or layouts.setdefault(keys, _Layout.of(keys))
            rows.append(layout.row(entry, asked.get(entry["fingerprint"], ())))
    return _with_running(rows, storage)


def _with_running(rows: list[RunRow], storage: Storage) -> list[RunRow]:
    """Tell the runs that go on from those that were interrupted, where that can be told.

    How far they are, or how they failed, their sweeps keep; else a sweep's lock tells.
    """
    sweeps = {sweep for row in rows if row.status == "unfinished" for sweep in row.sweeps}
    running = {sweep for sweep in sweeps if is_running(storage, sweep)}
    told = {sweep: read_progress(storage, sweep) for sweep in sweeps}

    def seen(row: RunRow) -> RunRow:
        if row.status != "unfinished":
            return row
        if not running.isdisjoint(row.sweeps):
            row = replace(row, status="running")
        kept = [progress for sweep in row.sweeps if (progress := told[sweep])]
        for progress in sorted(kept, key=lambda progress: progress.updated):
            row = _as_told(row, progress)
        return row

    return [seen(row) for row in rows]


def _as_told(row: RunRow, progress: SweepProgress) -> RunRow:
    """Return a row with what its sweep has kept of it. Waiting runs have nothing of their own."""
    cell = progress.cells.get(row.fingerprint)
    if cell is None or cell.state == "waiting":
        return row
    is_over = cell.state in ("failed", "stopped")
    status: RowStatus = row.status
    if cell.state == "failed":
        status = "failed"
    elif cell.state == "stopped":
        status = "stopped"
    elif cell.state == "running" and progress.is_alive():
        status = "running"
    started = cell.since.isoformat(timespec="seconds") if cell.since else row.started
    return replace(
        row,
        status=status,
        epoch=cell.epoch,
        epochs=cell.epochs,
        started=started,
        error=cell.message if is_over else row.error,
    )


@dataclass(frozen=True)
class _Layout:
    """Which of the keys of an entry are of which part of a row: told once for all that are alike.

    Each pair is a name in the row and the key of it in the entry.
    """

    own: tuple[str, ...]
    spec: tuple[tuple[str, str], ...]
    results: tuple[tuple[str, str], ...]
    logged: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, keys: tuple[str, ...]) -> "_Layout":
        def named(prefix: str) -> tuple[tuple[str, str], ...]:
            return tuple((key.removeprefix(prefix), key) for key in keys if key.startswith(prefix))

        own = tuple(key for key in keys if "." not in key)
        return cls(own, named(_SPEC), named(_RESULT), named(_LOGGED))

    def row(self, entry: Entry, plans: Sequence[Entry]) -> RunRow:
        own = {key: entry[key] for key in self.own}
        if own["status"] == "unfinished" and plans:
            # a specification tells neither of them
            name = plans[0]["cells"][own["fingerprint"]]
            own |= {"name": name, "workload": plans[0]["workload"]}
        return RunRow(
            **own,
            ablations=tuple(dict.fromkeys(plan["ablation"] for plan in plans)),
            sweeps=tuple(f"{plan['ablation']}/{plan['sweep']}" for plan in plans),
            preset=plans[0]["preset"] if plans else None,
            spec={name: entry[key] for name, key in self.spec},
            results={name: entry[key] for name, key in self.results},
            logged={name: entry[key] for name, key in self.logged},
        )


def _run_entry(storage: Storage, name: str) -> Entry | None:
    """Read what a list shows of a run, from its record, or else from its specification."""
    from orchestrator.storage.runs import RECORD, RunFolder

    _, fingerprint, file = name.split("/")
    if file == RECORD and (record := RunFolder(storage, fingerprint).record()) is not None:
        return _of_record(record)
    return _unfinished(storage, fingerprint)


def _of_record(record: RunRecord) -> Entry:
    duration = _number(record.total_seconds)
    return {
        "fingerprint": record.fingerprint,
        "name": str(record.name),
        "workload": str(record.workload),
        "status": record.status,
        "seed": _seed(record.spec),
        "started": _started(record.ended, duration),
        "ended": record.ended if isinstance(record.ended, str) else None,
        "duration": duration,
        "error": str(record.error_line),
        "trained_by": record.trained_by,
        "weights": record.weights is not None,
        "machine": record.machine,
        **_prefixed(_SPEC, flatten(record.spec)),
        **_prefixed(_RESULT, _numbers(record.results)),
        **_prefixed(_LOGGED, _numbers(record.last_metrics)),
    }


def _unfinished(storage: Storage, fingerprint: str) -> Entry | None:
    from orchestrator.storage.runs import SPEC
    from workloads.written import read_tree

    name = f"runs/{fingerprint}/{SPEC}"
    # a folder of that name is for the run itself to complain of
    data = None if storage.is_folder(name) else storage.read_bytes(name)
    try:
        spec = read_tree(data.decode()) if data else {}
    except ValueError:
        spec = {}
    return {
        "fingerprint": fingerprint,
        "name": "",
        "workload": "",
        "status": "unfinished",
        "seed": _seed(spec),
        **_prefixed(_SPEC, flatten(spec)),
    }


def _sweep_entry(storage: Storage, name: str) -> Entry | None:
    """Read which runs a kept plan asks for, and with which recipe."""
    from orchestrator.plan.kept import read_plan
    from orchestrator.storage.damaged import read_sound

    plan = read_sound(storage, name, read_plan)
    if plan is None:
        return None
    return {
        "sweep": plan["sweep"],
        "ablation": name.split("/")[1],
        "workload": plan.get("workload", DEFAULT_WORKLOAD),
        # without the assignments that follow, as --set has them
        "preset": re.sub(r" [\w.]+=.*", "", str(plan.get("preset", ""))),
        "started": plan["started"],
        "cells": {cell["fingerprint"]: cell["name"] for cell in plan["cells"]},
    }


_RUNS = Kind("runs", ("run.json", "spec.yaml"), _run_entry)
_SWEEPS = Kind("sweeps", ("plan.json",), _sweep_entry, depth=2)


def _prefixed(prefix: str, values: Mapping[str, Any]) -> Entry:
    return {f"{prefix}{name}": value for name, value in values.items()}


def _numbers(values: object) -> dict[str, float]:
    """Leave out what is no finite number: JSON has no others."""
    if not isinstance(values, dict):
        return {}
    found = {name: _number(value) for name, value in values.items()}
    return {name: value for name, value in found.items() if value is not None}


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _seed(spec: Mapping[str, Any]) -> int | None:
    seed = spec.get("seed")
    return seed if isinstance(seed, int) else None


def _started(ended: object, duration: float | None) -> str | None:
    """Return when a run began that went on without a break until it ended."""
    if not isinstance(ended, str) or duration is None:
        return None
    try:
        began = datetime.fromisoformat(ended) - timedelta(seconds=duration)
    except (ValueError, OverflowError):
        return None
    return began.isoformat(timespec="seconds")
