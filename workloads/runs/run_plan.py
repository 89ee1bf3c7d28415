"""All runs of a plan file that are asked for, in processes of this machine.

It can be killed at any time, and called again: what has finished is left out, what has begun
continues from its checkpoint.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from workloads.run_record import RunRecord
from workloads.runs.deadline import Deadline
from workloads.runs.folder import RUNS, LocalRun, record_of
from workloads.runs.in_use import InUse
from workloads.runs.local_jobs import LocalJob, LocalPack
from workloads.runs.memory import killed_line, was_killed
from workloads.runs.packs import packed
from workloads.runs.plan_file import PlannedRun
from workloads.runs.processes import Event, RunProcess, events
from workloads.runs.sharing import shared
from workloads.workload import (
    AnyTrainedAlone,
    AnyTrainedTogether,
    Specification,
    TrainedAlone,
    TrainedTogether,
)

__all__ = ["Ended", "has_ended", "run_cells"]

TRIES = 3  # of a process that dies, as in a sweep
SECONDS_BETWEEN_LINES = 30.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Ended:
    """How the runs that were asked for have ended: by name, and those that are left."""

    finished: tuple[str, ...]
    failed: tuple[str, ...]
    left: tuple[str, ...]


def has_ended(record: RunRecord | None) -> bool:
    """Tell whether a run is not to be tried again: it has finished, or would diverge again."""
    return record is not None and (record.has_finished or bool(record.diverged))


def run_cells(
    cells: Sequence[PlannedRun],
    specs: Mapping[str, Specification],
    workload: AnyTrainedAlone | AnyTrainedTogether,
    root: Path,
    *,
    devices: Sequence[str],
    threads: int,
    deadline: Deadline,
    keep_states: bool,
    say: Say,
) -> Ended:
    """Do the runs that have not ended, one in a process for each of `devices` at a time.

    `specs` are what is run, by the fingerprints of the cells: their paths may be other ones than
    those of the plan. Returns when all have ended, and before the deadline is over.
    """
    plan = _Plan(cells, specs, workload, root, say)
    processes = [RunProcess(device, threads) for device in devices]
    try:
        while (packs := plan.next_packs(len(devices))) and not deadline.is_near:
            _Round(processes, packs, deadline, plan, say).do()
    finally:
        for process in processes:
            process.kill()
        plan.close()
    if not keep_states:
        plan.drop_states()
    return plan.ended()


class _Plan:
    """What is asked for, and what of it has ended."""

    def __init__(
        self,
        cells: Sequence[PlannedRun],
        specs: Mapping[str, Specification],
        workload: AnyTrainedAlone | AnyTrainedTogether,
        root: Path,
        say: Say,
    ) -> None:
        self._cells = {cell.fingerprint: cell for cell in cells}
        self._specs, self._workload, self._root = specs, workload, root
        self._in_use = InUse(root)
        self._tried = {
            name
            for name in self._cells
            if not has_ended(self._job(name).run_folder.record()) and not self._in_use.take(name)
        }
        if self._tried:
            say(f"{len(self._tried)} cells are being run by another process, and left to it")

    def close(self) -> None:
        """Let other processes have what is left."""
        self._in_use.close()

    def number_of(self, fingerprint: str) -> int:
        """Return the number of a cell in its plan."""
        return self._cells[fingerprint].number

    def next_packs(self, slots: int) -> list[LocalPack]:
        """Return what can be begun now: not what waits for the training of another run."""
        records = self._records()
        left = [
            name
            for name in self._cells
            if name not in self._tried and not has_ended(records.get(name))
        ]
        if isinstance(self._workload, TrainedTogether):
            # of all runs, so that a pack continues from its state when some of it have ended
            divided = packed(self._workload, self._specs, slots)
            return [
                LocalPack(tuple(self._job(name) for name in names if name not in self._tried))
                for names in divided
                if not {*left}.isdisjoint(names)
            ]

        sharing = shared(
            self._workload,
            {name: self._specs[name] for name in left},
            self._records_of_all(),
            has_state=self._has_state,
        )
        return [LocalPack((self._job(name, sharing.lent.get(name)),)) for name in sharing.first]

    def took(self, pack: LocalPack) -> None:
        """Note that a pack was tried, and is not tried again in this call."""
        self._tried |= {job.fingerprint for job in pack.jobs}

    def drop_states(self) -> None:
        """Delete the last states of finished runs that no other run is waiting for."""
        records = self._records()
        waiting = {
            self._workload.trained_as(self._specs[name])
            for name in self._cells
            if isinstance(self._workload, TrainedAlone) and not has_ended(records.get(name))
        }
        for name, record in records.items():
            if not record.has_finished or not isinstance(self._workload, TrainedAlone):
                continue
            if self._workload.trained_as(self._specs[name]) not in waiting - {None}:
                self._job(name).run_folder.delete_checkpoint()

    def ended(self) -> Ended:
        """Return how all have ended so far."""
        records = self._records()
        finished, failed, left = list[str](), list[str](), list[str]()
        for name, cell in self._cells.items():
            record = records.get(name)
            if record is None:
                left.append(cell.name)
            elif record.has_finished or (cell.role == "candidate" and record.diverged):
                finished.append(cell.name)
            else:
                failed.append(cell.name)
        return Ended(tuple(finished), tuple(failed), tuple(left))

    def _records(self) -> dict[str, RunRecord]:
        found = {name: self._job(name).run_folder.record() for name in self._cells}
        return {name: record for name, record in found.items() if record is not None}

    def _records_of_all(self) -> list[RunRecord]:
        """Return the records of all that was run in the folder, asked for or not."""
        there = self._root / RUNS
        names = [each.name for each in there.iterdir()] if there.is_dir() else []
        found = (LocalRun(self._root, name).record() for name in sorted(names))
        return [record for record in found if record is not None]

    def _has_state(self, record: RunRecord) -> bool:
        return record.has_finished and LocalRun(self._root, record.state_of).has_checkpoint()

    def _job(self, name: str, trained_by: str | None = None) -> LocalJob:
        cell, spec = self._cells[name], self._specs[name]
        return LocalJob(
            cell.name, self._workload.name, name, spec.tree(), self._root, trained_by=trained_by
        )


class _Round:
    """Packs that do not wait for each other, as they are done."""

    def __init__(
        self,
        processes: Sequence[RunProcess],
        packs: Iterable[LocalPack],
        deadline: Deadline,
        plan: _Plan,
        say: Say,
    ) -> None:
        self._processes, self._waiting = processes, deque(packs)
        self._deadline, self._plan, self._say = deadline, plan, say
        # of each pack: how often its process was lost, when a line on it was said, and when each of
        # its runs last ended as far as was said
        self._lost: dict[str, int] = {}
        self._said: dict[str, float] = {}
        self._ended_at: dict[str, str | None] = {}

    def do(self) -> None:
        """Do them all, or those that are begun before the deadline."""
        asked = False
        while True:
            near = self._deadline.is_near
            for process in self._processes:
                if process.pack is None and self._waiting and not near:
                    self._begin(process, self._waiting.popleft())
            busy = [process for process in self._processes if process.pack is not None]
            if not busy:
                return
            if near and not asked:
                asked = True
                self._say("time is nearly over: states are kept")
                for process in busy:
                    process.ask_to_stop()
            if self._deadline.is_here:
                for process in busy:
                    process.kill()
                return
            for process in events(busy, seconds=0.5):
                self._hear(process)

    def _begin(self, process: RunProcess, pack: LocalPack) -> None:
        self._say(f"{self._named(pack)} begins")
        self._said[pack.name] = time.monotonic()
        for job in pack.jobs:
            self._ended_at.setdefault(job.fingerprint, _ended_at(job.run_folder.record()))
        process.begin(pack)

    def _hear(self, process: RunProcess) -> None:
        pack = process.pack
        assert pack is not None, "it is busy"
        event = process.heard()
        match event.kind:
            case "epoch":
                self._tell_ended(job for job in pack.jobs if job.fingerprint in event.ended)
                self._tell_epoch(pack, event.metrics)
            case "through":
                self._tell_ended(pack.jobs)
                self._plan.took(pack)
            case "stopped" if self._deadline.is_near:
                self._tell_ended(pack.jobs)
                self._plan.took(pack)
            case "stopped":
                process.kill()
                if all(has_ended(job.run_folder.record()) for job in pack.jobs):
                    self._tell_ended(pack.jobs)
                    self._plan.took(pack)
                    return
                self._say(f"{self._named(pack)}: its process was told to end; another one goes on")
                self._waiting.appendleft(pack)
            case "lost":
                self._again(pack, event)

    def _again(self, pack: LocalPack, event: Event) -> None:
        """Try again what a process that died has left, a few times."""
        tries = self._lost[pack.name] = self._lost.get(pack.name, 0) + 1
        self._say(f"{self._named(pack)}: its process was lost (exit code {event.exit_code})")
        if tries < TRIES and not self._deadline.is_near:
            self._waiting.appendleft(pack)
            return
        if not self._deadline.is_near:
            for job in pack.jobs:
                if not has_ended(job.run_folder.record()):
                    error = f"its process was lost {tries} times (exit code {event.exit_code})"
                    if was_killed(event.exit_code):
                        error += f"\n{killed_line(job.spec)}"
                    job.run_folder.write_log(f"{error}\n")
                    lost = replace(
                        record_of(job, "failed"),
                        error=error,
                        log_tail=error.splitlines(),
                        ended=datetime.now(UTC).isoformat(timespec="seconds"),
                    )
                    job.run_folder.write_record(lost)
        self._tell_ended(pack.jobs)
        self._plan.took(pack)

    def _tell_epoch(self, pack: LocalPack, metrics: Mapping[str, float]) -> None:
        if metrics and time.monotonic() - self._said[pack.name] > SECONDS_BETWEEN_LINES:
            self._said[pack.name] = time.monotonic()
            told = ", ".join(f"{name} {value:.4g}" for name, value in list(metrics.items())[:4])
            self._say(f"{self._named(pack)}: {told}")

    def _tell_ended(self, jobs: Iterable[LocalJob]) -> None:
        for job in jobs:
            record = job.run_folder.record()
            if record is None or _ended_at(record) == self._ended_at[job.fingerprint]:
                continue
            self._ended_at[job.fingerprint] = _ended_at(record)
            number = self._plan.number_of(job.fingerprint)
            self._say(f"cell {number}, {job.name}: {_outcome(record)}")

    def _named(self, pack: LocalPack) -> str:
        return f"cell {self._plan.number_of(pack.jobs[0].fingerprint)}, {pack.title}"


def _ended_at(record: RunRecord | None) -> str | None:
    return None if record is None else record.ended or "unknown"


def _outcome(record: RunRecord) -> str:
    if record.has_failed:
        return f"FAILED: {record.error_line} (log: {record.log})"
    name, value = next(iter(record.results.items()), ("nothing evaluated", None))
    told = name.replace("_", " ") + (f" {value:.1f}" if value is not None else "")
    return f"{told} in {record.total_seconds:.1f} s"
