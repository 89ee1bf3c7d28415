"""A Ray cluster on this machine, as a program: a head for drivers alone, and nodes of one CPU each.

A line `lose ID` ends a node and all its processes, as a power cut would; `add` starts one. Each is
answered by a line. It ends with its standard input.
"""

import socket
import sys
from collections.abc import Callable
from typing import Any

from orchestrator.environment import prepare_environment

prepare_environment()  # as the command: both ask for the token of this machine, or neither does

from ray.cluster_utils import Cluster  # noqa: E402

STORE = 100 * 2**20  # bytes of each node's object store, of which cells need next to nothing
NODE = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": STORE}


STARTS = 10  # Ray gives a node 30 seconds to start, which a busy machine may not do


def started(start: Callable[[], Any]) -> Any:
    """Start something of Ray, again where the machine was too slow for it."""
    for _ in range(STARTS - 1):
        try:
            return start()
        except Exception as error:  # noqa: BLE001 - what Ray raises has no class of its own
            print(f"starting again: {error}", file=sys.stderr, flush=True)
    return start()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def new_cluster() -> Cluster:
    # Ray Train inside Ray Tune asks the dashboard's server
    head = NODE | {"num_cpus": 0, "include_dashboard": True, "dashboard_port": free_port()}
    return Cluster(initialize_head=True, head_node_args=head)


def main() -> None:
    cluster = started(new_cluster)
    nodes: dict[str, Any] = {}
    print("cluster", cluster.address, flush=True)
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "add":
            node = started(lambda: cluster.add_node(wait=False, **NODE))
            nodes[node.node_id] = node
            print("added", node.node_id, flush=True)
        else:
            cluster.remove_node(nodes.pop(rest[0]), allow_graceful=False)
            print("lost", rest[0], flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
