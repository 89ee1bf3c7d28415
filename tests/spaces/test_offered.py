"""Ablations that other distributions offer: one that fails stops only those who ask for it."""

from pathlib import Path

import pytest

from orchestrator.commands.about import list_spaces
from orchestrator.commands.questions import ablations_named
from search_spaces import ABLATIONS, OfferedError, every_ablation
from workloads.spec import SpecError


@pytest.fixture
def _broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with three entry points: of a module that is not there, that fails, of 3."""
    (tmp_path / "that_fails_here.py").write_text("raise RuntimeError('no\\nluck')\n")
    (tmp_path / "has_a_number_here.py").write_text("THREE = 3\n")
    info = tmp_path / "my_questions-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-questions\nVersion: 1.5\n")
    points = {
        "absent": "is_not_here_at_all:X",
        "failing": "that_fails_here:X",
        "number": "has_a_number_here:THREE",
    }
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[simclr_orch.ablations]\n{lines}")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_broken")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("absent", "'is_not_here_at_all:X' of my-questions 1.5 cannot be imported: ModuleNotFound"),
        ("failing", "'that_fails_here:X' of my-questions 1.5 cannot be imported: RuntimeError: no"),
        ("number", "'has_a_number_here:THREE' of my-questions 1.5 is int, and not an Ablation"),
    ],
)
def test_an_entry_point_that_fails_is_one_line_with_its_distribution(name: str, why: str) -> None:
    with pytest.raises(SpecError) as caught:
        ablations_named([name])
    (problem,) = caught.value.problems
    assert problem.startswith(f"{name}: entry point {name!r} = {why}")
    assert "\n" not in problem


@pytest.mark.usefixtures("_broken")
def test_others_are_found_beside_an_entry_point_that_fails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ablations_named(["temperature"]) == (ABLATIONS["temperature"],)
    known = every_ablation()
    assert {"absent", "failing", "number"} == known.keys() - ABLATIONS.keys()
    with pytest.raises(OfferedError):
        known.get("absent")

    listed = [row["name"] for row in list_spaces(None)]
    assert listed == list(ABLATIONS)
    assert len(capsys.readouterr().err.splitlines()) == 3
