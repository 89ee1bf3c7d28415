"""The Ray that a command runs on: one of its own that ends with it, or a running one by address.

Ray is imported by the functions here, not with the module, so that `connected` can set what Ray
reads of the environment first.
"""

import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator.environment import prepare_environment, worker_environment
from orchestrator.errors import ClusterError, StorageError
from orchestrator.provenance import OUR_PACKAGES, ROOT
from orchestrator.resources import ClusterShape
from orchestrator.storage import Storage

__all__ = ["connected", "nodes_that_miss", "shape_of_cluster", "this_host"]

PROBE = ".every-node-sees-this"


def shape_of_cluster(may_start: ClusterShape | None = None) -> ClusterShape:
    """Return CPUs and GPUs of each living node of the connected Ray, and of those it may start.

    A living node counts as one of those that may be started where it has as many of both.
    """
    import ray

    alive = ClusterShape.of_ray([node["Resources"] for node in ray.nodes() if node["Alive"]])
    return alive.with_startable(may_start) if may_start else alive


def this_host() -> str:
    """Return where this process of Ray's runs: `gpu7/3fa9c01b22aa`.

    It is the machine's name and the beginning of its node's id.
    """
    import ray

    return f"{socket.gethostname()}/{ray.get_runtime_context().get_node_id()[:12]}"


@contextmanager
def connected(
    address: str | None, *, dashboard: bool = False, may_start: ClusterShape | None = None
) -> Iterator[ClusterShape]:
    """Hold Ray for the time of a `with` block; without `address` a local one that ends with it.

    `dashboard` must be on where Ray Train runs inside Ray Tune: releasing a stopped run's resources
    needs its State API. The shape is that of the living nodes and, at an `address`, of those that
    an autoscaler may start.
    Raises ClusterError when there is no cluster at `address`.
    """
    prepare_environment()
    import ray

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
    """Return a line for each node that does not see what this process writes into a storage.

    The line has the node's address and why.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0)(_why_unseen)
    storage.write_bytes(PROBE, b"seen")
    try:
        alive = [node for node in ray.nodes() if node["Alive"]]
        on_each = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in alive]
        answers = ray.get([ask.options(scheduling_strategy=one).remote(storage) for one in on_each])
    finally:
        storage.delete(PROBE)

    return [
        f"node {node['NodeManagerAddress']} {reason}"
        for node, reason in zip(alive, answers, strict=True)
        if reason
    ]


def _why_unseen(storage: Storage) -> str | None:
    """Say why a node does not see it: another disk, or no credentials for the object store."""
    try:
        return None if storage.read_bytes(PROBE) == b"seen" else "does not see it"
    except StorageError as error:
        return f"cannot reach it ({error})"


def _code_for_the_cluster() -> dict[str, Any]:
    """Return this very code for workers of a cluster that may have another version, or none."""
    return {
        "py_modules": [str(ROOT / package) for package in OUR_PACKAGES],
        "env_vars": worker_environment(),
    }
