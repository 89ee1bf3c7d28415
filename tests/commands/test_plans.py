"""Seconds, several processes, then real Ray: a plan that is run elsewhere is as if run here."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import entities
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder
from workloads.__main__ import main
from workloads.runs import machine_use
from workloads.runs.plan_file import PlanFile, read_plan_file

Recipe = Callable[..., list[str]]
Records = Callable[[Path], dict[str, dict[str, Any]]]
Document = Callable[..., dict[str, Any]]
MlflowRuns = Callable[[Path, str], tuple[list[entities.Run], list[entities.Run]]]
RUN = ("--device", "cpu", "--at-once", "1", "--threads", "1")
TWO_LAYER = {"data.dimension": 60, "data.unlabeled": 20, "data.test": 100, "data.labels": 8}


def simclr_orch(*words: str, code: int = 0) -> str:
    """Run the command in this process; returns all that it said."""
    ended = CliRunner().invoke(app, list(words))
    assert ended.exit_code == code, ended.output
    return ended.output


def printed(*words: str) -> dict[str, Any]:
    """Run the command in this process; returns the document that it printed."""
    ended = CliRunner().invoke(app, [*words, "--json"])
    assert ended.exit_code == 0, ended.output
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Recipe) -> list[str]:
    """The words of a sweep of five runs."""
    return ["head-norm", *tiny_recipe(schedule__epochs=2)]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, recipe: list[str]) -> Path:
    """What a machine with torch alone has left of the sweep; tests copy it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    storage = ("--storage", str(folder / "empty"))
    said = simclr_orch("plan", *recipe, "-o", str(folder / "plan.json"), *storage)
    assert "plan.json: 5 runs" in said
    output = folder / "runs"
    assert main(["run", str(folder / "plan.json"), "--output", str(output), *RUN]) == 0
    return output


@pytest.fixture
def ran(elsewhere: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(elsewhere, tmp_path / "ran"))


def plan_in(folder: Path) -> PlanFile:
    (file,) = (folder / "plans").iterdir()
    return read_plan_file(file)


def test_a_plan_has_all_that_its_runs_need(elsewhere: Path) -> None:
    plan = plan_in(elsewhere)
    assert [cell.number for cell in plan.cells] == [1, 2, 3, 4, 5]
    assert [cell.role for cell in plan.cells] == ["reference", *["cell"] * 4]
    assert {cell.seed for cell in plan.cells} == {0}
    assert plan.versions.keys() >= {"torch", "ray", "mlflow"}
    assert plan.command.startswith("simclr-orch ablate head-norm --preset shapes")
    (sweep,) = plan.sweeps
    assert sweep["data"]["content"]
    assert plan.specs(plan.cells).keys() == {cell["fingerprint"] for cell in sweep["cells"]}


def test_what_was_run_elsewhere_is_found_by_every_command(
    ran: Path, storage_folder: Path, recipe: list[str], records: Records, mlflow_runs: MlflowRuns
) -> None:
    storage = ("--storage", str(storage_folder))
    said = simclr_orch("import", str(ran), *storage)
    assert "5 runs taken, 0 there before" in said
    kept = records(storage_folder)
    assert len(kept) == 5
    for name, record in kept.items():
        there = json.loads((ran / "runs" / name / "run.json").read_text())
        assert record["results"] == there["results"]
        assert record["history"] == there["history"]
        run = RunFolder(Storage(str(storage_folder)), name)
        assert run.predictions()
        assert run.checkpoint() is not None
        assert record["log"] == run.log_address

    sweeps, cells = mlflow_runs(storage_folder, "head-norm")
    assert [sweep.info.status for sweep in sweeps] == ["FINISHED"]
    assert {cell.data.tags["simclr_orch.fingerprint"] for cell in cells} == kept.keys()
    for cell in cells:
        results = kept[cell.data.tags["simclr_orch.fingerprint"]]["results"]
        assert cell.data.metrics["linear_top1_percent"] == pytest.approx(results["linear_top1"])

    # `ablate` has nothing to run, which it would do with Ray
    assert "0 runs" in simclr_orch("plan", *recipe, "-o", str(ran / "left.json"), *storage)
    report = printed("report", "head-norm", *storage)
    assert [cell["n"] for cell in report["cells"]] == [1, 1, 1, 1]
    dry = printed("ablate", *recipe, "--dry-run", *storage)
    assert set(dry["finished"]) == kept.keys()


def test_twice_is_once(
    ran: Path, storage_folder: Path, records: Records, mlflow_runs: MlflowRuns
) -> None:
    storage = ("--storage", str(storage_folder))
    simclr_orch("import", str(ran), *storage)
    before = records(storage_folder), len(mlflow_runs(storage_folder, "head-norm")[1])
    assert "0 runs taken, 5 there before" in simclr_orch("import", str(ran), *storage)
    assert (records(storage_folder), len(mlflow_runs(storage_folder, "head-norm")[1])) == before


