"""A setting of a search as far as its next rung, where its state waits for being chosen.

Its record says that it was stopped, and is written after its state: killed in between, it is only
written again.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from workloads.catalog import workload_named
from workloads.distributed.worker import Worker
from workloads.run_record import SCORE, Metrics, RunRecord
from workloads.runs.cell import never, run_cell, start_of
from workloads.runs.folder import Checkpoint, Job, record_of
from workloads.workload import TrainedAlone

__all__ = ["run_to_rung"]


def run_to_rung(
    job: Job,
    worker: Worker,
    report: Callable[[dict[str, float]], None],
    hosts: Sequence[str] = (),
    *,
    stop: Callable[[], bool] = never,
) -> RunRecord | None:
    """Train up to the epoch `job.until`, and to the end where it is None; return the record.

    None where `stop` says before that it is to stop; its state is kept. A run that has finished
    without a score, in a sweep, gets it from its last state.
    """
    before = job.run_folder.record()
    if before is not None and before.has_finished and (kept := _last_state(job, before)):
        return _scored(job, before, kept.state, worker)

    start, until = start_of(job), job.until
    if start is not None and until is not None and start.state["epoch"] >= until:
        return _stopped(job, start, worker)
    reached = 0.0

    def told(metrics: dict[str, float]) -> None:
        nonlocal reached
        reached = metrics["epoch"]
        report(metrics)

    def at_rung() -> bool:
        return until is not None and reached >= until

    record = run_cell(job, worker, start, told, hosts=hosts, stop=lambda: at_rung() or stop())
    if record is None and not at_rung():
        return None
    if record is None:
        kept = job.run_folder.own_checkpoint()
        assert kept is not None, "it was kept when the run stopped"
        return _stopped(job, kept, worker)
    if record.has_finished and (kept := _last_state(job, record)):
        return _scored(job, record, kept.state, worker)
    return record


def _last_state(job: Job, record: RunRecord) -> Checkpoint | None:
    return job.run_folder.beside(record.state_of).own_checkpoint()


def _stopped(job: Job, kept: Checkpoint, worker: Worker) -> RunRecord:
    """Leave the record of a run that waits at a rung."""
    history = _with_score(job, kept.history, kept.state, worker)
    record = replace(
        record_of(job, "stopped"),
        results={SCORE: history[-1][SCORE]},
        epoch=float(kept.state["epoch"]),
        history=history,
        seconds=sum(epoch.get("seconds", 0.0) for epoch in history),
        total_seconds=kept.elapsed,
    )
    job.run_folder.write_record(record)
    return record


def _scored(job: Job, record: RunRecord, state: dict[str, Any], worker: Worker) -> RunRecord:
    """Add the score of the last state to a finished run's record, unless it has one."""
    if SCORE in record.last_metrics:
        return record
    record = replace(record, history=_with_score(job, record.history, state, worker))
    job.run_folder.write_record(record)
    return record


def _with_score(
    job: Job, history: Sequence[Metrics], state: dict[str, Any], worker: Worker
) -> list[Metrics]:
    last = history[-1] if history else {"epoch": float(state["epoch"])}
    if SCORE not in last:
        workload = workload_named(job.workload)
        assert isinstance(workload, TrainedAlone), "others are not searched"
        last = {**last, SCORE: workload.score(workload.read(job.spec), state, worker)}
    return [*history[:-1], last]
