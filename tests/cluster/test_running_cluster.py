"""Real Ray: the command on a cluster that runs already, which it joins, shares and leaves as it
was.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.storage import Storage

COMMAND = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
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


def line_of(process: "subprocess.Popen[str]", word: str) -> list[str]:
    """The words of the next line that begins with `word`."""
    assert process.stdout is not None
    watchdog = threading.Timer(90, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            if line.startswith(word):
                return line.split()
        raise AssertionError(f"no line {word!r}")
    finally:
        watchdog.cancel()


@pytest.fixture
def cluster() -> "Iterator[tuple[subprocess.Popen[str], str]]":
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", CLUSTER], text=True, **pipes) as process:  # type: ignore[call-overload]
        yield process, line_of(process, "address")[1]
        process.terminate()


def test_a_sweep_on_a_running_cluster_with_shares_of_a_gpu(
    cluster: "tuple[subprocess.Popen[str], str]", storage_folder: Path
) -> None:
    process, address = cluster
    sweep = [*COMMAND, "ablate", "temperature", "--preset", "shapes", *FIELDS, "--address", address]
    sweep += ["--storage", str(storage_folder)]

    refused = subprocess.run(
        [*sweep, "--gpus-per-worker", "2"], capture_output=True, text=True, check=False, timeout=200
    )
    assert refused.returncode == 2
    assert "--gpus-per-worker 2: no node has more than 1 GPUs" in refused.stderr
    assert not Storage(str(storage_folder)).list("runs")

    ended = subprocess.run(
        [*sweep, "--gpus-per-worker", "0.5", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert ended.returncode == 0, ended.stderr
    assert "2 at once, each 1 worker(s) with 1 CPUs and 0.5 GPUs" in ended.stderr
    assert all(cell["n"] == 1 for cell in json.loads(ended.stdout)["cells"])
    assert len(Storage(str(storage_folder)).list("runs")) == 7

    assert process.stdin is not None
    process.stdin.close()
    assert line_of(process, "alive")[1:] == ["1", "1.0"]  # still there, and nothing of it is held
