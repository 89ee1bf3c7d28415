"""Looks in a worker whether its run is asked to stop, while the run trains.

A run that comes to the end of an epoch soon keeps its state there and leaves. Where an epoch takes
longer, the process ends at once, and the run goes on from its last checkpoint later.
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from orchestrator.cell.job import CellJob
from orchestrator.errors import StorageError
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.stop_requests import is_asked_to_stop, stops_asked
from workloads.runs.folder import record_of

__all__ = ["EXIT_CODE", "GRACE", "StopWatch", "leave_stopped"]

SECONDS_BETWEEN_LOOKS = 1.0
GRACE = 5.0  # seconds for a run to come to the end of its epoch
EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: try again later


def _end_process() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_CODE)


class StopWatch:
    """Looks for a request once a second, in a thread, until it is left.

    `end` is called where the run has not left `grace` seconds after the request was seen.
    """

    def __init__(
        self,
        jobs: Sequence[CellJob],
        *,
        grace: float = GRACE,
        end: Callable[[], None] = _end_process,
    ) -> None:
        self._storage, self._folders = Storage(jobs[0].storage), jobs[0].stops
        self._names = [job.fingerprint for job in jobs]
        self._grace, self._end = grace, end
        self._asked, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="stop watch", daemon=True)

    def __enter__(self) -> Self:
        if self._folders:
            self._look()
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._folders:
            self._thread.join()

    def is_asked(self) -> bool:
        """Tell whether the run is asked to stop; of several that share a process, all of them."""
        return self._asked.is_set()

    def _run(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LOOKS):
            self._look()
            if self._asked.is_set():
                if not self._over.wait(self._grace):
                    self._end()
                return

    def _look(self) -> None:
        try:
            asked = stops_asked(self._storage, self._folders)
        except StorageError:
            return  # the next look may see it
        if all(is_asked_to_stop(name, asked) for name in self._names):
            self._asked.set()


def leave_stopped(job: CellJob) -> RunRecord | None:
    """Leave the record of a run that was asked to stop, as far as its last checkpoint.

    None where it has kept none: it is as if it had not begun. One that has ended keeps its record.
    """
    before = job.run_folder.record()
    if before is not None and before.has_finished:
        return before
    kept = job.run_folder.own_checkpoint()
    if kept is None:
        return None
    record = replace(
        record_of(job, "stopped"),
        epoch=float(kept.state["epoch"]),
        history=kept.history,
        seconds=sum(epoch.get("seconds", 0.0) for epoch in kept.history),
        total_seconds=kept.elapsed,
    )
    job.run_folder.write_record(record)
    return record
