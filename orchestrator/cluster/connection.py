"""The Ray that a command runs on: one of its own that ends with it, or a running one by address.

Ray is imported by the functions here, not with the module, so that `connected` can set what Ray
reads of the environment first.
"""

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any

from orchestrator.cluster.mends import is_too_slow, load, mend
from orchestrator.cluster.own_modules import imported_modules
from orchestrator.cluster.own_token import ensure_token
from orchestrator.cluster.ray_internals import PATIENT, on_loopback
from orchestrator.cluster.short_folder import folder_for_ray
from orchestrator.environment import prepare_environment, worker_environment
from orchestrator.errors import ClusterError, StorageError
from orchestrator.provenance import OUR_PACKAGES, ROOT
from orchestrator.resources import ClusterShape
from orchestrator.storage import Storage
from workloads.cpus import usable_cpus

__all__ = ["connected", "nodes_that_miss", "shape_of_cluster", "this_host"]

PROBE = ".every-node-sees-this"
STARTS = 6  # Ray gives a node 30 seconds to start
QUIET = 15.0  # seconds after which a start that still goes on is worth a line

log = logging.getLogger(__name__)


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

    A local one listens on this machine's loopback alone, and asks for the user's token there, too.
    `dashboard` must be on where Ray Train runs inside Ray Tune: releasing a stopped run's resources
    needs its State API. The shape is that of the living nodes and, at an `address`, of those that
    an autoscaler may start.
    Raises ClusterError when there is no cluster at `address`.
    """
    prepare_environment()
    import ray

    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with ExitStack() as stack:
        if address is None:
            # Of itself Ray counts the machine's CPUs, however few of them this process may use.
            options |= {"address": "local", "include_dashboard": dashboard}
            options |= {"num_cpus": usable_cpus(), "_system_config": PATIENT}
            ensure_token()
            if folder := stack.enter_context(folder_for_ray()):
                options |= {"_temp_dir": folder}
        else:
            options |= {"address": address, "runtime_env": _code_for_the_cluster()}

        _start(address, options)
        stack.callback(ray.shutdown)
        yield shape_of_cluster(may_start if address else None)


def _start(address: str | None, options: dict[str, Any]) -> None:
    """Connect to Ray, or start one; a start is tried again where the machine was too slow for it.

    Raises ClusterError for whatever Ray raises.
    """
    import ray

    where = f"--address {address}" if address else "a local Ray"
    on_sigterm = signal.getsignal(signal.SIGTERM)
    for left in reversed(range(STARTS)):
        try:
            with nullcontext() if address else on_loopback(), _told_of_waiting(where):
                ray.init(**options)
            # Ray's own would end the process without a word.
            signal.signal(signal.SIGTERM, on_sigterm)
            return
        except Exception as error:
            with suppress(Exception):
                ray.shutdown()  # what had started of it
            if left and address is None and is_too_slow(error):
                log.warning(
                    "Ray has not started in time on this busy machine (%s); starting it again",
                    load(),
                )
                continue
            said = " ".join(str(error).split()) or type(error).__name__
            raise ClusterError(f"{where}: cannot connect ({said}){mend(error)}") from error


@contextmanager
def _told_of_waiting(where: str) -> Iterator[None]:
    """Say once what is waited for, where a start takes long."""
    timer = threading.Timer(
        QUIET, lambda: log.warning("still waiting for %s to answer (%s)", where, load())
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


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
    """Return this very code for workers of a cluster that may have another version, or none.

    With it travel the modules of own parts that lie in a folder of this machine.
    """
    ours = [str(ROOT / package) for package in OUR_PACKAGES]
    return {
        "py_modules": [*ours, *imported_modules()],
        "env_vars": worker_environment(),
    }
