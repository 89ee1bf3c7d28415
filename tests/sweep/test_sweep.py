"""Real local Ray and the real command: a sweep's results, its continuation, and what happens when
processes die.
"""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient, entities

from orchestrator.storage import Storage

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., "subprocess.Popen[str]"]
Ablate = Callable[..., list[str]]
Recipe = Callable[..., list[str]]
Records = Callable[[Path], dict[str, dict[str, Any]]]
Written = Callable[[Path], dict[str, int]]
MlflowRuns = Callable[[Path, str], tuple[list[entities.Run], list[entities.Run]]]
Kill = Callable[[int, str], None]
Wait = Callable[..., None]


@pytest.fixture
def ablate(storage_folder: Path, tiny_recipe: Recipe) -> Ablate:
    """The words of a sweep of seven cells, with other options and fields."""

    def words(*more: str, **fields: Any) -> list[str]:
        recipe = tiny_recipe(**{"schedule__epochs": 2} | fields)
        return ["ablate", "temperature", "--storage", str(storage_folder), *recipe, *more]

    return words


def test_a_sweep_reports_records_and_is_not_run_again(
    storage_folder: Path,
    simclr_orch: Run,
    document: Callable[..., dict[str, Any]],
    ablate: Ablate,
    records: Records,
    written: Written,
    mlflow_runs: MlflowRuns,
) -> None:
    first = simclr_orch(*ablate("--json"))
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)  # one document, and nothing beside it
    assert report["cells"][0]["at"] == ["yes, 0.05"]
    assert all(cell["n"] == 1 and 0 <= cell["mean"] <= 100 for cell in report["cells"])
    assert report["untrained"]["n"] == 1

    kept = records(storage_folder)
    assert len(kept) == 7
    assert all(
        record["status"] == "finished" and record["machine"]["threads"] == 1
        for record in kept.values()
    )
    by_seed = {tuple(cell["at"]): cell["values"] for cell in report["cells"]}
    for record in kept.values():
        if record["spec"]["schedule"]["epochs"]:
            name = record["name"].rpartition(" · seed")[0]
            assert by_seed[(name,)] == [record["results"]["linear_top1"]]
            assert [epoch["epoch"] for epoch in record["history"]] == [1, 2]

    (parent,), children = mlflow_runs(storage_folder, "temperature")
    client = MlflowClient(f"sqlite:///{storage_folder}/mlflow.db")
    assert parent.info.status == "FINISHED"
    assert {"plan.json", "report.md", "report.json", "report.png", "report.svg"} <= {
        entry.path for entry in client.list_artifacts(parent.info.run_id)
    }
    assert {each.data.tags["simclr_orch.fingerprint"] for each in children} == kept.keys()
    for child in children:
        record = kept[child.data.tags["simclr_orch.fingerprint"]]
        assert child.info.status == "FINISHED"
        assert child.data.metrics["linear_top1_percent"] == record["results"]["linear_top1"]
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
    before = written(storage_folder)
    second = document(*ablate("--seeds", "2"))
    assert all(cell["n"] == 2 and cell["spread"] is not None for cell in second["cells"])
    assert before.items() <= written(storage_folder).items()
    parents, children = mlflow_runs(storage_folder, "temperature")
    assert (len(parents), len(children), len(records(storage_folder))) == (1, 14, 14)

    # The report alone, later, says the same; so does the list of runs.
    later = document("report", "temperature", "--storage", str(storage_folder))
    assert later["cells"] == second["cells"]
    listed = document("runs", "--storage", str(storage_folder))["runs"]
    assert {each["fingerprint"] for each in listed} == records(storage_folder).keys()

    # A run is judged again, from its checkpoint, with the same result.
    name, record = next(
        (n, r) for n, r in records(storage_folder).items() if r["spec"]["schedule"]["epochs"]
    )
    again = document("evaluate", name[:10], "--storage", str(storage_folder))
    assert again["results"]["linear_top1"] == pytest.approx(
        record["results"]["linear_top1"], abs=1.01
    )


def test_a_cell_that_cannot_run_does_not_sink_the_others(
    storage_folder: Path,
    simclr_orch: Run,
    document: Callable[..., dict[str, Any]],
    ablate: Ablate,
    records: Records,
    mlflow_runs: MlflowRuns,
) -> None:
    plan = document(*ablate("--dry-run"))
    broken = next(
        cell["fingerprint"] for cell in plan["cells"] if cell["name"].startswith("yes, 0.5 ")
    )
    in_the_way = f"runs/{broken}/predictions.npz"  # a folder, where the cell writes a file
    Storage(str(storage_folder)).write_bytes(f"{in_the_way}/file", b"")
    ended = simclr_orch(*ablate("--max-failures", "0"))
    assert ended.returncode == 1
    kept = records(storage_folder)
    assert {name for name, record in kept.items() if record["status"] == "failed"} == {broken}
    assert len(kept) == 7
    assert f"runs/{broken}/log.txt" in ended.stderr
    assert "continue with: simclr-orch ablate temperature" in ended.stderr
    assert "failed" in ended.stdout  # in the table
    _, children = mlflow_runs(storage_folder, "temperature")
    statuses = {each.data.tags["simclr_orch.fingerprint"]: each.info.status for each in children}
    assert statuses == {name: "FAILED" if name == broken else "FINISHED" for name in kept}

    # What was wrong is mended; the same command runs that cell alone.
    Storage(str(storage_folder)).delete(in_the_way)
    others = {name: record["ended"] for name, record in kept.items() if name != broken}
    mended = simclr_orch(*ablate())
    assert mended.returncode == 0, mended.stderr
    after = records(storage_folder)
    assert after[broken]["status"] == "finished"
    assert {name: after[name]["ended"] for name in others} == others


