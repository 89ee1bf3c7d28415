"""The Ray that a command runs on: one of its own that ends with it, or a running one by address."""

import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator import ENVIRONMENT
from orchestrator.errors import ClusterError, StorageError
from orchestrator.provenance import OUR_PACKAGES, ROOT
from orchestrator.resources import ClusterShape
from orchestrator.settings import cache_environment
from orchestrator.storage import Storage

__all__ = ["connected", "nodes_that_miss", "shape_of_cluster", "this_host"]

PROBE = ".every-node-sees-this"


def shape_of_cluster(may_start: ClusterShape | None = None) -> ClusterShape:
    """CPUs and GPUs of each living node of the Ray that this process is connected to, and of those
    that it may start.

    A living node counts as one of those that may be started where it has as many of both.
    """
    alive = ClusterShape.of_ray([node["Resources"] for node in ray.nodes() if node["Alive"]])
    return alive.with_startable(may_start) if may_start else alive


def this_host() -> str:
    """Where this process of Ray's runs: the machine's name and the beginning of its node's id,
    `gpu7/3fa9c01b22aa`.
    """
    return f"{socket.gethostname()}/{ray.get_runtime_context().get_node_id()[:12]}"


@contextmanager
def connected(
    address: str | None, *, dashboard: bool = False, may_start: ClusterShape | None = None
) -> Iterator[ClusterShape]:
    """Ray for the time of a `with` block. Without `address` a local one starts and stops with it.

    `dashboard` must be on where Ray Train runs inside Ray Tune: releasing a stopped run's resources
    needs its State API. The shape is that of the living nodes and, at an `address`, of those that
    an autoscaler may start.
    Raises ClusterError when there is no cluster at `address`.
    """
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        options |= {"address": "local", "include_dashboard": dashboard}
    else:
        options |= {"address": address, "runtime_env": _code_for_the_cluster()}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options)
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own would end the process without a word
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"--address {address}" if address else "a local Ray"
        raise ClusterError(f"{where}: cannot connect ({' '.join(str(error).split())})") from error
    try:
        yield shape_of_cluster(may_start if address else None)
    finally:
        ray.shutdown()


def nodes_that_miss(storage: Storage) -> list[str]:
    """A line for each connected node that does not see what this process writes into a storage,
    with its address and why.
    """
    storage.write_bytes(PROBE, b"seen")
    try:
        alive = [node for node in ray.nodes() if node["Alive"]]
        place = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in alive]
        looks = [
            _looked.options(num_cpus=0, scheduling_strategy=each).remote(storage) for each in place
        ]
        reasons = zip(alive, ray.get(looks), strict=True)
        return [f"node {node['NodeManagerAddress']} {reason}" for node, reason in reasons if reason]
    finally:
        storage.delete(PROBE)


@ray.remote  # type: ignore[untyped-decorator]
def _looked(storage: Storage) -> str | None:
    """Why a node does not see it: another disk, or no credentials for the object store."""
    try:
        return None if storage.read_bytes(PROBE) == b"seen" else "does not see it"
    except StorageError as error:
        return f"cannot reach it ({error})"


def _code_for_the_cluster() -> dict[str, Any]:
    """This very code for the workers of a cluster that may have another version of it, or none."""
    return {
        "py_modules": [str(ROOT / package) for package in OUR_PACKAGES],
        "env_vars": ENVIRONMENT | cache_environment(),
    }
