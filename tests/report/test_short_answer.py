"""Milliseconds: the few lines that say what a report found, from what `report.json` holds."""

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.report.brief import claim_lines, short_answer

REPORTS = sorted(
    (Path(__file__).parents[2] / "docs/results").glob("*/report.json"), key=lambda file: str(file)
)


def kept(repository: Path, name: str) -> Any:
    return json.loads((repository / "docs/results" / name / "report.json").read_bytes())


def test_the_answer_comes_first_then_claims_then_the_setting(repository: Path) -> None:
    document = kept(repository, "few-augmentations-textures")
    best, claims, *others = short_answer(document)
    assert best.startswith("highest: crop · color, 85.1 ± 8.5 %; untrained 28.6 ± 2.5 %")
    assert best.endswith("the paper's highest: this one, too")
    assert claims.startswith("claims: 4 of 5 reproduced, 1 undecided; rank correlation")
    judged = others[: len(document["verdicts"])]
    for line, verdict in zip(judged, document["verdicts"], strict=True):
        assert line.startswith(f"{verdict['verdict']}: {verdict['claim'].rstrip('.')}: ")
    data, setting, differs = others[len(judged) :]
    assert data.startswith("data: textures")
    assert "20 epochs, batch 128 (280 steps); 3 seeds a cell" in setting
    more = len(document["differences"]) - 4
    assert "(paper: resnet50); encoder.width 0.375 (paper: 1.0); " in differs
    assert differs.endswith(f"and {more} more fields, report.md has them")


@pytest.mark.parametrize("file", REPORTS, ids=lambda file: file.parent.name)
def test_reports_of_every_version_have_a_short_answer(file: Path) -> None:
    document = json.loads(file.read_bytes())
    lines = short_answer(document)
    assert all(lines)
    assert not any("\n" in line for line in lines)
    assert len(lines) <= len(document["verdicts"]) + 7


def test_few_seeds_show_a_direction_and_what_would_decide(repository: Path) -> None:
    document = kept(repository, "augmentations-cifar10")
    first, *_, last = claim_lines(document["verdicts"])
    assert first.startswith("undecided: No single transformation suffices")
    assert first.endswith(": 7 of 7 comparisons as in the paper")
    assert last == "2 seeds decide nothing: add --seeds 3"


def test_a_sweep_that_has_not_ended_says_what_lacks(repository: Path) -> None:
    document = kept(repository, "few-augmentations-textures")
    document["cells"][0] |= {"missing": 2, "failed": 1}
    runs = 3 * len(document["cells"]) + 3
    assert short_answer(document)[0] == f"so far: of {runs} runs 2 not run yet, 1 failed"
