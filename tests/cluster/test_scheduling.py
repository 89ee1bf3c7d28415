"""Real Ray: where a cluster of several nodes puts the workers of cells, and that it never waits for
ever.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.storage import Storage
from orchestrator.storage.progress import running_sweeps

# A head for drivers alone, and nodes by their properties; a line with a node's id ends all its
# processes, as a power cut would, and one with "drain" before it tells that it will go in 12 s.
CLUSTER = """
import json, sys, time
from orchestrator.environment import prepare_environment
prepare_environment()  # as the command: both ask for the token of this machine, or neither does
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
nodes = [cluster.add_node(**properties) for properties in json.loads(sys.argv[1])]
ids = [node.node_id for node in (cluster.head_node, *nodes)]
print("cluster", cluster.address, *ids, flush=True)
for line in sys.stdin:
    *drains, name = line.split()
    lost = next(node for node in nodes if node.node_id.startswith(name))
    if drains:
        from ray._raylet import GcsClient
        from ray.core.generated.autoscaler_pb2 import DRAIN_NODE_REASON_PREEMPTION as REASON
        until = int((time.time() + 12) * 1000)
        GcsClient(cluster.address).drain_node(lost.node_id, REASON, "a test", until)
    else:
        cluster.remove_node(lost, allow_graceful=False)
cluster.shutdown()
"""
# A lost node is noticed in seconds, not in half a minute.
HEALTH = {"period_ms": "1000", "timeout_ms": "2000", "failure_threshold": "5"}
Run = Callable[..., subprocess.CompletedProcess[str]]
Recipe = Callable[..., list[str]]
RunHere = Callable[..., None]
Nodes = Callable[..., list[set[str]]]


class Cluster:
    """A running cluster: its address, and the beginning of the ids of the head and of its nodes."""

    def __init__(self, process: "subprocess.Popen[str]", address: str, ids: list[str]) -> None:
        self.address = address
        self.head, *self.nodes = (word[:12] for word in ids)
        self._process = process

    def options(self, storage: Path) -> list[str]:
        """Of a command that runs here."""
        return ["--address", self.address, "--storage", str(storage)]

    def nodes_that_train(self) -> list[str]:
        """The nodes with a worker of a Ray Train job."""
        return self.nodes_with("RayTrainWorker")

    def nodes_with(self, title: str) -> list[str]:
        """The nodes with a process of such a title."""
        return [node for node in self.nodes if any(title in each for each in self._titles(node))]

    def lose(self, node: str) -> None:
        """End a node and all that runs there."""
        self._tell(node)

    def drain(self, node: str) -> None:
        """Tell that a node will be taken away."""
        self._tell(f"drain {node}")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _titles(self, node: str) -> Iterator[str]:
        """Of the processes that a node's raylet has started."""
        for raylet in psutil.Process(self._process.pid).children():
            with suppress(psutil.Error):
                if any(word.startswith(f"--node_id={node}") for word in raylet.cmdline()):
                    yield from (" ".join(process.cmdline()) for process in raylet.children())


Started = Callable[..., AbstractContextManager[Cluster]]


@pytest.fixture(scope="module")
def started(line_with: Callable[..., str]) -> Started:
    """Starts a cluster of nodes with these properties."""

    @contextmanager
    def start(*nodes: dict[str, Any]) -> Iterator[Cluster]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        words = [sys.executable, "-c", CLUSTER, json.dumps(nodes)]
        health = {f"RAY_health_check_{name}": value for name, value in HEALTH.items()}
        with subprocess.Popen(words, text=True, env=os.environ | health, **pipes) as process:  # type: ignore[call-overload]
            address, *ids = line_with(process, "^cluster").split()[1:]
            yield Cluster(process, address, ids)
            process.stdin.close()
            process.wait(60)

    return start


@pytest.fixture(scope="module")
def cluster(started: Started) -> Iterator[Cluster]:
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


@pytest.mark.cluster
@pytest.mark.slow
def test_more_cells_of_two_workers_than_fit_all_end_each_on_a_node_of_its_own(
    cluster: Cluster,
    storage_folder: Path,
    simclr_orch: Run,
    tiny_recipe: Recipe,
    run_here: RunHere,
    nodes_used: Nodes,
) -> None:
    run_here("steps", storage_folder, 1, schedule__epochs=1)
    sweep = ["ablate", "steps", *tiny_recipe(schedule__epochs=1), *cluster.options(storage_folder)]
    sweep += ["--workers", "2", "--cpus-per-worker", "1", "--gpus-per-worker", "0"]
    ended = simclr_orch(*sweep)
    assert ended.returncode == 0, ended.stderr
    assert "4 cells (1 finished before, 3 to run), 2 at once" in ended.stderr
    used = nodes_used(storage_folder, workers=2)
    assert len(used) == 3
    assert all(len(nodes) == 1 for nodes in used)  # two workers fit on either, and share it
    assert set().union(*used) <= {*cluster.nodes}  # what waits for them needs nothing of the nodes


