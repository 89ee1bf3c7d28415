"""Run the cells of a plan through Ray Tune: as many at once as fit, failed ones reported.

Cells that have finished are taken over. A trial is a pack: one cell, or as many as its workload
trains together in a process.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

from ray import tune

from orchestrator.cell.ears import Ears
from orchestrator.cell.job import CellJob, Pack
from orchestrator.cell.owned import owned
from orchestrator.cell.stop_watch import GRACE, GRACE_OF_SEVERAL, StopWatch, leave_worker
from orchestrator.cluster.connection import this_host
from orchestrator.cluster.ray_internals import HEAD
from orchestrator.errors import LeaseLostError
from orchestrator.live.live_sweep import LiveSweep
from orchestrator.plan import Plan, PlannedCell, jobs_of
from orchestrator.plan.rounds import Outcome
from orchestrator.resources import Resources
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import (
    RunFolder,
    finished_records,
    has_trained_state,
)
from orchestrator.storage.stop_requests import stop_folder
from orchestrator.sweep.others_cells import OthersCells
from orchestrator.sweep.own_files import own_files_of
from orchestrator.sweep.packing import packs_folder, packs_of
from orchestrator.sweep.watcher import (
    ENDED,
    HELD,
    PACK,
    RUN_RECORD,
    STOPPED,
    TAKEN,
    Watcher,
    pack_of,
)
from orchestrator.tracking.recorder import Recorders
from workloads.distributed.worker import Worker, limit_threads
from workloads.runs.cell import run_cell, start_of
from workloads.runs.pack import run_pack
from workloads.runs.rung import run_to_rung
from workloads.runs.sharing import shared

__all__ = ["run"]


def run(
    plans: Sequence[Plan],
    storage: Storage,
    recorder: Recorders,
    progress: LiveSweep,
    *,
    records: Sequence[RunRecord],
    given_up: Collection[str],
    concurrent: int,
    max_failures: int,
    shared_storage: bool,
) -> Outcome:
    """Run every cell of the plans that has not finished, each distinct one once.

    Returns when all have ended, and when the user interrupts. Ray must be connected. One worker: a
    cell, or a pack of cells, runs inside its trial, in a process that the next one uses again.
    Several: the trial starts a run of Ray Train. A cell that fails does not stop the others. What
    differs only in how it is evaluated waits for the one of them that is trained, and evaluates its
    state; `records` are those of the storage, among which there may be one that is trained
    already. Those that were `given_up` before are not tried again. What another process runs is
    waited for.
    """
    finished = finished_records(plans, storage)
    cells = {
        name: cell
        for name, cell in jobs_of(plans).items()
        if name not in finished and name not in given_up
    }
    for fingerprint, record in finished.items():
        recorder.taken_over(fingerprint, record)
    progress.taken_over(finished)
    if not cells:
        return Outcome(failed={}, missing=())

    workload, specs = plans[0].workload, {name: cell.spec for name, cell in cells.items()}
    ended, stopped = set[str](), set[str]()
    unshared, others, group = dict(specs), OthersCells(storage, progress), uuid4().hex
    while unshared:
        sharing = shared(
            workload,
            unshared,
            records,
            has_state=partial(has_trained_state, storage),
            is_search=plans[0].is_search,
        )
        jobs = {
            name: replace(
                _job(plans, cell, storage, max_failures, sharing.lent.get(name)),
                group=group,
                dead=others.dead,
            )
            for name, cell in jobs_of(plans).items()
        }
        first = {name: specs[name] for name in sharing.first}
        packs = packs_of(plans[0], storage, jobs, first, concurrent)
        watcher = Watcher(packs, recorder, progress)
        watcher.ended |= finished.keys()
        with own_files_of(plans[0], storage, shared=shared_storage) as own_files:
            _tune(plans[0].resources, watcher, concurrent, max_failures, own_files)

        ended |= watcher.ended
        stopped |= watcher.stopped
        if not (ended | watcher.held.keys()).issuperset(sharing.first):
            break  # interrupted: what waits for these is not begun
        if watcher.held and not others.wait(watcher.held):
            break
        finished = finished_records(plans, storage)
        ended |= watcher.take_over(finished)
        again = watcher.held.keys() - ended
        unshared = {name: specs[name] for name in specs if name in again.union(sharing.waiting)}
        if unshared:
            left_now = (RunFolder(storage, name).record() for name in sharing.first)
            records = [*records, *(record for record in left_now if record is not None)]

    return _outcome(plans, storage, cells, ended, stopped)


def _outcome(
    plans: Sequence[Plan],
    storage: Storage,
    cells: Collection[str],
    ended: set[str],
    stopped: set[str],
) -> Outcome:
    """Tell which of the cells have failed and which are missing."""
    finished = finished_records(plans, storage)
    left = [name for name in cells if name not in finished]
    if not left:
        # a driver that was killed has left the states of its packs
        storage.delete(packs_folder(plans[0]))

    # A failed record that no trial of this sweep has left is of an earlier one: the cell was not
    # reached again.
    failed = {}
    for name in left:
        left_by = RunFolder(storage, name).record() if name in ended else None
        if left_by is not None:
            failed[name] = left_by
    missing = tuple(name for name in left if name not in failed)
    return Outcome(failed, missing, frozenset(stopped.intersection(missing)))


def _job(
    plans: Sequence[Plan],
    cell: PlannedCell,
    storage: Storage,
    max_failures: int,
    trained_by: str | None,
) -> CellJob:
    plan = plans[0]
    sweeps = [one for one in plans if cell.fingerprint in one.jobs]
    return CellJob(
        name=cell.name,
        workload=plan.workload.name,
        fingerprint=cell.fingerprint,
        spec=cell.spec.tree(),
        storage=storage.uri,
        resources=plan.resources,
        max_failures=max_failures,
        scored=plan.is_search,
        trained_by=trained_by,
        until=cell.until,
        stops=tuple(stop_folder(f"{one.name}/{one.sweep_id}") for one in sweeps),
    )


def _tune(
    resources: Resources,
    watcher: Watcher,
    concurrent: int,
    max_failures: int,
    own_files: str,
) -> None:
    """Run our own explicit list of packs as the one grid of a Tune experiment."""
    # With several workers the trial only waits, on the head and so on no node of GPUs that an
    # autoscaler might end. Ray Train reserves what they need. Even a thousandth of a CPU would be
    # missing there.
    bundle = resources.bundle if resources.workers == 1 else {HEAD: 0.0001}
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(_hearing(Ears()), packs=watcher.packs),
            tune.PlacementGroupFactory([bundle]),
        ),
        param_space={PACK: tune.grid_search(list(watcher.packs))},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=concurrent,
            reuse_actors=resources.workers == 1,
            trial_name_creator=pack_of,
            trial_dirname_creator=pack_of,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=own_files,
            callbacks=[watcher],
            stop=_OnceAllHaveStopped(watcher),
            verbose=0,
            # silent as that is; the one for notebooks would clear what their cell has shown
            progress_reporter=tune.CLIReporter(),
            # Ray Train replaces lost workers itself; a second count around it would multiply the
            # tries.
            failure_config=tune.FailureConfig(
                max_failures=max_failures if resources.workers == 1 else 0
            ),
        ),
    )
    tunes = logging.getLogger("ray.tune.execution.tune_controller")
    tunes.addFilter(watcher.is_worth_a_line)
    try:
        tuner.fit()
    finally:
        tunes.removeFilter(watcher.is_worth_a_line)


class _OnceAllHaveStopped(tune.Stopper):  # type: ignore[misc]
    """Ends the experiment once all that ran has left on request; what waits is not begun."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002 - Tune's
        return False

    def stop_all(self) -> bool:
        """Tell whether it is time to end."""
        watcher = self._watcher
        return isinstance(watcher, Watcher) and (watcher.all_stopped or watcher.is_lost)


