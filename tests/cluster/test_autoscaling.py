"""Real Ray with its autoscaler: nodes with GPUs come for the cells of a sweep and go after them,
and drivers stay off them.

The cluster is that of cluster.yaml with Ray's provider for tests, whose nodes are processes of this
machine: the autoscaler, what cells ask of it and where they are placed are real. The GPUs are there
by name only; cells compute on CPUs.
"""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from ray.util import get_node_ip_address

from orchestrator.cluster.job_server import JobServer
from orchestrator.errors import ClusterError

PATIENCE = 300.0  # seconds
# As Ray's own, but each node has a folder of its own, as a machine would (a new one empties what
# others have been sent), and an id that differs in the twelve characters that records keep.
PROVIDER = """
from functools import partial
from pathlib import Path
from unittest.mock import patch
from ray._private.parameter import RayParams
from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider

class Provider(FakeMultiNodeProvider):
    def _next_hex_node_id(self):
        self._next_node_id += 1
        return f"{self._next_node_id:012x}" + 44 * "a"

    def _create_node_with_resources_and_labels(self, *arguments):
        folder = Path(self.provider_config["folder"], str(self._next_node_id + 1))
        with patch("ray._private.parameter.RayParams", partial(RayParams, temp_dir=str(folder))):
            super()._create_node_with_resources_and_labels(*arguments)
"""


def autoscaling(cluster_file: Path, gcs: str, folder: Path) -> dict[str, Any]:
    """What Ray's launcher leaves of cluster.yaml on the head, with two nodes of one CPU at most and
    seconds of idleness.
    """
    tree = yaml.safe_load(cluster_file.read_text())
    types = tree["available_node_types"]
    gpu = {
        "resources": types["gpu"]["resources"] | {"CPU": 1},
        "min_workers": types["gpu"]["min_workers"],
        "max_workers": 2,
    }
    head = {"resources": types["head"]["resources"], "max_workers": types["head"]["max_workers"]}
    return {
        "cluster_name": tree["cluster_name"],
        "max_workers": tree["max_workers"],
        "idle_timeout_minutes": 0.1,
        "provider": {
            "type": "external",
            "module": "provider.Provider",
            "gcs_address": gcs,
            "folder": str(folder),
            "launch_multiple": True,
            "disable_node_updaters": True,  # there is nothing to reach over SSH
        },
        "auth": {},
        **{
            name: []
            for name in (
                "setup_commands",
                "head_setup_commands",
                "worker_setup_commands",
                "cluster_synced_files",
            )
        },
        "head_node_type": "ray.head.default",  # what the provider calls it
        "available_node_types": {
            "ray.head.default": head | {"node_config": {}},
            "gpu": gpu | {"node_config": {}},
        },
    }


@pytest.fixture(scope="module")
def server(
    repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
    ray_head: Callable[..., AbstractContextManager[str]],
    free_port: Callable[[], int],
    wait_for: Callable[..., None],
) -> Iterator[str]:
    """The job server of a head that starts nodes."""
    files, port = tmp_path_factory.mktemp("cluster"), free_port()
    folder = Path("/tmp") / f"simclr-nodes-{os.getpid()}"
    (files / "provider.py").write_text(PROVIDER)
    config = autoscaling(repository / "cluster.yaml", f"{get_node_ip_address()}:{port}", folder)
    (files / "autoscaling.yaml").write_text(yaml.safe_dump(config))
    environment = {
        "PYTHONPATH": os.pathsep.join([str(files), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",  # as `ray up` does
        "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
        "SIMCLR_ORCH_NODES": "2x1x1",  # as cluster.yaml does
    }
    options = ["--num-cpus=0", "--num-gpus=0"]
    options += [f"--autoscaling-config={files / 'autoscaling.yaml'}"]
    with ray_head(folder, port, *options, **environment) as url:
        wait_for(lambda: nodes(url) == (1, 0), PATIENCE, pause=0.5)
        yield url


def nodes(url: str) -> tuple[int, int]:
    """How many heads and how many nodes with a GPU there are; none while nothing answers."""
    with suppress(ClusterError):
        found = JobServer(url, url).nodes()
        return sum(node["head"] for node in found), sum(
            node["resources"].get("GPU") == 1 for node in found
        )
    return 0, 0


def most_nodes_during(
    server: str, call: Callable[[], subprocess.CompletedProcess[str]]
) -> tuple[subprocess.CompletedProcess[str], int]:
    """How a call ended, and the most nodes with a GPU that there were meanwhile."""
    most, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.5):
            most = max(most, nodes(server)[1])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = call()
    finally:
        ended.set()
        watcher.join()
    return done, most


@pytest.mark.slow
def test_nodes_with_gpus_come_for_the_cells_of_a_sweep_and_go_after_them(
    server: str,
    storage_folder: Path,
    simclr_orch: Callable[..., subprocess.CompletedProcess[str]],
    tiny_recipe: Callable[..., list[str]],
    nodes_used: Callable[..., list[set[str]]],
    wait_for: Callable[..., None],
) -> None:
    sweep = ["ablate", "steps", *tiny_recipe(schedule__epochs=10)]
    sweep += ["--on", server, "--storage", str(storage_folder)]
    ended, most = most_nodes_during(server, lambda: simclr_orch(*sweep, timeout=PATIENCE))
    assert ended.returncode == 0, ended.stderr
    # sized before the first node is up
    assert "4 to run), 2 at once, each 1 worker with 1 CPU and 1 GPU" in ended.stderr
    assert most == 2
    used = nodes_used(storage_folder, workers=1)
    assert len(used) == 4
    # both, unless the first node is done before the second is there
    assert set().union(*used) <= {f"{1:012x}", f"{2:012x}"}
    wait_for(lambda: nodes(server) == (1, 0), PATIENCE, pause=0.5)