def test_a_diverged_cell_says_where(
    storage_folder: Path, simclr_orch: Run, tiny_recipe: Recipe
) -> None:
    diverging = tiny_recipe(
        schedule__epochs=2, optim__name="sgd", optim__base_learning_rate=1e30, precision="fp32"
    )
    ended = simclr_orch("pretrain", "--storage", str(storage_folder), *diverging)
    assert ended.returncode == 1
    assert "LossNotFiniteError: loss is nan at step" in ended.stderr
    assert "learning rate" in ended.stderr
    assert "last good state:" in ended.stderr


def started_cells(storage: Path) -> int:
    return len(list(storage.glob("runs/*/spec.yaml")))


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda each: each.name
)
def test_a_stopped_driver_continues_by_the_same_command(
    number: signal.Signals,
    storage_folder: Path,
    simclr_orch: Run,
    start: Start,
    ablate: Ablate,
    records: Records,
    mlflow_runs: MlflowRuns,
    written: Written,
    wait_for: Wait,
) -> None:
    sweep = ablate("--max-concurrent", "1", schedule__epochs=6)
    driver = start(*sweep)
    wait_for(lambda: len(written(storage_folder)) >= 2)
    driver.send_signal(number)
    _, said = driver.communicate(timeout=300)
    if number is signal.SIGKILL:
        assert driver.returncode == -signal.SIGKILL
    else:
        assert driver.returncode == 1
        assert "continue with: simclr-orch ablate temperature" in said
        (parent,), children = mlflow_runs(storage_folder, "temperature")
        assert parent.info.status == "KILLED"
        assert not [each for each in children if each.info.status == "RUNNING"]
    before = {name: record["ended"] for name, record in records(storage_folder).items()}
    assert 2 <= len(before) < 7
    continued = simclr_orch(*sweep)
    assert continued.returncode == 0, continued.stderr
    after = records(storage_folder)
    assert len(after) == 7
    assert {name: after[name]["ended"] for name in before} == before
    (parent,), children = mlflow_runs(storage_folder, "temperature")
    assert parent.info.status == "FINISHED"
    assert sorted(each.data.tags["simclr_orch.fingerprint"] for each in children) == sorted(after)
    assert {each.info.status for each in children} == {"FINISHED"}


@pytest.mark.slow
def test_a_lost_trial_process_is_replaced(
    storage_folder: Path,
    start: Start,
    ablate: Ablate,
    records: Records,
    kill_one: Kill,
    wait_for: Wait,
) -> None:
    # two threads of one cell wait for each other on a busy machine
    one_thread = ("--max-concurrent", "1", "--cpus-per-worker", "1")
    driver = start(*ablate(*one_thread, schedule__epochs=12))
    wait_for(lambda: started_cells(storage_folder) >= 2)
    kill_one(driver.pid, "ImplicitFunc")
    _, said = driver.communicate(timeout=500)
    assert driver.returncode == 0, said
    assert len(records(storage_folder)) == 7


@pytest.mark.slow
def test_two_workers_give_the_result_of_one_and_survive_a_loss(
    storage_folder: Path,
    tmp_path: Path,
    simclr_orch: Run,
    start: Start,
    tiny_recipe: Recipe,
    records: Records,
    kill_one: Kill,
    wait_for: Wait,
) -> None:
    epochs = 30
    pretrain = ["pretrain", *tiny_recipe(schedule__epochs=epochs, precision="fp32")]
    pretrain += ["--cpus-per-worker", "1"]
    driver = start(*pretrain, "--workers", "2", "--storage", str(storage_folder))
    wait_for(lambda: started_cells(storage_folder), 240)
    kill_one(driver.pid, "RayTrainWorker")
    _, said = driver.communicate(timeout=400)
    assert driver.returncode == 0, said
    (two,) = records(storage_folder).values()
    assert two["machine"]["workers"] == 2
    assert [epoch["epoch"] for epoch in two["history"]] == list(range(1, epochs + 1))

    alone = tmp_path / "alone"
    ended = simclr_orch(*pretrain, "--storage", str(alone))
    assert ended.returncode == 0, ended.stderr
    (one,) = records(alone).values()
    # the number of workers does not change the result
    assert one["fingerprint"] == two["fingerprint"]
    for ours, theirs in zip(two["history"][:3], one["history"][:3], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=2e-3)
