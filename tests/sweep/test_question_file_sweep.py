"""Half a minute, real Ray and MLflow: a question in a file shares its runs with a built-in one."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_spaces import ABLATIONS
from search_spaces.trees.question import ablation_of

pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_printed_question_finds_all_done_and_an_own_one_is_found_without_its_file(
    simclr_orch: Run,
    document: Callable[..., dict[str, Any]],
    tiny_recipe: Callable[..., list[str]],
    mlflow_runs: Callable[[Path, str], tuple[list[Any], list[Any]]],
    written: Callable[[Path], dict[str, int]],
    storage_folder: Path,
    tmp_path: Path,
) -> None:
    recipe = tiny_recipe(schedule__epochs=1)
    here = ["--storage", str(storage_folder)]
    printed = tmp_path / "printed.yaml"
    printed.write_text(simclr_orch("spaces", "head-norm", "--yaml").stdout)

    first = document("ablate", "head-norm", *recipe, *here)
    runs = written(storage_folder)
    assert len(runs) == 5, "four cells and an untrained encoder"
    again = document("ablate", str(printed), *recipe, "--dry-run", *here)
    assert again["sweep"] == first["plan"]["sweep"]
    assert set(again["finished"]) == runs.keys()

    own = tmp_path / "own-norm.yaml"
    own.write_text(printed.read_text().replace("name: head-norm", "name: own-norm"))
    asked = document("ablate", str(own), *recipe, *here)
    assert written(storage_folder) == runs, "nothing was run again"
    assert asked["plan"]["sweep"] != first["plan"]["sweep"]
    assert [cell["values"] for cell in asked["cells"]] == [
        cell["values"] for cell in first["cells"]
    ]

    own.unlink()
    found = document("report", "own-norm", *here)
    assert found["cells"] == asked["cells"]
    kept = json.loads(
        (storage_folder / f"sweeps/own-norm/{found['plan']['sweep']}/plan.json").read_text()
    )
    assert ablation_of(kept["question"]).small == ABLATIONS["head-norm"].small
    sweeps, cells = mlflow_runs(storage_folder, "own-norm")
    assert (len(sweeps), len(cells)) == (1, 5)
