"""Whether all is in order: versions, device, storage, MLflow, and a Ray that runs a task."""

import os
import platform
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from orchestrator.commands.check import address_problem
from orchestrator.commands.result import Finished
from orchestrator.environment import prepare_environment
from orchestrator.errors import OrchestratorError
from orchestrator.provenance import REPORTED_PACKAGES
from orchestrator.settings import Settings
from orchestrator.storage import Storage
from workloads.cpus import usable_cpus
from workloads.datasets import default_cache
from workloads.distributed.worker import Worker

__all__ = ["examine"]

Check = tuple[str, bool, str]


def examine(settings: Settings, console: Console) -> Finished:
    """Print each check with its outcome; exit code 1 if one failed."""
    storage = Storage(settings.storage)
    checks = [
        ("python", True, platform.python_version()),
        (
            "packages",
            True,
            ", ".join(f"{package} {version(package)}" for package in REPORTED_PACKAGES),
        ),
        ("device", True, _device()),
        _checked("storage", storage.check_writable, storage.shown()),
        _checked(
            "mlflow",
            lambda: _mlflow(settings, storage),
            settings.tracking_uri or "a database in the storage",
        ),
        _ray(settings.address),
        ("decoded images", True, f"{default_cache()} ({_free(default_cache())} free)"),
    ]

    table = Table(box=None, show_header=False)
    for name, good, text in checks:
        table.add_row(name, "ok" if good else "FAILED", text)
    console.print(table)

    failed = [name for name, good, _ in checks if not good]
    document = {name: {"ok": good, "detail": text} for name, good, text in checks}
    return Finished(1 if failed else 0, document)


def _device() -> str:
    """Describe what this machine trains on."""
    worker = Worker.here()
    name = (
        torch.cuda.get_device_name()
        if worker.device.type == "cuda"
        else platform.processor() or platform.machine()
    )
    gpus = f"{torch.cuda.device_count()} GPUs, " if torch.cuda.is_available() else "no GPU, "
    return (
        f"{name}, {gpus}{usable_cpus()} of {os.cpu_count()} CPUs, "
        f"{'bf16' if worker.bf16 else 'no fast bf16, fp32 is used'}"
    )


def _checked(name: str, check: Callable[[], str | None], good: str) -> Check:
    problem = check()
    return name, problem is None, problem or good


def _mlflow(settings: Settings, storage: Storage) -> str | None:
    from orchestrator.tracking import Tracker

    try:
        return Tracker.open(settings.tracking_uri, storage).check()
    except OrchestratorError as error:
        return str(error)


def _ray(address: str | None) -> Check:
    """Connect to Ray, or start one, and let it run a task."""
    prepare_environment()  # before Ray is imported
    import ray

    from orchestrator.cluster.connection import connected

    if address and (problem := address_problem(address)):
        return "ray", False, problem

    try:
        with connected(address) as shape:
            ray.get(ray.remote(num_cpus=1)(platform.node).remote(), timeout=60)
    except (OrchestratorError, ray.exceptions.RayError) as error:
        return "ray", False, str(error)

    nodes = "; ".join(f"{cpus:g} CPUs, {gpus:g} GPUs" for cpus, gpus in shape.nodes)
    return "ray", True, f"{address or 'local'}: {len(shape.nodes)} node(s): {nodes}"


def _free(folder: Path) -> str:
    """Return the free space where a folder is, or will be made."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return f"{shutil.disk_usage(there).free / 1e9:.0f} GB"
