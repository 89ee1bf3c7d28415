"""Real Ray: the command on a cluster that runs already, which it joins, shares and leaves as it
was.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.storage import Storage

# A node with a GPU by name only: what is tested is how cells are placed, which CUDA has no part in.
CLUSTER = """
import sys, ray
context = ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
print("address", context.address_info["gcs_address"], flush=True)
sys.stdin.read()
alive = [node for node in ray.nodes() if node["Alive"]]
print("alive", len(alive), ray.available_resources().get("GPU"), flush=True)
ray.shutdown()
"""


@pytest.fixture
def cluster(line_with: Callable[..., str]) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", CLUSTER], text=True, **pipes) as process:  # type: ignore[call-overload]
        yield process, line_with(process, "^address").split()[1]
        process.terminate()


def test_a_sweep_on_a_running_cluster_with_shares_of_a_gpu(
    cluster: "tuple[subprocess.Popen[str], str]",
    storage_folder: Path,
    simclr_orch: Callable[..., subprocess.CompletedProcess[str]],
    tiny_recipe: Callable[..., list[str]],
    line_with: Callable[..., str],
) -> None:
    process, address = cluster
    sweep = ["ablate", "temperature", *tiny_recipe(schedule__epochs=1), "--address", address]
    sweep += ["--storage", str(storage_folder)]

    refused = simclr_orch(*sweep, "--gpus-per-worker", "2", timeout=200)
    assert refused.returncode == 2
    assert "--gpus-per-worker 2: no node has more than 1 GPUs" in refused.stderr
    assert not Storage(str(storage_folder)).list("runs")

    ended = simclr_orch(*sweep, "--gpus-per-worker", "0.5", "--json", timeout=400)
    assert ended.returncode == 0, ended.stderr
    assert "2 at once, each 1 worker with 1 CPU and 0.5 GPUs" in ended.stderr
    assert all(cell["n"] == 1 for cell in json.loads(ended.stdout)["cells"])
    assert len(Storage(str(storage_folder)).list("runs")) == 7

    assert process.stdin is not None
    process.stdin.close()
    # still there, and nothing of it is held
    assert line_with(process, "^alive").split()[1:] == ["1", "1.0"]
