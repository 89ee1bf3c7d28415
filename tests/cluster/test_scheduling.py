"""Real Ray: where a cluster of several nodes puts the workers of cells, and that it never waits for
ever.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.cell.job import CellJob
from orchestrator.cell.run import run_cell
from orchestrator.commands.check import check
from orchestrator.commands.request import Request
from orchestrator.storage import Storage
from workloads.distributed.worker import Worker

COMMAND = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
# A head for drivers alone, and nodes by their properties; a line with a node's id ends all its
# processes, as a power cut would.
CLUSTER = """
import json, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
nodes = [cluster.add_node(**properties) for properties in json.loads(sys.argv[1])]
ids = [node.node_id for node in (cluster.head_node, *nodes)]
print("cluster", cluster.address, *ids, flush=True)
for line in sys.stdin:
    lost = next(node for node in nodes if node.node_id.startswith(line.strip()))
    cluster.remove_node(lost, allow_graceful=False)
cluster.shutdown()
"""
# A lost node is noticed in seconds, not in half a minute.
HEALTH = {"period_ms": "1000", "timeout_ms": "2000", "failure_threshold": "5"}
TINY = {
    "data.image_size": 16,
    "data.train_images": 200,
    "data.test_images": 100,
    "encoder.width": 0.125,
    "schedule.batch_size": 32,
    "optim.anchor_batch_size": 32,
}


class Cluster:
    """A running cluster: its address, and the beginning of the ids of the head and of its nodes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        words = next(
            (line.split()[1:] for line in process.stdout if line.startswith("cluster")), []
        )
        watchdog.cancel()
        assert words, "the cluster did not start in time"
        self.address, self.head, *self.nodes = (
            word[:12] if number else word for number, word in enumerate(words)
        )
        self._process = process

    def nodes_that_train(self) -> list[str]:
        """The nodes with a worker of a Ray Train job."""
        return [
            node
            for node in self.nodes
            if any("RayTrainWorker" in title for title in self._titles(node))
        ]

    def lose(self, node: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{node}\n")
        self._process.stdin.flush()

    def _titles(self, node: str) -> Iterator[str]:
        """Of the processes that a node's raylet has started."""
        for raylet in psutil.Process(self._process.pid).children():
            with suppress(psutil.Error):
                if any(word.startswith(f"--node_id={node}") for word in raylet.cmdline()):
                    yield from (" ".join(process.cmdline()) for process in raylet.children())


@contextmanager
def started(*nodes: dict[str, Any]) -> Iterator[Cluster]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-c", CLUSTER, json.dumps(nodes)]
    environment = os.environ | {f"RAY_health_check_{name}": value for name, value in HEALTH.items()}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:  # type: ignore[call-overload]
        yield Cluster(process)
        process.stdin.close()
        process.wait(60)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes, with GPUs by name only, a T4 and an A100: what is tested is how cells are
    placed.
    """
    types = ("T4", "A100")
    with started(
        *(
            {"num_cpus": 2, "num_gpus": 1, "resources": {f"accelerator_type:{name}": 1}}
            for name in types
        )
    ) as two:
        yield two


def command(cluster: Cluster, storage: Path, *words: str, epochs: int = 1) -> list[str]:
    fields = [
        part
        for name, value in (TINY | {"schedule.epochs": epochs}).items()
        for part in ("--set", f"{name}={value}")
    ]
    return [*COMMAND, *words, *fields, "--address", cluster.address, "--storage", str(storage)]


def run(cluster: Cluster, storage: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(cluster, storage, *words), capture_output=True, text=True, check=False, timeout=540
    )


def finish(storage: Path, count: int, *, epochs: int = 1) -> None:
    """Run the first cells of `steps` here, for they cost a tenth of what they do on a cluster."""
    assignments = tuple(
        f"{name}={value}" for name, value in (TINY | {"schedule.epochs": epochs}).items()
    )
    checked = check(
        Request(
            ("steps",), preset="shapes", assignments=assignments, flags={"storage": str(storage)}
        )
    )
    (plan,) = checked.plans
    for cell in plan.cells[:count]:
        job = CellJob(cell.name, "simclr", cell.fingerprint, cell.spec.tree(), checked.storage.uri)
        run_cell(job, Worker.here("cpu"), None, lambda _: None)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def hosts(storage: Path, *, workers: int) -> list[set[str]]:
    """The nodes that each cell ran on, of those that ran on any."""
    place = Storage(str(storage))
    records: list[dict[str, Any]] = [
        place.read_json(f"runs/{name}/run.json") for name in place.list("runs")
    ]
    assert all(record["status"] == "finished" for record in records)
    machines = [record["machine"] for record in records if "hosts" in record["machine"]]
    assert {machine["workers"] for machine in machines} == {workers}
    return [{host.rpartition("/")[2] for host in machine["hosts"]} for machine in machines]


@pytest.mark.cluster
@pytest.mark.slow
def test_more_cells_of_two_workers_than_fit_all_end_each_on_a_node_of_its_own(
    cluster: Cluster, storage_folder: Path
) -> None:
    finish(storage_folder, 1)
    two = ["--workers", "2", "--cpus-per-worker", "1", "--gpus-per-worker", "0"]
    ended = run(cluster, storage_folder, "ablate", "steps", "--preset", "shapes", *two)
    assert ended.returncode == 0, ended.stderr
    assert "4 cells (1 finished before, 3 to run), 2 at once" in ended.stderr
    used = hosts(storage_folder, workers=2)
    assert len(used) == 3
    assert all(len(nodes) == 1 for nodes in used)  # two workers fit on either, and share it
    assert set().union(*used) <= {*cluster.nodes}  # what waits for them needs nothing of the nodes


@pytest.mark.cluster
@pytest.mark.slow
def test_workers_are_spread_when_asked(cluster: Cluster, storage_folder: Path) -> None:
    two = [
        "--workers",
        "2",
        "--cpus-per-worker",
        "1",
        "--gpus-per-worker",
        "0",
        "--placement",
        "spread",
    ]
    ended = run(cluster, storage_folder, "pretrain", "--preset", "shapes", *two)
    assert ended.returncode == 0, ended.stderr
    assert hosts(storage_folder, workers=2) == [{*cluster.nodes}]


@pytest.mark.cluster
@pytest.mark.slow
def test_cells_run_on_the_type_of_gpu_that_they_ask_for(
    cluster: Cluster, storage_folder: Path
) -> None:
    sweep = ["ablate", "steps", "--preset", "shapes", "--gpus-per-worker", "0.5", "--gpu-type"]
    refused = run(cluster, storage_folder, *sweep, "H100")
    assert refused.returncode == 2
    assert "--gpu-type H100: no node has it; there are A100, T4" in refused.stderr

    ended = run(cluster, storage_folder, *sweep, "A100", "--json")
    assert ended.returncode == 0, ended.stderr
    assert "2 at once, each 1 worker(s) with 1 CPUs and 0.5 GPUs" in ended.stderr
    assert all(cell["n"] == 1 for cell in json.loads(ended.stdout)["cells"])
    assert hosts(storage_folder, workers=1) == 4 * [{cluster.nodes[1]}]


def beginning(storage: Path, name: str) -> str:
    """The line with the time at which two workers began, or began again, with a cell."""
    return [
        line
        for line in (storage / f"runs/{name}/log.txt").read_text().splitlines()
        if line.endswith("2 worker(s)")
    ][-1]


def begun(storage: Path) -> set[str]:
    """The cells that have been begun, and those that have ended, too."""
    return {log.parent.name for log in storage.glob("runs/*/log.txt")}


def ends(storage: Path) -> dict[str, int]:
    """When each cell that has ended left its record."""
    return {
        record.parent.name: record.stat().st_mtime_ns for record in storage.glob("runs/*/run.json")
    }


@pytest.mark.cluster
@pytest.mark.slow
def test_a_node_that_is_lost_costs_its_cell_another_beginning_and_the_others_nothing(
    storage_folder: Path,
) -> None:
    """As on hosts of their own in test_hosts.py, without root: the nodes are processes."""
    finish(storage_folder, 2, epochs=10)
    before = ends(storage_folder)
    sweep = ["ablate", "steps", "--preset", "shapes", "--workers", "2", "--cpus-per-worker", "1"]
    with started(*3 * [{"num_cpus": 1}]) as cluster, ExitStack() as stack:
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        driving = command(cluster, storage_folder, *sweep, epochs=10)
        driver = stack.enter_context(subprocess.Popen(driving, text=True, **pipes))  # type: ignore[call-overload]
        stack.callback(driver.kill)
        wait_for(lambda: begun(storage_folder) > before.keys() or driver.poll() is not None)
        assert driver.poll() is None, driver.communicate()[1]
        used = cluster.nodes_that_train()
        (interrupted,) = begun(storage_folder) - ends(storage_folder).keys()
        first = beginning(storage_folder, interrupted)
        assert len(used) == 2  # each offers one CPU
        cluster.lose(used[-1])
        _, said = driver.communicate(timeout=400)
        assert driver.returncode == 0, said
        left = {*cluster.nodes} - {used[-1]}
    assert beginning(storage_folder, interrupted) != first
    assert {name: ends(storage_folder)[name] for name in before} == before
    assert hosts(storage_folder, workers=2) == [left, left]
