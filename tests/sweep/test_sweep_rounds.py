"""Real local Ray and the real command: several ablations as one plan, tuned cells, seeds until
decided, and a search.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run

from orchestrator.storage import Storage

Document = Callable[..., dict[str, Any]]
Recipe = Callable[..., list[str]]
Records = Callable[[Path], dict[str, dict[str, Any]]]
Written = Callable[[Path], dict[str, int]]
Cells = Callable[[str], dict[str, Run]]

PATIENT = 1500  # seconds for a search on a machine that is busy otherwise


@pytest.fixture
def cells_of(
    mlflow_runs: Callable[[Path, str], tuple[list[Run], list[Run]]], storage_folder: Path
) -> Cells:
    """Runs of cells in MLflow, by fingerprint."""

    def read(experiment: str) -> dict[str, Run]:
        _, cells = mlflow_runs(storage_folder, experiment)
        return {each.data.tags["simclr_orch.fingerprint"]: each for each in cells}

    return read


def test_two_ablations_share_runs_tune_on_validation_and_add_seeds(
    storage_folder: Path,
    document: Document,
    tiny_recipe: Recipe,
    records: Records,
    written: Written,
    cells_of: Cells,
) -> None:
    words = [
        "ablate",
        "optimizer",
        "flip-and-blur",
        "--seeds",
        "2",
        "--until-decided",
        "--max-seeds",
        "3",
        *tiny_recipe(schedule__epochs=2),
        "--storage",
        str(storage_folder),
    ]
    first = document(*words)
    assert list(first["ablations"]) == ["optimizer", "flip-and-blur"]
    assert (first["failed"], first["missing"]) == ([], [])

    # Tuned cells took, for each seed, the candidate that validation preferred, of those that a seed
    # and a split of their own were spent on.
    plan = Storage(str(storage_folder)).read_json(
        f"sweeps/optimizer/{first['ablations']['optimizer']['plan']['sweep']}/plan.json"
    )
    assert plan is not None
    kept = records(storage_folder)
    for tuned in first["ablations"]["optimizer"]["tuned"]:
        candidates = [
            kept[cell["fingerprint"]]
            for cell in plan["cells"]
            if cell["role"] == "candidate"
            and cell["at"] == tuned["at"]
            and cell["seed"] == 1000 + tuned["seed"]
        ]
        assert len(candidates) == tuned["candidates"] == 4
        splits = {record["spec"]["data"]["split_seed"] for record in candidates}
        assert splits == {tuned["seed"]}
        scores = [record["results"].get("linear_validation_top1", 0.0) for record in candidates]
        assert tuned["validation"] == max(scores)
        best = candidates[scores.index(max(scores))]["spec"]["optim"]
        (cell,) = (
            cell
            for cell in plan["cells"]
            if (cell["at"], cell["seed"], cell["role"]) == (tuned["at"], tuned["seed"], "cell")
        )
        assert kept[cell["fingerprint"]]["spec"]["optim"] == best
    assert [each["seed"] for each in first["ablations"]["optimizer"]["tuned"]] == [0, 1] * 3
    assert all(cell["n"] == 2 for cell in first["ablations"]["optimizer"]["cells"])

    # Claims that two seeds leave open have a third; a verdict names its comparisons, level and
    # looks.
    flips = first["ablations"]["flip-and-blur"]
    for verdict in flips["verdicts"]:
        assert verdict["looks"] == [2, 3]
        for comparison in verdict["comparisons"]:
            assert comparison["seeds"] == (
                [0, 1, 2] if comparison["verdict"] == "undecided" else comparison["seeds"]
            )
    assert {cell["n"] for cell in flips["cells"]} <= {2, 3}

    # The untrained encoder is one run that both sweeps have in MLflow.
    shared = cells_of("optimizer").keys() & cells_of("flip-and-blur").keys()
    assert len(shared) == 2
    for name in ("optimizer", "flip-and-blur"):
        assert {each.info.status for each in cells_of(name).values()} == {"FINISHED"}

    # Again: nothing is run, everything is said.
    before = written(storage_folder)
    again = document(*words)
    assert written(storage_folder) == before
    assert again["ablations"]["flip-and-blur"]["verdicts"] == flips["verdicts"]

    # Verdicts on everything that the storage has, without a word on a name.
    found = document("verdicts", "--storage", str(storage_folder))["verdicts"]
    assert [each["verdict"] for each in found["flip-and-blur"]["claims"]] == [
        each["verdict"] for each in flips["verdicts"]
    ]


@pytest.mark.slow
@pytest.mark.timeout(4 * PATIENT)
def test_a_search_that_was_killed_decides_as_one_that_was_not(
    tmp_path: Path,
    storage_folder: Path,
    document: Document,
    start: Callable[..., "subprocess.Popen[str]"],
    tiny_recipe: Recipe,
    records: Records,
    written: Written,
    cells_of: Cells,
    kill_one: Callable[[int, str], None],
    wait_for: Callable[..., None],
) -> None:
    words = [
        "tune",
        "--samples",
        "9",
        "--generation",
        "8",
        "--search",
        "loss.temperature=0.1,0.5,1",
        "--search",
        "optim.base_learning_rate=1e-4..1",
        *tiny_recipe(schedule__epochs=2),
    ]
    found = document(*words, "--storage", str(storage_folder), timeout=PATIENT)
    settings = found["settings"]
    assert len(settings) == 9
    assert {each["status"] for each in settings} == {"finished", "stopped"}
    kept = records(storage_folder)
    for each in settings:
        record = kept[each["fingerprint"]]
        assert record["status"] == each["status"]
        assert record["history"][-1]["epoch"] == each["epochs"]
        assert (each["epochs"] == 2) == (each["status"] == "finished")
        if each["status"] == "stopped":
            assert record["results"] == {"validation_score": each["validation_score"]}
    order = [(each["epochs"], each["validation_score"]) for each in settings]
    assert order == sorted(order, reverse=True)
    assert found["best"]["fingerprint"] == settings[0]["fingerprint"]
    assert 0 <= found["best"]["results"]["linear_top1"] <= 100
    status = {each["fingerprint"]: each["status"] for each in settings}
    assert {name: each.info.status for name, each in cells_of("tune").items()} == {
        name: "FINISHED" if ended == "finished" else "KILLED" for name, ended in status.items()
    }

    # Again: nothing is run.
    before = written(storage_folder)
    assert (
        document(*words, "--storage", str(storage_folder), timeout=PATIENT)["settings"] == settings
    )
    assert written(storage_folder) == before

    # A worker dies, and later the driver, before half of it is known.
    other = tmp_path / "other"
    process = start(*words, "--storage", str(other))
    kill_one(process.pid, "ImplicitFunc")
    wait_for(lambda: len(written(other)) > 2, PATIENT)
    process.kill()
    process.wait()
    assert len(written(other)) < 9
    again = document(*words, "--storage", str(other), timeout=PATIENT)
    for part in ("settings", "decisions", "importance"):
        assert again[part] == found[part]
    assert again["best"] == found["best"]

    # The report is made from the storage alone.
    assert document("report", "tune", "--storage", str(other))["settings"] == settings


@pytest.mark.parametrize(
    "words", [["ablate", "all", "--preset", "shapes"], ["ablate", "head", "small-batches"]]
)
def test_one_plan_for_many_questions_says_what_it_saves(
    storage_folder: Path, document: Document, words: list[str]
) -> None:
    plan = document(*words, "--dry-run", "--storage", str(storage_folder))
    cells = [cell["fingerprint"] for sweep in plan["sweeps"].values() for cell in sweep["cells"]]
    assert plan["shared"] == len(cells) - len(set(cells)) > 0
    assert len(plan["estimate"]["cell_seconds"]) == len(set(cells))
