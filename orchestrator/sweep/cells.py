"""Runs the cells of a plan through Ray Tune: as many at once as fit, finished ones taken over, failed ones reported."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ray import tune
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler

from orchestrator.cell import RECORD, SCORE, CellJob, checkpoint_of, read_record, run_cell
from orchestrator.plan import ClusterShape, Plan, PlannedCell, Resources, jobs_of
from orchestrator.progress import SweepProgress
from orchestrator.recorder import Recorders
from orchestrator.storage import Storage
from workloads.worker import Worker, limit_threads
from workloads.workload import workload_named

__all__ = ["Outcome", "concurrent_cells", "finished_records", "fitted_resources", "run"]


@dataclass(frozen=True)
class Outcome:
    """What a sweep has left undone: the records of failed cells by fingerprint, and the cells that were not run."""

    failed: dict[str, dict[str, Any]]
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every cell is finished."""
        return not self.failed and not self.missing


def finished_records(plans: Sequence[Plan], storage: Storage) -> dict[str, dict[str, Any]]:
    """Records of the plans' cells that have ended before, in these or any other sweeps of the storage.

    A candidate of a tuned cell has ended, too, when its training diverged: it is out, and would diverge again. So has a
    setting of a search that was stopped for better ones.
    """
    jobs = jobs_of(plans)
    records = {fingerprint: read_record(storage, fingerprint) for fingerprint in jobs}
    return {name: record for name, record in records.items() if record is not None and _ended(record, jobs[name])}


def _ended(record: Mapping[str, Any], cell: PlannedCell) -> bool:
    if record["status"] == "finished":
        return True
    diverged = cell.role in ("candidate", "sample") and bool(record.get("diverged"))
    return diverged or (cell.role == "sample" and record["status"] == "stopped")


