"""Milliseconds, no Ray: questions that are not built in are found again from the storage alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.commands.questions import ablations_named
from orchestrator.commands.report import report_again, report_on, verdicts_on
from orchestrator.errors import PlanError
from orchestrator.plan import build
from orchestrator.plan.kept import KeptPlan
from orchestrator.storage import Storage
from search_spaces import ABLATIONS, Ablation
from search_spaces.trees.question import ablation_of
from workloads.simclr.presets import preset
from workloads.spec import SpecError

OWN = ablation_of(
    {
        "name": "sharpness",
        "question": "Which temperature is best here?",
        "axes": {"loss.temperature": [0.1, 0.5]},
        "claims": [{"statement": "A low one.", "holds": "0.1 > 0.5"}],
    }
)
CHANGED = replace(OWN, question="Which temperature is best, after all?")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "storage"))


@pytest.fixture
def swept(storage: Storage, leave_sweep: Callable[..., KeptPlan]) -> Callable[[Ablation, int], str]:
    """Leaves a finished sweep of a question in the storage, as of that second; returns its id."""

    def leave(question: Ablation, second: int) -> str:
        return leave_sweep(storage, question, 2, lambda cell: 60.0 + cell.seed, second)["sweep"]

    return leave


def reported(name: str, storage: Storage, sweep: str | None = None) -> tuple[dict[str, Any], str]:
    said = StringIO()
    finished = report_on(name, storage, Console(file=said, width=300), sweep=sweep, output=None)
    return finished.document, said.getvalue()


def test_a_report_finds_a_question_that_is_not_built_in_by_its_name(
    storage: Storage, swept: Callable[[Ablation, int], str]
) -> None:
    swept(OWN, 1)
    document, said = reported("sharpness", storage)
    assert [cell["at"] for cell in document["cells"]] == [["0.1"], ["0.5"]]
    assert [verdict["claim"] for verdict in document["verdicts"]] == ["A low one."]
    assert OWN.question in said
    assert "has changed" not in said
    assert "sharpness (own question)\n" in said
    assert "the paper" not in said


def test_verdicts_are_on_own_questions_beside_the_built_in_ones(
    storage: Storage, swept: Callable[[Ablation, int], str]
) -> None:
    swept(OWN, 1)
    swept(ABLATIONS["flip-and-blur"], 2)
    finished = verdicts_on([], storage, Console(file=StringIO()))
    assert list(finished.document["verdicts"]) == ["flip-and-blur", "sharpness"]
    with pytest.raises(SpecError, match=r"^sharpnes: no such ablation; known are .*sharpness"):
        verdicts_on(["sharpnes"], storage, Console(file=StringIO()))


def test_a_file_named_without_its_ending_is_pointed_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("question: Is it?\n")
    with pytest.raises(SpecError, match=r"the question of the file is asked as \./mine\.yaml$"):
        ablations_named(["mine"])


def test_a_changed_question_is_another_sweep_and_the_newest_is_reported(
    storage: Storage, swept: Callable[[Ablation, int], str]
) -> None:
    first, second = swept(OWN, 1), swept(CHANGED, 2)
    assert first != second
    document, said = reported("sharpness", storage)
    assert document["plan"]["sweep"] == second
    assert CHANGED.question in said
    assert f"sharpness: the question has changed under its name; this is the newest, {second}" in (
        said
    )
    document, said = reported("sharpness", storage, first)
    assert OWN.question in said
    assert "has changed" not in said


def test_a_report_is_judged_again_without_the_file_of_its_question(
    storage: Storage, swept: Callable[[Ablation, int], str], tmp_path: Path
) -> None:
    swept(OWN, 1)
    document, _ = reported("sharpness", storage)
    file = tmp_path / "report.json"
    file.write_text(json.dumps(document))
    again = report_again(file, Console(file=StringIO()), output=None)
    assert again.document["verdicts"][0]["claim"] == "A low one."

    del document["plan"]["question"]
    file.write_text(json.dumps(document))
    with pytest.raises(PlanError, match="sharpness: no such ablation"):
        report_again(file, Console(file=StringIO()), output=None)


def test_a_built_in_question_keeps_its_sweep_and_leaves_no_tree() -> None:
    plan = build(ABLATIONS["temperature"], preset("shapes"))
    assert plan.question is None
    assert plan.sweep_id == build(replace(ABLATIONS["temperature"]), preset("shapes")).sweep_id
    changed = replace(ABLATIONS["temperature"], title="Another")
    assert build(changed, preset("shapes")).sweep_id != plan.sweep_id
