"""The Ray that a command runs on: one of its own that ends with it, or a running one by address."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from orchestrator import ENVIRONMENT
from orchestrator.errors import ClusterError
from orchestrator.plan import ClusterShape
from orchestrator.settings import cache_environment

__all__ = ["connected", "shape_of_cluster"]

PACKAGES = ("orchestrator", "search_spaces", "workloads")


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
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        options |= {"address": "local", "include_dashboard": dashboard}
    else:
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