def concurrent_cells(shape: ClusterShape, resources: Resources, limit: int | None) -> int:
    """How many cells run at once. More than fit would each hold some workers and wait for the others."""
    fit = max(1, shape.workers_that_fit(resources) // resources.workers)
    return min(fit, limit) if limit else fit


def fitted_resources(shape: ClusterShape, resources: Resources, cells: int, limit: int | None) -> Resources:
    """CPUs for each worker so that the cells that can run at once use the whole cluster."""
    at_once = min(concurrent_cells(shape, resources, limit), max(cells, 1))
    smallest = min((cpus for cpus, _ in shape.nodes if cpus), default=1.0)
    share = sum(cpus for cpus, _ in shape.nodes) / (at_once * resources.workers)
    fitted = replace(resources, cpus_per_worker=max(1, int(min(share, smallest))))
    # Nodes differ: those with GPUs may have fewer CPUs than the others.
    while fitted.cpus_per_worker > 1 and shape.workers_that_fit(fitted) < at_once * resources.workers:
        fitted = replace(fitted, cpus_per_worker=fitted.cpus_per_worker - 1)
    return fitted


def run(
    plans: Sequence[Plan],
    storage: Storage,
    recorder: Recorders,
    progress: SweepProgress,
    *,
    concurrent: int,
    max_failures: int,
    shared_storage: bool,
) -> Outcome:
    """Run every cell of the plans that has not finished, each distinct one once; returns when all have ended.

    Also when the user interrupts. Ray must be connected. One worker: the cell runs inside its trial, in a process that
    the next cell uses again. Several: the trial starts a Ray Train job. A cell that fails does not stop the others.
    """
    finished = finished_records(plans, storage)
    cells = jobs_of(plans)
    jobs = {name: _job(plans[0], cell, storage, max_failures) for name, cell in cells.items() if name not in finished}
    for fingerprint, record in finished.items():
        recorder.taken_over(fingerprint, record)
    if not jobs:
        return Outcome(failed={}, missing=())
    watcher = _Watcher(jobs, recorder, progress)
    with tempfile.TemporaryDirectory(prefix="simclr-orch-tune-") as scratch:
        own_files = storage.path("ray-tune", plans[0].sweep_id) if shared_storage else scratch
        scheduler = _halving(plans[0]) if plans[0].is_search else None
        _tune(plans[0].resources, watcher, concurrent, max_failures, own_files, scheduler)
    finished = finished_records(plans, storage)
    left = [name for name in jobs if name not in finished]
    # A failed record that no trial of this sweep has left is of an earlier one: the cell was not reached again.
    records = {name: read_record(storage, name) for name in left if name in watcher.ended}
    failed = {name: record for name, record in records.items() if record is not None}
    return Outcome(failed=failed, missing=tuple(name for name in left if name not in failed))


def _job(plan: Plan, cell: PlannedCell, storage: Storage, max_failures: int) -> CellJob:
    return CellJob(
        name=cell.name,
        workload=plan.workload.name,
        fingerprint=cell.fingerprint,
        spec=cell.spec.tree(),
        storage=storage.uri,
        threads=plan.resources.cpus_per_worker,
        workers=plan.resources.workers,
        gpus_per_worker=plan.resources.gpus_per_worker,
        max_failures=max_failures,
        scored=plan.is_search,
    )


def _halving(plan: Plan) -> ASHAScheduler:
    """Asynchronous successive halving (Li et al. 2020): at each rung the better third trains on."""
    epochs = max(plan.workload.epochs(cell.spec) for cell in plan.cells)
    return ASHAScheduler(
        time_attr="epoch", metric=SCORE, mode="max", max_t=epochs, grace_period=max(1, epochs // 9), reduction_factor=3
    )


def _tune(
    resources: Resources,
    watcher: "_Watcher",
    concurrent: int,
    max_failures: int,
    own_files: str,
    scheduler: ASHAScheduler | None,
) -> None:
    """Our own explicit list of cells as the one grid of a Tune experiment."""
    one = {"CPU": float(resources.cpus_per_worker), "GPU": resources.gpus_per_worker}
    # The trial only waits; Ray Train reserves what the workers need. Even a thousandth of a CPU would be missing there.
    several = {"node:__internal_head__": 0.0001}
    bundle = one if resources.workers == 1 else several
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(_trial, jobs=watcher.jobs), tune.PlacementGroupFactory([bundle])),
        param_space={"cell": tune.grid_search(list(watcher.jobs))},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=concurrent,
            scheduler=scheduler,
            reuse_actors=resources.workers == 1,
            trial_name_creator=_fingerprint_of,
            trial_dirname_creator=_fingerprint_of,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=own_files,
            callbacks=[watcher],
            verbose=0,
            # Ray Train replaces lost workers itself; a second count around it would multiply the tries.
            failure_config=tune.FailureConfig(max_failures=max_failures if resources.workers == 1 else 0),
        ),
    )
    tuner.fit()


def _trial(config: dict[str, str], jobs: dict[str, CellJob]) -> None:
    """One cell inside a Tune trial."""
    job = jobs[config["cell"]]
    if job.workers > 1:
        from ray.tune.integration.ray_train import TuneReportCallback

        from orchestrator.train_job import train_on_workers

        tune.report({"record": train_on_workers(job, [TuneReportCallback()])})
        return
    limit_threads(job.threads)
    worker = Worker.here(None if job.gpus_per_worker else "cpu")
    kept = checkpoint_of(Storage(job.storage), job.fingerprint)
    record = run_cell(job, worker, kept, lambda metrics: _report_epoch(job, metrics))
    last = record["history"][-1] if record and record["history"] else {}
    tune.report({name: last[name] for name in ("epoch", SCORE) if name in last} | {"record": record})


def _report_epoch(job: CellJob, metrics: dict[str, float]) -> None:
    workload = workload_named(job.workload)
    # A search would stop a trial at its last epoch, before it is evaluated; its record will tell what there is to tell.
    if not (job.scored and metrics["epoch"] >= workload.epochs(workload.read(job.spec))):
        tune.report(dict(metrics))