@pytest.mark.cluster
@pytest.mark.slow
def test_workers_are_spread_when_asked(
    cluster: Cluster,
    storage_folder: Path,
    simclr_orch: Run,
    tiny_recipe: Recipe,
    nodes_used: Nodes,
) -> None:
    words = ["pretrain", *tiny_recipe(schedule__epochs=1), *cluster.options(storage_folder)]
    words += ["--workers", "2", "--cpus-per-worker", "1", "--gpus-per-worker", "0"]
    ended = simclr_orch(*words, "--placement", "spread")
    assert ended.returncode == 0, ended.stderr
    assert nodes_used(storage_folder, workers=2) == [{*cluster.nodes}]


@pytest.mark.cluster
@pytest.mark.slow
def test_cells_run_on_the_type_of_gpu_that_they_ask_for(
    cluster: Cluster,
    storage_folder: Path,
    simclr_orch: Run,
    tiny_recipe: Recipe,
    nodes_used: Nodes,
) -> None:
    sweep = ["ablate", "steps", *tiny_recipe(schedule__epochs=1), *cluster.options(storage_folder)]
    sweep += ["--gpus-per-worker", "0.5", "--gpu-type"]
    refused = simclr_orch(*sweep, "H100")
    assert refused.returncode == 2
    assert "--gpu-type H100: no node has it; there are A100, T4" in refused.stderr

    ended = simclr_orch(*sweep, "A100", "--json")
    assert ended.returncode == 0, ended.stderr
    assert "2 at once, each 1 worker with 1 CPU and 0.5 GPUs" in ended.stderr
    assert all(cell["n"] == 1 for cell in json.loads(ended.stdout)["cells"])
    assert nodes_used(storage_folder, workers=1) == 4 * [{cluster.nodes[1]}]


def begun(storage: Path) -> set[str]:
    """The cells that have been begun, and those that have ended, too."""
    return {log.parent.name for log in storage.glob("runs/*/log.txt")}


@pytest.mark.cluster
@pytest.mark.slow
def test_a_node_that_is_lost_costs_its_cell_another_beginning_and_the_others_nothing(
    started: Started,
    storage_folder: Path,
    start: Callable[..., "subprocess.Popen[str]"],
    tiny_recipe: Recipe,
    run_here: RunHere,
    last_beginning: Callable[[Path], str],
    nodes_used: Nodes,
    written: Callable[[Path], dict[str, int]],
    wait_for: Callable[..., None],
) -> None:
    """As on hosts of their own in test_hosts.py, without root: the nodes are processes."""
    run_here("steps", storage_folder, 2, schedule__epochs=10)
    before = written(storage_folder)
    sweep = ["ablate", "steps", *tiny_recipe(schedule__epochs=10)]
    sweep += ["--workers", "2", "--cpus-per-worker", "1"]
    with started(*3 * [{"num_cpus": 1}]) as cluster:
        driver = start(*sweep, *cluster.options(storage_folder))
        wait_for(lambda: begun(storage_folder) > before.keys() or driver.poll() is not None, 200)
        assert driver.poll() is None, driver.communicate()[1]
        used = cluster.nodes_that_train()
        (interrupted,) = begun(storage_folder) - written(storage_folder).keys()
        first = last_beginning(storage_folder / "runs" / interrupted)
        assert len(used) == 2  # each offers one CPU
        cluster.lose(used[-1])
        _, said = driver.communicate(timeout=400)
        assert driver.returncode == 0, said
        left = {*cluster.nodes} - {used[-1]}
    assert last_beginning(storage_folder / "runs" / interrupted) != first
    assert before.items() <= written(storage_folder).items()
    assert nodes_used(storage_folder, workers=2) == [left, left]


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize(("workers", "title"), [(1, "ImplicitFunc"), (2, "RayTrainWorker")])
def test_a_node_that_is_about_to_go_costs_its_cell_no_epoch_and_is_no_failure(
    workers: int,
    title: str,
    started: Started,
    storage_folder: Path,
    start: Callable[..., "subprocess.Popen[str]"],
    tiny_recipe: Recipe,
    records: Callable[[Path], dict[str, dict[str, Any]]],
    nodes_used: Nodes,
    wait_for: Callable[..., None],
) -> None:
    epochs = 150
    recipe = tiny_recipe(schedule__epochs=epochs, schedule__warmup_epochs=0)
    with started({"num_cpus": 2}, {"num_cpus": 2}) as cluster:
        words = ["pretrain", *recipe, *cluster.options(storage_folder), "--max-failures", "0"]
        driver = start(*words, "--workers", str(workers), "--cpus-per-worker", "1")
        storage = Storage(str(storage_folder))

        def epoch() -> int:
            seen = next(iter(running_sweeps(storage)), None)
            return max((cell.epoch for cell in seen.cells.values()), default=0) if seen else 0

        wait_for(lambda: epoch() >= 3 or driver.poll() is not None, 300)
        (used,) = cluster.nodes_with(title)
        cluster.drain(used)
        _, said = driver.communicate(timeout=400)
        assert driver.returncode == 0, said
    ((fingerprint, record),) = records(storage_folder).items()
    assert [each["epoch"] for each in record["history"]] == list(range(1, epochs + 1))
    log = (storage_folder / "runs" / fingerprint / "log.txt").read_text()
    assert "continues after epoch" in log
    assert used not in nodes_used(storage_folder, workers=workers)[0]