def _hearing(ears: Ears) -> Callable[..., None]:
    """Return what a trial does, with which ears travel to its process."""

    def trial(config: dict[str, str], packs: dict[str, Pack]) -> None:
        assert ears, "unpacked in the process's main thread, before this is called in another"
        _trial(packs[config[PACK]])

    return trial


def _trial(pack: Pack) -> None:
    """Run one pack inside a Tune trial."""
    limit_threads(pack.jobs[0].resources.cpus_per_worker)
    # the workers of several look for themselves, and agree on a step to leave at
    several = pack.jobs[0].resources.workers > 1
    grace = GRACE_OF_SEVERAL if several else GRACE
    with StopWatch(pack.jobs, grace=grace, requests_only=several) as watch:
        has_ended = False
        if not watch.is_leaving():
            has_ended = _do_what_is_free(pack, watch)
        if watch.is_asked():
            tune.report({STOPPED: True})
        elif not has_ended:
            tune.report({TAKEN: watch.taken})
            leave_worker()  # for another process to go on with it


def _do_what_is_free(pack: Pack, watch: StopWatch) -> bool:
    """Run what no other process runs, and report who has the others; whether that has ended."""
    with owned(pack.jobs) as own:
        held, has_ended = {**own.held}, True
        mine = {job.fingerprint: job for job in own.jobs}
        jobs = tuple(mine.get(job.fingerprint, job) for job in pack.jobs)
        try:
            if mine:
                has_ended = _do(replace(pack, jobs=jobs), watch, without=held.keys())
        except LeaseLostError:  # nothing was written since; the new owner goes on
            held = {**dict.fromkeys(mine, "the process that has taken over"), **held}
    if held:
        tune.report({HELD: held})
    return has_ended


def _do(pack: Pack, watch: StopWatch, *, without: Collection[str]) -> bool:
    """Run a pack until it ends, or is to leave; report the record of its only run, if it has one.

    Returns whether it has ended.
    """
    stop = watch.is_leaving
    if pack.together:
        run_pack(
            pack,
            lambda ended, metrics: tune.report({ENDED: list(ended), **metrics}),
            stop=stop,
            without=without,
        )
        return not stop()

    (job,) = pack.jobs
    before = None if job.scored else job.run_folder.record()
    if before is not None and before.has_finished:  # by another process, since the plan was made
        tune.report({RUN_RECORD: before.tree()})
        return True
    record: RunRecord | None
    if job.resources.workers > 1:
        record = _on_workers(job, watch)
    else:
        worker = Worker.here(None if job.resources.gpus_per_worker else "cpu")
        hosts = [this_host()]

        def report(metrics: dict[str, float]) -> None:
            tune.report(dict(metrics))

        if job.scored:
            record = run_to_rung(job, worker, report, hosts, stop=stop)
        else:
            record = run_cell(job, worker, start_of(job), report, hosts=hosts, stop=stop)
    if record is not None:  # it has not left
        tune.report({RUN_RECORD: record.tree()})
    return record is not None


def _on_workers(job: CellJob, watch: StopWatch) -> RunRecord | None:
    from ray.tune.integration.ray_train import TuneReportCallback

    from orchestrator.cell.ray_train import train_on_workers

    def is_asked() -> bool:
        watch.look()  # a worker may have seen a request that was not seen here
        return watch.is_asked()

    return train_on_workers(job, lambda: [TuneReportCallback()], is_asked_to_stop=is_asked)