def _fingerprint_of(trial: Trial) -> str:
    fingerprint: str = trial.config["cell"]
    return fingerprint


class _Watcher(Callback):  # type: ignore[misc]
    """Forwards what trials report to the recorder and the screen, in the driver."""

    def __init__(self, jobs: dict[str, CellJob], recorder: Recorders, progress: SweepProgress) -> None:
        self.jobs = jobs
        self.ended: set[str] = set()
        self._recorder = recorder
        self._progress = progress

    def __reduce__(self) -> tuple[type[Callback], tuple[()]]:
        # Tune writes itself to a file for its own restore, which we never use; a database connection has no place there.
        return Callback, ()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        job = self.jobs[_fingerprint_of(trial)]
        self._recorder.started(job.fingerprint)
        workload = workload_named(job.workload)
        self._progress.started(job.fingerprint, job.name, workload.epochs(workload.read(job.spec)))

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any) -> None:
        job = self.jobs[_fingerprint_of(trial)]
        if "record" in result:
            self._end(job, result["record"])
        elif "loss" in result:
            self._recorder.epoch(job.fingerprint, result)
            self._progress.epoch(job.fingerprint, result)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial that ends without a record was stopped by the search."""
        job = self.jobs[_fingerprint_of(trial)]
        if job.fingerprint not in self.ended and job.scored and trial.last_result and SCORE in trial.last_result:
            storage = Storage(job.storage)
            record = _stopped_record(job, trial.last_result)
            storage.write_json(f"{job.folder}/{RECORD}", record)
            self._end(job, record)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The trial's process died more often than allowed, or Ray Train gave up."""
        job = self.jobs[_fingerprint_of(trial)]
        record = read_record(Storage(job.storage), job.fingerprint)
        if record is None or record["status"] != "finished":  # it may have finished and died before it said so
            record = _failed_record(job, str(trial.get_pickled_error() or "the worker process was lost"))
            Storage(job.storage).write_json(f"{job.folder}/{RECORD}", record)
        self._end(job, record)

    def _end(self, job: CellJob, record: Mapping[str, Any]) -> None:
        self.ended.add(job.fingerprint)
        self._recorder.ended(job.fingerprint, dict(record))
        failed = record["status"] == "failed"
        self._progress.ended(job.fingerprint, job.name, _outcome_line(record), failed=failed)


def _failed_record(job: CellJob, error: str) -> dict[str, Any]:
    """The record of a cell whose worker could not write its own."""
    storage = Storage(job.storage)
    log = (storage.read_bytes(f"{job.folder}/log.txt") or b"").decode(errors="replace").splitlines()
    return {
        "name": job.name,
        "workload": job.workload,
        "fingerprint": job.fingerprint,
        "status": "failed",
        "error": error,
        "log_tail": [*log[-20:], *error.splitlines()[-20:]],
        "history": [],
        "spec": job.spec,
        "log": storage.path(job.folder, "log.txt"),
    }


def _stopped_record(job: CellJob, last: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a setting that a search has given up."""
    return {
        "name": job.name,
        "workload": job.workload,
        "fingerprint": job.fingerprint,
        "status": "stopped",
        "results": {SCORE: last[SCORE]},
        "epoch": last["epoch"],
        "history": [],
        "spec": job.spec,
        "log": Storage(job.storage).path(job.folder, "log.txt"),
    }


def _outcome_line(record: Mapping[str, Any]) -> str:
    """A record in a line: its first result and time, or its error and where the log lies."""
    if record["status"] == "stopped":
        return f"stopped after epoch {record['epoch']:.0f}, validation score {record['results'][SCORE]:.1f}"
    if record["status"] == "finished":
        name, value = next(iter(record["results"].items()))
        return f"{name.replace('_', ' ')} {value:.1f} in {record['total_seconds']:.0f} s"
    return f"FAILED: {record['error'].splitlines()[-1] if record['error'] else ''} (log: {record['log']})"
