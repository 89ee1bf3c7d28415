"""The Ray that a command runs on: one of its own that ends with it, or a running one by address."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from orchestrator.errors import ClusterError
from orchestrator.plan import ClusterShape
from orchestrator.settings import cache_environment

__all__ = ["connected", "shape_of_cluster"]

PACKAGES = ("orchestrator", "search_spaces", "workloads")
ENVIRONMENT = {
    # Train's controller polls its workers this often; the default delays every report by two seconds.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "60",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Loggers that would write a second copy of every metric beside the storage.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # its tables go to stdout whatever the verbosity
    # glibc returns large blocks to the system at every step and faults them in again: up to 1.6 times slower on CPU.
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}


def shape_of_cluster() -> ClusterShape:
    """CPUs and GPUs of each living node of the Ray that this process is connected to."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return ClusterShape(tuple((node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in alive))


@contextmanager
def connected(address: str | None, *, dashboard: bool = False) -> Iterator[ClusterShape]:
    """Ray for the time of a `with` block. Without `address` a local one starts and stops with it.

    `dashboard` must be on where Ray Train runs inside Ray Tune: releasing a stopped run's resources needs its State API.
    Raises ClusterError when there is no cluster at `address`.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        options |= {"address": "local", "include_dashboard": dashboard}
    else:
        if token.exists():
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        options |= {"address": address, "runtime_env": _code_for_the_cluster()}
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"--address {address}" if address else "a local Ray"
        raise ClusterError(f"{where}: cannot connect ({' '.join(str(error).split())})") from error
    try:
        yield shape_of_cluster()
    finally:
        ray.shutdown()


def _code_for_the_cluster() -> dict[str, Any]:
    """This very code for the workers of a cluster that may have another version of it, or none."""
    here = Path(__file__).resolve().parent.parent
    return {
        "py_modules": [str(here / package) for package in PACKAGES],
        "env_vars": ENVIRONMENT | cache_environment(),
    }