def test_what_is_foreign_damaged_or_half_is_refused_by_name_and_the_rest_is_taken(
    ran: Path, storage_folder: Path, records: Records
) -> None:
    names = [cell.fingerprint for cell in plan_in(ran).cells]
    cut, undefined, half, other, sound = (ran / "runs" / name for name in names)
    (cut / "run.json").write_bytes((cut / "run.json").read_bytes()[:300])
    _edit(undefined, lambda tree: tree["results"].update(linear_top1=float("nan")))
    (half / "predictions.npz").unlink()
    _edit(other, lambda tree: tree["spec"]["loss"].update(temperature=0.123))
    shutil.copytree(sound, ran / "runs" / "0123456789abcdef0123")
    (ran / "plans" / "cut.json").write_text('{"format"')

    said = simclr_orch("import", str(ran), "--storage", str(storage_folder), code=1)
    for line in (
        f"refused runs/{cut.name} (untrained · seed 0): run.json is cut off or empty",
        f"refused runs/{undefined.name}",
        "linear_top1 is nan",
        f"refused runs/{half.name}",
        "predictions.npz is missing",
        f"refused runs/{other.name}",
        "its specification has the fingerprint",
        "refused runs/0123456789abcdef0123: is a run of no plan that lies here",
        "refused plans/cut.json",
        "1 run taken, 0 there before, 6 refused",
    ):
        assert line in said
    assert list(records(storage_folder)) == [sound.name]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: tree.pop("machine"), "on which machine and versions it ran"),
        (lambda tree: tree.pop("ended"), "does not say when it ended"),
        (lambda tree: tree.update(workload="two-layer-cnn"), "is a run of two-layer-cnn"),
        (lambda tree: tree["history"].pop(), "its curves end at epoch 1 of 2"),
        (lambda tree: tree.update(status="running"), "has the status 'running'"),
        (lambda tree: tree.update(fingerprint="ab"), "is the record of another run, ab"),
        (lambda tree: tree["spec"].update(more=1), "its specification is of another version"),
        (lambda tree: tree.update(status="stopped"), "which no run of a plan has"),
        (lambda tree: tree["intervals"].update(knn_top1=3), "intervals.knn_top1: Input should be"),
        (lambda tree: tree.update(results={}), "its record has no linear_top1, knn_top1"),
        (lambda tree: tree["results"].pop("linear_top1"), "its record has no linear_top1"),
        (lambda tree: tree["results"].update(knn_top1=101), "knn_top1 is 101 %, which does not"),
    ],
)
def test_a_record_that_lacks_something_is_refused(
    ran: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    from orchestrator.storage.foreign_runs import read_foreign_run

    plan = plan_in(ran)
    cell = plan.cells[-1]
    assert read_foreign_run(ran, cell, plan.of_workload) is not None
    _edit(ran / "runs" / cell.fingerprint, change)
    with pytest.raises(ValueError, match=said):
        read_foreign_run(ran, cell, plan.of_workload)


def test_a_run_that_has_not_ended_is_waited_for(ran: Path, storage_folder: Path) -> None:
    storage = ("--storage", str(storage_folder))
    cell = plan_in(ran).cells[-1]
    record = ran / "runs" / cell.fingerprint / "run.json"
    record.rename(ran / "later.json")
    said = simclr_orch("import", str(ran), *storage)
    assert "4 runs taken, 0 there before, 1 not ended" in said
    assert "4 of 5 runs are there" in said
    assert "claim" not in said  # half of a sweep is not looked at
    (ran / "later.json").rename(record)
    said = simclr_orch("import", str(ran), *storage)
    assert "1 run taken, 4 there before" in said
    assert "report.md" in said


def test_a_run_that_diverged_has_ended_and_the_others_are_reported(
    ran: Path, storage_folder: Path
) -> None:
    cell = next(cell for cell in plan_in(ran).cells if cell.role == "cell")
    path = ran / "runs" / cell.fingerprint / "run.json"
    record = json.loads(path.read_text())
    record |= {"status": "failed", "diverged": True, "error": "nan", "results": {}}
    path.write_text(json.dumps(record))
    said = simclr_orch("import", str(ran), "--storage", str(storage_folder))
    assert "report.md" in said


def test_other_results_of_the_same_run_stay_outside(
    ran: Path, storage_folder: Path, records: Records
) -> None:
    storage = ("--storage", str(storage_folder))
    simclr_orch("import", str(ran), *storage)
    before = records(storage_folder)
    name = plan_in(ran).cells[-1].fingerprint
    _edit(ran / "runs" / name, lambda tree: tree["results"].update(linear_top1=99.9))
    said = simclr_orch("import", str(ran), *storage, code=1)
    assert "the storage has the run with other results, which stay" in said
    assert records(storage_folder) == before


def test_a_sweep_of_two_plans_is_reported_once(ran: Path, storage_folder: Path) -> None:
    plan = plan_in(ran)
    part = plan.tree() | {"cells": [cell.tree() for cell in plan.cells[:2]]}
    later = PlanFile.read(part | {"written": "2999-01-01T00:00:00+00:00"})
    later.write(ran / "plans" / "later.json")
    said = simclr_orch("import", str(ran), "--storage", str(storage_folder))
    assert "5 runs taken" in said
    assert said.count("report: ") == 1


def test_a_folder_without_runs_is_refused(tmp_path: Path, storage_folder: Path) -> None:
    said = simclr_orch("import", str(tmp_path), "--storage", str(storage_folder), code=2)
    assert f"{tmp_path}: has no plan of its runs" in said


def test_a_plan_of_tuned_cells_has_candidates_first(
    tmp_path: Path, tiny_recipe: Recipe, storage_folder: Path
) -> None:
    words = ("plan", "optimizer", *tiny_recipe(schedule__epochs=1))
    said = simclr_orch(*words, "-o", str(tmp_path / "plan.json"), "--storage", str(storage_folder))
    assert "tuned cells wait for their candidates" in said
    plan = read_plan_file(tmp_path / "plan.json")
    assert {cell.role for cell in plan.cells} >= {"candidate", "reference"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing",), "nothing: no such ablation"),
        (("head-norm", "--seeds", "0"), "--seeds 0: must lie between"),
        (("head-norm", "--until-decided"), "--until-decided and --max-seeds: belong together"),
        (("head-norm", "--set", "loss.temperatur=1"), "loss.temperatur: no such field"),
        (("--seeds", "3"), "--seeds: needs an ablation"),
        (("--tune", "once", "--vary", "split"), "--tune, --vary: needs an ablation"),
        (
            ("--until-decided", "--max-seeds", "5"),
            "--until-decided, --max-seeds: needs an ablation",
        ),
    ],
)
def test_a_wrong_plan_is_refused(
    tmp_path: Path, storage_folder: Path, words: tuple[str, ...], said: str
) -> None:
    options = ("-o", str(tmp_path / "plan.json"), "--storage", str(storage_folder))
    assert said in simclr_orch("plan", *words, *options, code=2)
    assert not (tmp_path / "plan.json").exists()


