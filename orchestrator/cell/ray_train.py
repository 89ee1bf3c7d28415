"""A cell on several workers: Ray Train sets up the process group and replaces lost workers."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import ray.train
import torch
import torch.distributed as dist
from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from orchestrator.cell.ears import Ears
from orchestrator.cell.job import CellJob
from orchestrator.cell.stop_watch import StopWatch
from orchestrator.cluster.connection import this_host
from orchestrator.errors import ClusterError, StorageError
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from workloads.distributed.worker import Worker, limit_threads
from workloads.runs.cell import run_cell, start_of

__all__ = ["train_on_workers"]

CONTROLLER_FAILURES = 20  # a request that can never be placed would otherwise wait for ever
PREEMPTIONS = 100  # of one cell: nodes that are taken away are no failures of its own


def train_on_workers(
    job: CellJob,
    callbacks: Callable[[], list[UserCallback]],
    *,
    is_asked_to_stop: Callable[[], bool],
) -> RunRecord | None:
    """Run a cell on the workers of Ray Train and return its record.

    `callbacks` see every report of the first worker. A lost worker restarts the group from the
    cell's last checkpoint, up to `job.max_failures` times; then ray.train.TrainingFailedError is
    raised. Workers that know beforehand that one of them is taken away keep the state at their next
    step and leave, and others go on from there; that is no failure. None where they have left
    because the run is asked to stop.
    """
    try:
        for _ in range(PREEMPTIONS):
            left = _trainer(job, callbacks()).fit().return_value
            if left is not None:
                return RunRecord.read(left)
            if is_asked_to_stop():
                return None
    finally:
        with suppress(StorageError):  # which would hide why the run ended
            Storage(job.storage).delete(_own_files(job))  # those of a killed trial, too
    raise ClusterError(f"{job.name}: its workers were taken away {PREEMPTIONS} times")


def _own_files(job: CellJob) -> str:
    """Return the folder for files of Ray Train's own, which nobody needs afterwards."""
    return f"ray-train/{job.fingerprint}"


def _trainer(job: CellJob, callbacks: list[UserCallback]) -> TorchTrainer:
    return TorchTrainer(
        _on_each_worker,
        train_loop_config={"job": job, "ears": Ears()},
        scaling_config=ScalingConfig(
            num_workers=job.resources.workers,
            use_gpu=job.resources.gpus_per_worker > 0,
            resources_per_worker=job.resources.bundle,
            placement_strategy="SPREAD" if job.resources.placement == "spread" else "PACK",
        ),
        torch_config=TorchConfig(backend="nccl" if job.resources.gpus_per_worker else "gloo"),
        run_config=RunConfig(
            name=job.fingerprint,
            storage_path=Storage(job.storage).path(_own_files(job).rpartition("/")[0]),
            failure_config=FailureConfig(
                max_failures=job.max_failures,
                controller_failure_limit=CONTROLLER_FAILURES,
                max_preemption_failures=PREEMPTIONS,
            ),
            callbacks=callbacks,
        ),
    )


def _on_each_worker(config: dict[str, Any]) -> dict[str, Any] | None:
    job: CellJob = config["job"]
    limit_threads(job.resources.cpus_per_worker)
    device = get_device()
    worker = Worker.here(str(device))

    # The first worker reads for all, so that none continues from another state and only one needs
    # to reach the storage.
    start = [start_of(job) if worker.rank == 0 else None]
    hosts = [this_host()] * worker.world_size
    if worker.world_size > 1:
        dist.broadcast_object_list(
            start, src=0, device=device if device.type == "cuda" else torch.device("cpu")
        )
        dist.all_gather_object(hosts, this_host())

    # Requests are for the first to read, again so that only one needs to reach the storage.
    watched = job if worker.rank == 0 else replace(job, stops=())
    with StopWatch([watched], grace=None) as watch:
        record = run_cell(
            job,
            worker,
            start[0],
            lambda metrics: ray.train.report(dict(metrics)),
            hosts=hosts,
            stop=watch.is_leaving,
        )
    return None if record is None else record.tree()
