"""Real local Ray and the real command: a sweep's results, its continuation, and what happens when
processes die.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.storage import Storage

COMMAND = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
TINY = {
    "data.image_size": 16,
    "data.train_images": 200,
    "data.test_images": 100,
    "encoder.width": 0.125,
    "schedule.batch_size": 32,
    "optim.anchor_batch_size": 32,
    "schedule.epochs": 2,
}

Start = Callable[[list[str]], "subprocess.Popen[str]"]


def arguments(storage: Path, *more: str, **fields: Any) -> list[str]:
    values = TINY | {name.replace("__", "."): value for name, value in fields.items()}
    assignments = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    return [
        *COMMAND,
        "ablate",
        "temperature",
        "--preset",
        "shapes",
        "--storage",
        str(storage),
        *assignments,
        *more,
    ]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)


def records(storage: Path) -> dict[str, dict[str, Any]]:
    place = Storage(str(storage))
    found = {name: place.read_json(f"runs/{name}/run.json") for name in place.list("runs")}
    return {name: record for name, record in found.items() if record}


def mlflow_runs(storage: Path, experiment: str = "temperature") -> tuple[list[Run], list[Run]]:
    """Parents and children."""
    client = MlflowClient(f"sqlite:///{storage}/mlflow.db")
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = list(client.search_runs([found.experiment_id], max_results=1000))
    children = [each for each in runs if "mlflow.parentRunId" in each.data.tags]
    return [each for each in runs if each not in children], children


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def test_a_sweep_reports_records_and_is_not_run_again(storage_folder: Path) -> None:
    first = run(arguments(storage_folder, "--json"))
    assert first.returncode == 0, first.stderr
    document = json.loads(first.stdout)  # one document, and nothing beside it
    assert document["cells"][0]["at"] == ["yes, 0.05"]
    assert all(cell["n"] == 1 and 0 <= cell["mean"] <= 100 for cell in document["cells"])
    assert document["untrained"]["n"] == 1

    kept = records(storage_folder)
    assert len(kept) == 7
    assert all(
        record["status"] == "finished" and record["machine"]["threads"] == 1
        for record in kept.values()
    )
    by_seed = {tuple(cell["at"]): cell["values"] for cell in document["cells"]}
    for record in kept.values():
        if record["spec"]["schedule"]["epochs"]:
            name = record["name"].rpartition(" · seed")[0]
            assert by_seed[(name,)] == [record["results"]["linear_top1"]]
            assert [epoch["epoch"] for epoch in record["history"]] == [1, 2]

    (parent,), children = mlflow_runs(storage_folder)
    client = MlflowClient(f"sqlite:///{storage_folder}/mlflow.db")
    assert parent.info.status == "FINISHED"
    assert {"plan.json", "report.md", "report.json", "report.png", "report.svg"} <= {
        entry.path for entry in client.list_artifacts(parent.info.run_id)
    }
    assert {each.data.tags["simclr_orch.fingerprint"] for each in children} == kept.keys()
    for child in children:
        record = kept[child.data.tags["simclr_orch.fingerprint"]]
        assert child.info.status == "FINISHED"
        assert child.data.metrics["linear_top1"] == record["results"]["linear_top1"]
        assert child.data.params["loss.temperature"] == str(record["spec"]["loss"]["temperature"])
        assert child.data.tags["simclr_orch.source"] == "Table 5"
        assert {"run.json", "spec.yaml", "log.txt"} <= {
            entry.path for entry in client.list_artifacts(child.info.run_id)
        }
        losses = client.get_metric_history(child.info.run_id, "loss")
        assert [(entry.step, entry.value) for entry in losses] == [
            (epoch["epoch"], epoch["loss"]) for epoch in record["history"]
        ]

    # A second seed runs only what is new, and belongs to the same sweep.
    written = {path: path.stat().st_mtime_ns for path in storage_folder.glob("runs/*/run.json")}
    second = run(arguments(storage_folder, "--seeds", "2", "--json"))
    assert second.returncode == 0, second.stderr
    assert all(
        cell["n"] == 2 and cell["spread"] is not None for cell in json.loads(second.stdout)["cells"]
    )
    assert {path: path.stat().st_mtime_ns for path in written} == written
    parents, children = mlflow_runs(storage_folder)
    assert (len(parents), len(children), len(records(storage_folder))) == (1, 14, 14)

    # The report alone, later, says the same; so does the list of runs.
    report = [*COMMAND, "report", "temperature", "--storage", str(storage_folder), "--json"]
    later = json.loads(run(report).stdout)
    assert later["cells"] == json.loads(second.stdout)["cells"]
    listed = json.loads(run([*COMMAND, "runs", "--storage", str(storage_folder), "--json"]).stdout)[
        "runs"
    ]
    assert {each["fingerprint"] for each in listed} == records(storage_folder).keys()

    # A run is judged again, from its checkpoint, with the same result.
    name, record = next(
        (n, r) for n, r in records(storage_folder).items() if r["spec"]["schedule"]["epochs"]
    )
    again = run([*COMMAND, "evaluate", name[:10], "--storage", str(storage_folder), "--json"])
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["results"]["linear_top1"] == pytest.approx(
        record["results"]["linear_top1"], abs=1.01
    )


def test_a_cell_that_cannot_run_does_not_sink_the_others(storage_folder: Path) -> None:
    plan = json.loads(run(arguments(storage_folder, "--dry-run", "--json")).stdout)
    broken = next(
        cell["fingerprint"] for cell in plan["cells"] if cell["name"].startswith("yes, 0.5 ")
    )
    Storage(str(storage_folder)).write_bytes(f"runs/{broken}/checkpoint.pt", b"not a checkpoint")
    ended = run(arguments(storage_folder, "--max-failures", "0"))
    assert ended.returncode == 1
    kept = records(storage_folder)
    assert {name for name, record in kept.items() if record["status"] == "failed"} == {broken}
    assert len(kept) == 7
    assert f"runs/{broken}/log.txt" in ended.stderr
    assert "continue with: simclr-orch ablate temperature" in ended.stderr
    assert "failed" in ended.stdout  # in the table
    _, children = mlflow_runs(storage_folder)
    statuses = {each.data.tags["simclr_orch.fingerprint"]: each.info.status for each in children}
    assert statuses == {name: "FAILED" if name == broken else "FINISHED" for name in kept}

    # What was wrong is mended; the same command runs that cell alone.
    Storage(str(storage_folder)).delete(f"runs/{broken}/checkpoint.pt")
    others = {name: record["ended"] for name, record in kept.items() if name != broken}
    mended = run(arguments(storage_folder))
    assert mended.returncode == 0, mended.stderr
    after = records(storage_folder)
    assert after[broken]["status"] == "finished"
    assert {name: after[name]["ended"] for name in others} == others


def test_a_diverged_cell_says_where(storage_folder: Path) -> None:
    diverging = {"optim.name": "sgd", "optim.base_learning_rate": 1e30, "precision": "fp32"}
    assignments = [
        part for name, value in (TINY | diverging).items() for part in ("--set", f"{name}={value}")
    ]
    ended = run(
        [*COMMAND, "pretrain", "--preset", "shapes", "--storage", str(storage_folder), *assignments]
    )
    assert ended.returncode == 1
    assert "LossNotFiniteError: loss is nan at step" in ended.stderr
    assert "learning rate" in ended.stderr
    assert "last good state:" in ended.stderr


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a command and, whatever becomes of the test, ends it."""
    with ExitStack() as stack:

        def popen(command: list[str]) -> "subprocess.Popen[str]":
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            return process

        yield popen


