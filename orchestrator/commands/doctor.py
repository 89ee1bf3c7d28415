"""Whether all is in order: versions, device, limits, storage, MLflow, a Ray that runs a task."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import torch
from rich.console import Console

from orchestrator.commands.check import address_problem
from orchestrator.commands.consoles import print_line
from orchestrator.commands.machine_checks import Check, gpu, left_processes, limits, room
from orchestrator.commands.result import Finished
from orchestrator.commands.storage_checks import storage_checks
from orchestrator.environment import prepare_environment
from orchestrator.errors import OrchestratorError
from orchestrator.provenance import REPORTED_PACKAGES
from orchestrator.settings import Settings
from orchestrator.storage import Storage, without_password
from orchestrator.storage.in_use import InUseNow
from workloads.cpus import usable_cpus
from workloads.datasets import default_cache
from workloads.distributed.worker import Worker
from workloads.plural import counted

__all__ = ["examine"]


def examine(settings: Settings, console: Console) -> Finished:
    """Print each check with its outcome and its mend; exit code 1 if something must be mended."""
    checks = []
    for check in _checks(settings):
        checks.append(check)
        state = "ok" if check.is_good else "FAILED"
        style = None if check.is_good else "red"
        print_line(console, f"{check.name:<15} {state:<7} {check.text}", style=style)
        if check.mend:
            hint = "" if check.is_good else "mend: "
            print_line(console, f"{'':<24}{hint}{check.mend}", style="yellow")

    failed = [check for check in checks if not check.is_good]
    if failed:
        names = ", ".join(check.name for check in failed)
        print_line(console, f"must be mended: {names}", style="red")
    document = {
        check.name: {"ok": check.is_good, "detail": check.text}
        | ({"mend": check.mend} if check.mend else {})
        for check in checks
    }
    return Finished(1 if failed else 0, document)


def _checks(settings: Settings) -> Iterator[Check]:
    storage = Storage(settings.storage)
    yield Check("python", True, platform.python_version())
    yield _packages()
    yield Check("device", True, _device())
    yield gpu()
    yield from limits()
    yield from storage_checks(storage)
    yield from _mlflow(settings, storage)
    yield _ray(settings.address)
    yield room("decoded images", default_cache())
    yield left_processes()


def _packages() -> Check:
    found, missing = [], []
    for package in REPORTED_PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    mend = "install simclr-orch again into this environment" if missing else ""
    text = ", ".join(found) + (f"; missing: {', '.join(missing)}" if missing else "")
    return Check("packages", not missing, text, mend)


def _device() -> str:
    """Describe what this machine trains on."""
    worker = Worker.here()
    name = (
        torch.cuda.get_device_name()
        if worker.device.type == "cuda"
        else platform.processor() or platform.machine()
    )
    gpus = (
        f"{counted(torch.cuda.device_count(), 'GPU')}, "
        if torch.cuda.is_available()
        else "no GPU, "
    )
    return (
        f"{name}, {gpus}{usable_cpus()} of {counted(os.cpu_count() or 1, 'CPU')}, "
        f"{'bf16' if worker.bf16 else 'no fast bf16, fp32 is used'}"
    )


def _mlflow(settings: Settings, storage: Storage) -> Iterator[Check]:
    from orchestrator.tracking import Tracker

    try:
        tracker = Tracker.open(settings.tracking_uri, storage)
        problem = tracker.check()
    except OrchestratorError as error:
        problem = str(error)
    good = settings.tracking_uri or "a database in the storage"
    mend = "start the server, or name another with --tracking-uri" if problem else ""
    yield Check("mlflow", problem is None, without_password(problem or good), mend)
    if problem is None:
        yield _shown_as_running(tracker.uri, storage)


def _shown_as_running(uri: str, storage: Storage) -> Check:
    """Tell of runs that MLflow shows as going on, of sweeps that nobody drives."""
    from orchestrator.tracking.left_running import runs_shown_as_running

    name = "mlflow's runs"
    try:
        busy = InUseNow(storage, {})
        left = [
            run
            for sweep, runs in runs_shown_as_running(uri).items()
            if not busy(sweep)
            for run in runs
        ]
    except OrchestratorError as error:
        return Check(name, False, str(error), "see docs/troubleshooting.md, Storage and MLflow")
    if not left:
        return Check(name, True, "none goes on without a sweep that does it")
    some = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
    return Check(
        name,
        True,
        f"{len(left)} shown as running, and no sweep of this storage does them: {some}",
        "the sweep's command, run again, closes them; or they are of another storage",
    )


def _ray(address: str | None) -> Check:
    """Connect to Ray, or start one, and let it run a task."""
    prepare_environment()  # before Ray is imported
    import ray

    from orchestrator.cluster.connection import connected

    if address and (problem := address_problem(address)):
        return Check("ray", False, problem, "start Ray there, or leave --address out")

    try:
        with connected(address) as shape:
            ray.get(ray.remote(num_cpus=1)(platform.node).remote(), timeout=60)
    except (OrchestratorError, ray.exceptions.RayError) as error:
        return Check("ray", False, str(error), "see docs/troubleshooting.md, Ray and clusters")

    nodes = "; ".join(
        f"{counted(cpus, 'CPU')}, {counted(gpus, 'GPU')}" for cpus, gpus in shape.nodes
    )
    count = counted(len(shape.nodes), "node")
    return Check("ray", True, f"{address or 'local'}: {count}: {nodes}")