@pytest.mark.slow
def test_a_sweep_by_ray_has_the_same_results(
    elsewhere: Path, recipe: list[str], storage_folder: Path, tmp_path: Path, document: Document
) -> None:
    """Bit for bit, with the intervals, the curves and what was said of each test image."""
    # small runs that share a process are rounded alike where the same ones share it
    here = ("--storage", str(storage_folder), "--cpus-per-worker", "1", "--max-concurrent", "1")
    document("ablate", *recipe, *here)
    compare(elsewhere, storage_folder)

    fields = [word for name, value in TWO_LAYER.items() for word in ("--set", f"{name}={value}")]
    words, other = ("augmentation-quality", *fields), tmp_path / "two-layer"
    plan = tmp_path / "two-layer.json"
    simclr_orch("plan", *words, "-o", str(plan), "--storage", str(tmp_path / "empty"))
    assert main(["run", str(plan), "--output", str(other), *RUN]) == 0
    document("ablate", *words, *here)
    compare(other, storage_folder)


def compare(elsewhere: Path, storage: Path) -> None:
    timed = {"seconds", "images_per_second", *machine_use.NAMES}
    cells = plan_in(elsewhere).cells
    assert cells
    for cell in cells:
        folders = [RunFolder(Storage(str(root)), cell.fingerprint) for root in (elsewhere, storage)]
        ours, theirs = (folder.record() for folder in folders)
        assert ours is not None
        assert theirs is not None
        assert ours.results == theirs.results
        assert ours.intervals == theirs.intervals
        assert curves(ours, timed) == curves(theirs, timed)
        assert ours.spec == theirs.spec
        assert ours.tree().keys() == theirs.tree().keys()
        assert ours.data_read == theirs.data_read
        read = [folder.storage.read_bytes(folder.name_of("predictions.npz")) for folder in folders]
        assert read[0] == read[1]


def curves(record: RunRecord, timed: set[str]) -> list[dict[str, float]]:
    return [{name: each[name] for name in each.keys() - timed} for each in record.history]


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tree = json.loads((folder / "run.json").read_text())
    change(tree)
    (folder / "run.json").write_text(json.dumps(tree))