def started_cells(storage: Path) -> int:
    return len(list(storage.glob("runs/*/spec.yaml")))


def finished_cells(storage: Path) -> int:
    return len(list(storage.glob("runs/*/run.json")))


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda each: each.name
)
def test_a_stopped_driver_continues_by_the_same_command(
    number: signal.Signals, storage_folder: Path, start: Start
) -> None:
    command = arguments(storage_folder, "--max-concurrent", "1", schedule__epochs=6)
    driver = start(command)
    wait_for(lambda: finished_cells(storage_folder) >= 2)
    driver.send_signal(number)
    _, said = driver.communicate(timeout=120)
    if number is signal.SIGKILL:
        assert driver.returncode == -signal.SIGKILL
    else:
        assert driver.returncode == 1
        assert "continue with: simclr-orch ablate temperature" in said
        (parent,), children = mlflow_runs(storage_folder)
        assert parent.info.status == "KILLED"
        assert not [each for each in children if each.info.status == "RUNNING"]
    before = {name: record["ended"] for name, record in records(storage_folder).items()}
    assert 2 <= len(before) < 7
    continued = run(command)
    assert continued.returncode == 0, continued.stderr
    after = records(storage_folder)
    assert len(after) == 7
    assert {name: after[name]["ended"] for name in before} == before
    (parent,), children = mlflow_runs(storage_folder)
    assert parent.info.status == "FINISHED"
    assert sorted(each.data.tags["simclr_orch.fingerprint"] for each in children) == sorted(after)
    assert {each.info.status for each in children} == {"FINISHED"}


