"""Real Ray with its autoscaler: nodes with GPUs come for the cells of a sweep and go after them,
and drivers stay off them.

The cluster is that of cluster.yaml with Ray's provider for tests, whose nodes are processes of this
machine: the autoscaler, what cells ask of it and where they are placed are real. The GPUs are there
by name only; cells compute on CPUs.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from ray.util import get_node_ip_address

from orchestrator.cluster.job_server import JobServer
from orchestrator.errors import ClusterError
from orchestrator.storage import Storage

COMMAND = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
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
TINY = {
    "data.image_size": 16,
    "data.train_images": 200,
    "data.test_images": 100,
    "encoder.width": 0.125,
    "schedule.batch_size": 32,
    "optim.anchor_batch_size": 32,
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


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
def server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The job server of a head that starts nodes. All is ended by process id."""
    files = tmp_path_factory.mktemp("cluster")
    # short: Ray's sockets lie below, and their paths are limited
    folder = Path("/tmp") / f"simclr-nodes-{os.getpid()}"
    ports = {
        name: free_port()
        for name in (
            "port",
            "dashboard-port",
            "dashboard-agent-listen-port",
            "ray-client-server-port",
        )
    }
    (files / "provider.py").write_text(PROVIDER)
    (files / "token").write_text("a-token-of-this-test-0123456789abcdef")
    gcs = f"{get_node_ip_address()}:{ports['port']}"
    config = autoscaling(root / "cluster.yaml", gcs, folder)
    (files / "autoscaling.yaml").write_text(yaml.safe_dump(config))
    command = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--block",
        "--num-cpus=0",
        "--num-gpus=0",
    ]
    command += [*(f"--{name}={port}" for name, port in ports.items()), "--disable-usage-stats"]
    command += [f"--temp-dir={folder}", f"--autoscaling-config={files / 'autoscaling.yaml'}"]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(files), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",  # as `ray up` does
        "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
        "SIMCLR_ORCH_NODES": "2x1x1",  # as cluster.yaml does
    }
    url = f"http://127.0.0.1:{ports['dashboard-port']}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(files / "token"))
        patch.setenv("RAY_AUTH_MODE", "token")
        with subprocess.Popen(command, env=os.environ | environment, **quiet) as head:  # type: ignore[call-overload]
            try:
                wait_for(lambda: nodes(url) == (1, 0))
                yield url
            finally:
                started = psutil.Process(head.pid).children(recursive=True)
                for process in (psutil.Process(head.pid), *started):
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
                shutil.rmtree(folder, ignore_errors=True)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.5)


def nodes(url: str) -> tuple[int, int]:
    """How many heads and how many nodes with a GPU there are; none while nothing answers."""
    with suppress(ClusterError):
        found = JobServer(url, url).nodes()
        return sum(node["head"] for node in found), sum(
            node["resources"].get("GPU") == 1 for node in found
        )
    return 0, 0


def run(server: str, storage: Path, *words: str, epochs: int) -> tuple[str, int]:
    """What a command says that succeeds on the cluster, and the most nodes with a GPU that there
    were meanwhile.
    """
    fields = [
        part
        for name, value in (TINY | {"schedule.epochs": epochs}).items()
        for part in ("--set", f"{name}={value}")
    ]
    place = ["--on", server, "--storage", str(storage)]
    most, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.5):
            most = max(most, nodes(server)[1])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = subprocess.run(
            [*COMMAND, *words, *fields, *place],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    finally:
        ended.set()
        watcher.join()
    assert done.returncode == 0, done.stderr
    return done.stderr, most


def hosts(storage: Path) -> list[set[str]]:
    """The nodes that each cell ran on."""
    place = Storage(str(storage))
    records: list[dict[str, Any]] = [
        place.read_json(f"runs/{name}/run.json") for name in place.list("runs")
    ]
    assert all(record["status"] == "finished" for record in records)
    return [{host.rpartition("/")[2] for host in record["machine"]["hosts"]} for record in records]


@pytest.mark.slow
def test_nodes_with_gpus_come_for_the_cells_of_a_sweep_and_go_after_them(
    server: str, storage_folder: Path
) -> None:
    said, most = run(server, storage_folder, "ablate", "steps", "--preset", "shapes", epochs=10)
    # sized before the first node is up
    assert "4 to run), 2 at once, each 1 worker(s) with 1 CPUs and 1 GPUs" in said
    assert most == 2
    used = hosts(storage_folder)
    assert len(used) == 4
    # both, unless the first node is done before the second is there
    assert set().union(*used) <= {f"{1:012x}", f"{2:012x}"}
    wait_for(lambda: nodes(server) == (1, 0))
