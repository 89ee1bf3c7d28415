"""Looks in a worker whether its run is to leave, while the run trains: on request, or for its node.

A run keeps its state at its next step and leaves. Where it was asked to stop and a step takes
longer, the process ends at once, and the run goes on from its last checkpoint later. One whose node
is taken away, or whose process was told to end, is left alone until it is ended by others.
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Literal, Self

from orchestrator.cell.ears import hearing, is_told_to_end
from orchestrator.cell.job import CellJob
from orchestrator.cluster.ray_internals import own_node_is_draining
from orchestrator.errors import StorageError
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.stop_requests import is_asked_to_stop, stops_asked
from workloads.runs.folder import record_of
from workloads.told_to_end import TOLD_TO_END

__all__ = ["GRACE", "GRACE_OF_SEVERAL", "StopWatch", "leave_stopped", "leave_worker"]

SECONDS_BETWEEN_LOOKS = 1.0
GRACE = 5.0  # seconds for a run to come to its next step
GRACE_OF_SEVERAL = 20.0  # and for several workers to come there and to leave Ray Train

Reason = Literal["node", "signal"]  # what takes a run's worker from it


def leave_worker() -> None:
    """End this process, with what it has said on its way."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(TOLD_TO_END)


class StopWatch:
    """Looks once a second, in a thread, until it is left.

    `end` is called where the run has not left `grace` seconds after a request was seen; None: it is
    waited for. `requests_only`: whether this process goes away is none of its business.
    """

    def __init__(
        self,
        jobs: Sequence[CellJob],
        *,
        grace: float | None = GRACE,
        end: Callable[[], None] = leave_worker,
        requests_only: bool = False,
    ) -> None:
        self._storage, self._folders = Storage(jobs[0].storage), jobs[0].stops
        self._names = [job.fingerprint for job in jobs]
        self._grace, self._end, self._requests_only = grace, end, requests_only
        self._asked, self._over = threading.Event(), threading.Event()
        self._taken: Reason | None = None
        self._thread = threading.Thread(target=self._run, name="stop watch", daemon=True)

    def __enter__(self) -> Self:
        hearing(0 if self._requests_only else 1)
        self.look()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        hearing(0 if self._requests_only else -1)

    def is_asked(self) -> bool:
        """Tell whether the run is asked to stop; of several that share a process, all of them."""
        return self._asked.is_set()

    def is_leaving(self) -> bool:
        """Tell whether the run is to keep its state and leave, for whatever reason."""
        return self.is_asked() or self._is_taken()

    @property
    def taken(self) -> Reason | None:
        """What takes the worker away: its node is drained, or its process was told to end."""
        return "signal" if self._taken is None and self._is_taken() else self._taken

    def look(self) -> None:
        """Look for a request and for the own node, now."""
        if not self._requests_only and self._taken is None and own_node_is_draining():
            self._taken = "node"
        try:
            asked = stops_asked(self._storage, self._folders)
        except StorageError:
            return  # the next look may see it
        if all(is_asked_to_stop(name, asked) for name in self._names):
            self._asked.set()

    def _is_taken(self) -> bool:
        return self._taken is not None or (not self._requests_only and is_told_to_end())

    def _run(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LOOKS):
            self.look()
            if self._asked.is_set():
                if self._grace is not None and not self._over.wait(self._grace):
                    self._end()
                return


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