@pytest.mark.slow
def test_a_lost_trial_process_is_replaced(storage_folder: Path, start: Start) -> None:
    command = arguments(storage_folder, "--max-concurrent", "1", schedule__epochs=20)
    driver = start(command)
    wait_for(lambda: started_cells(storage_folder) >= 2)
    killed = kill_one(driver.pid, "ImplicitFunc")
    _, said = driver.communicate(timeout=300)
    assert killed
    assert driver.returncode == 0, said
    assert len(records(storage_folder)) == 7


@pytest.mark.slow
def test_two_workers_give_the_result_of_one_and_survive_a_loss(
    storage_folder: Path, tmp_path: Path, start: Start
) -> None:
    epochs = 30
    fields = TINY | {"schedule.epochs": epochs, "precision": "fp32"}
    assignments = [part for name, value in fields.items() for part in ("--set", f"{name}={value}")]
    pretrain = [*COMMAND, "pretrain", "--preset", "shapes", *assignments]
    command = [
        *pretrain,
        "--workers",
        "2",
        "--cpus-per-worker",
        "1",
        "--storage",
        str(storage_folder),
    ]
    driver = start(command)
    wait_for(lambda: bool(list(storage_folder.glob("runs/*/spec.yaml"))), 240)
    killed = kill_one(driver.pid, "RayTrainWorker")
    _, said = driver.communicate(timeout=400)
    assert killed
    assert driver.returncode == 0, said
    (two,) = records(storage_folder).values()
    assert two["machine"]["workers"] == 2
    assert [epoch["epoch"] for epoch in two["history"]] == list(range(1, epochs + 1))

    alone = tmp_path / "alone"
    ended = run([*pretrain, "--cpus-per-worker", "1", "--storage", str(alone)])
    assert ended.returncode == 0, ended.stderr
    (one,) = records(alone).values()
    # the number of workers does not change the result
    assert one["fingerprint"] == two["fingerprint"]
    for ours, theirs in zip(two["history"][:3], one["history"][:3], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=2e-3)


def kill_one(driver: int, title: str) -> bool:
    """SIGKILL one Ray worker process below the driver whose title holds `title`."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for process in psutil.Process(driver).children(recursive=True):
            with suppress(psutil.Error):
                if title in " ".join(process.cmdline()):
                    os.kill(process.pid, signal.SIGKILL)
                    return True
        time.sleep(0.05)
    return False
