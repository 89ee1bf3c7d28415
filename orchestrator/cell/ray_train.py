"""A cell on several workers: Ray Train sets up the process group and replaces lost workers."""

from typing import Any

import ray.train
import torch
import torch.distributed as dist
from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from orchestrator.cell.job import CellJob
from orchestrator.cluster.connection import this_host
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from workloads.distributed.worker import Worker, limit_threads
from workloads.runs.cell import run_cell, start_of

__all__ = ["train_on_workers"]

CONTROLLER_FAILURES = 20  # a request that can never be placed would otherwise wait for ever


def train_on_workers(job: CellJob, callbacks: list[UserCallback]) -> RunRecord:
    """Run a cell on the workers of Ray Train and return its record.

    `callbacks` see every report of the first worker. A lost worker restarts the group from the
    cell's last checkpoint, up to `job.max_failures` times; then ray.train.TrainingFailedError is
    raised.
    """
    trainer = TorchTrainer(
        _on_each_worker,
        train_loop_config={"job": job},
        scaling_config=ScalingConfig(
            num_workers=job.resources.workers,
            use_gpu=job.resources.gpus_per_worker > 0,
            resources_per_worker=job.resources.bundle,
            placement_strategy="SPREAD" if job.resources.placement == "spread" else "PACK",
        ),
        torch_config=TorchConfig(backend="nccl" if job.resources.gpus_per_worker else "gloo"),
        run_config=RunConfig(
            name=job.fingerprint,
            storage_path=Storage(job.storage).path("ray-train"),
            failure_config=FailureConfig(
                max_failures=job.max_failures, controller_failure_limit=CONTROLLER_FAILURES
            ),
            callbacks=callbacks,
        ),
    )
    return RunRecord.read(trainer.fit().return_value)


def _on_each_worker(config: dict[str, CellJob]) -> dict[str, Any] | None:
    job = config["job"]
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

    record = run_cell(
        job, worker, start[0], lambda metrics: ray.train.report(dict(metrics)), hosts=hosts
    )
    return None if record is None else record.tree()
