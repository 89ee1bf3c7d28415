"""Half a minute, several processes: a tiny campaign on a CPU, in two calls, and taken in."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.cli import app
from workloads.runs.plan_file import read_plan_file


@pytest.fixture(scope="module")
def campaign(repository: Path) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository / "benchmarks" / "campaign"))
        yield importlib.import_module("campaign")


@pytest.fixture
def parts(tmp_path: Path, tiny_recipe: Callable[..., list[str]]) -> Path:
    """Two settings, and an ablation of five runs."""
    tree: dict[str, Any] = {
        "seconds_an_epoch": 1,
        "seconds_beside": 2,
        "recipe": tiny_recipe(schedule__epochs=1),
        "chosen": [
            {"part": "norm", "set": "loss.temperature=0.3"},
            {"part": "tune-rate", "set": "optim.base_learning_rate=0.02"},
        ],
        "parts": [
            {
                "name": "tune-rate",
                "why": "first",
                "epochs": 1,
                "settings": [
                    {"seed": 1000, "optim.base_learning_rate": rate} for rate in (0.01, 0.02)
                ],
            },
            {"name": "norm", "why": "next", "epochs": 1, "words": ["head-norm"]},
            {
                "name": "longer",
                "why": "last",
                "epochs": 1,
                "settings": [{"optim.base_learning_rate": 0.01}, {"seed": 1}],
            },
        ],
    }
    file = tmp_path / "parts.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


def test_a_campaign_is_planned_run_in_calls_and_taken_in(
    tmp_path: Path, parts: Path, campaign: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*words: str) -> int:
        folder = ("--parts", str(parts), "--folder", str(tmp_path / "c"))
        code: int = campaign.main([*folder, *words])
        return code

    on_cpu = ("--device", "cpu", "--at-once", "1", "--threads", "1")
    assert call("run") == 2  # nothing is planned
    assert call("plan") == 0
    first, second, third = sorted((tmp_path / "c" / "plans").iterdir())
    plan = read_plan_file(first)
    assert [cell.spec["optim"]["base_learning_rate"] for cell in plan.cells] == [0.01, 0.02]
    assert [cell.seed for cell in plan.cells] == [1000, 1000]
    planned = [read_plan_file(file) for file in (first, second, third)]
    temperatures = [{cell.spec["loss"]["temperature"] for cell in one.cells} for one in planned]
    assert temperatures[2] == {0.3} != temperatures[1] == temperatures[0]
    rates = [[cell.spec["optim"]["base_learning_rate"] for cell in one.cells] for one in planned]
    assert rates[1:] == [[0.02] * 5, [0.01, 0.02]]

    assert call("run", "--minutes", "0.0001", *on_cpu) == 3
    assert call("run", *on_cpu) == 0
    capsys.readouterr()
    assert call("status") == 0
    said = capsys.readouterr().out
    assert "tune-rate: 2 of 2 runs" in said
    assert "% on validation  tune-rate: base_learning_rate 0.0" in said
    assert "norm: 5 of 5 runs" in said
    assert "left about 0 min" in said

    storage = str(tmp_path / "c" / "storage")
    words = ["import", str(tmp_path / "c" / "runs"), "--storage", storage]
    taken = CliRunner().invoke(app, words)
    assert taken.exit_code == 0, taken.output
    assert "9 runs taken" in taken.output
    assert "9 have no last state" in taken.output
    assert call("plan") == 0
    assert [len(read_plan_file(file).cells) for file in (first, second)] == [2, 0]
    capsys.readouterr()
    assert call("status") == 0
    assert "% on validation  tune-rate: base_learning_rate 0.0" in capsys.readouterr().out


def test_a_choice_of_no_part_is_refused(
    tmp_path: Path, parts: Path, campaign: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = yaml.safe_load(parts.read_text())
    for wrong in ("loss.temperature=0.3", {"part": "tune", "set": "loss.temperature=0.3"}):
        parts.write_text(yaml.safe_dump(tree | {"chosen": [wrong]}))
        folder = ("--parts", str(parts), "--folder", str(tmp_path / "c"))
        assert campaign.main([*folder, "plan"]) == 2
        said = capsys.readouterr().err
        assert "must be {part: PART, set: FIELD=VALUE}, with one of tune-rate, norm" in said


def test_the_parts_are_what_presets_and_ablations_know(repository: Path) -> None:
    from search_spaces import ABLATIONS
    from workloads.simclr.presets import preset

    tree = yaml.safe_load((repository / "benchmarks" / "campaign" / "parts.yaml").read_text())
    base = preset(tree["recipe"][1])
    names = [part["name"] for part in tree["parts"]]
    assert len(set(names)) == len(names)
    for part in tree["parts"]:
        for setting in part.get("settings", ()):
            base.with_values(setting)
        if "words" in part:
            assert part["words"][0] in ABLATIONS
