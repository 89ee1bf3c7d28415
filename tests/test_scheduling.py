"""Real Ray: where a cluster of several nodes puts the workers of cells, and that it never waits for ever."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.storage import Storage

COMMAND = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
# A head for drivers alone and two nodes, one with GPUs by name only: what is tested is how cells are placed.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
plain = cluster.add_node(num_cpus=2, num_gpus=1, resources={"accelerator_type:T4": 1})
typed = cluster.add_node(num_cpus=2, num_gpus=1, resources={"accelerator_type:A100": 1})
print("cluster", cluster.address, cluster.head_node.node_id, plain.node_id, typed.node_id, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
TINY = {
    "data.image_size": 16,
    "data.train_images": 200,
    "data.test_images": 100,
    "encoder.width": 0.125,
    "schedule.batch_size": 32,
    "optim.anchor_batch_size": 32,
    "schedule.epochs": 1,
}
FIELDS = [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """`address`, and the beginning of the ids of the nodes `head`, `t4` and `a100`."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", CLUSTER], text=True, **pipes) as process:  # type: ignore[call-overload]
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        words = next((line.split()[1:] for line in process.stdout if line.startswith("cluster")), [])
        watchdog.cancel()
        assert words, "the cluster did not start in time"
        address, *nodes = words
        yield {"address": address} | {name: node[:12] for name, node in zip(("head", "t4", "a100"), nodes, strict=True)}
        process.stdin.close()
        process.wait(60)


def run(cluster: dict[str, str], storage: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    place = ["--address", cluster["address"], "--storage", str(storage)]
    return subprocess.run([*COMMAND, *words, *FIELDS, *place], capture_output=True, text=True, check=False, timeout=540)


def hosts(storage: Path, *, workers: int) -> list[set[str]]:
    """The nodes that each cell ran on."""
    place = Storage(str(storage))
    records: list[dict[str, Any]] = [place.read_json(f"runs/{name}/run.json") for name in place.list("runs")]
    assert all(record["status"] == "finished" for record in records)
    assert {record["machine"]["workers"] for record in records} == {workers}
    return [{host.rpartition("/")[2] for host in record["machine"]["hosts"]} for record in records]


@pytest.mark.cluster
@pytest.mark.slow
def test_more_cells_of_two_workers_than_fit_all_end_each_on_a_node_of_its_own(
    cluster: dict[str, str], storage_folder: Path
) -> None:
    two = ["--workers", "2", "--cpus-per-worker", "1", "--gpus-per-worker", "0"]
    ended = run(cluster, storage_folder, "ablate", "steps", "--preset", "shapes", *two)
    assert ended.returncode == 0, ended.stderr
    assert "4 cells (0 finished before, 4 to run), 2 at once" in ended.stderr
    used = hosts(storage_folder, workers=2)
    assert len(used) == 4
    assert all(len(nodes) == 1 for nodes in used)  # two workers fit on either, and share it
    assert set().union(*used) <= {cluster["t4"], cluster["a100"]}  # what waits for them needs nothing of the nodes


@pytest.mark.cluster
@pytest.mark.slow
def test_workers_are_spread_when_asked(cluster: dict[str, str], storage_folder: Path) -> None:
    two = ["--workers", "2", "--cpus-per-worker", "1", "--gpus-per-worker", "0", "--placement", "spread"]
    ended = run(cluster, storage_folder, "pretrain", "--preset", "shapes", *two)
    assert ended.returncode == 0, ended.stderr
    assert hosts(storage_folder, workers=2) == [{cluster["t4"], cluster["a100"]}]


@pytest.mark.cluster
@pytest.mark.slow
def test_cells_run_on_the_type_of_gpu_that_they_ask_for(cluster: dict[str, str], storage_folder: Path) -> None:
    sweep = ["ablate", "steps", "--preset", "shapes", "--gpus-per-worker", "0.5", "--gpu-type"]
    refused = run(cluster, storage_folder, *sweep, "H100")
    assert refused.returncode == 2
    assert "--gpu-type H100: no node has it; there are A100, T4" in refused.stderr

    ended = run(cluster, storage_folder, *sweep, "A100", "--json")
    assert ended.returncode == 0, ended.stderr
    assert "2 at once, each 1 worker(s) with 1 CPUs and 0.5 GPUs" in ended.stderr
    assert all(cell["n"] == 1 for cell in json.loads(ended.stdout)["cells"])
    assert hosts(storage_folder, workers=1) == 4 * [{cluster["a100"]}]
