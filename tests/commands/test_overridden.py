"""Seconds: a value of `--set` that no run would have is refused before anything starts."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.commands.dry_run import dry_run
from orchestrator.commands.request import Request
from orchestrator.errors import PlanError
from orchestrator.plan.over import Over


def asked(storage: Path, *ablations: str, values: tuple[str, ...], over: Over | None = None) -> int:
    request = Request(
        ablations=ablations,
        over=over,
        preset="digits",
        assignments=values,
        flags={"storage": str(storage / "results")},
    )
    return dry_run(request, Console(file=StringIO())).exit_code


def test_a_value_that_every_cell_overrides_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as refused:
        asked(tmp_path, "temperature", values=("loss.temperature=0.3",))
    (problem,) = refused.value.problems
    assert problem.startswith("--set loss.temperature=0.3: every cell of temperature sets")
    assert "(0.05, 0.1, 0.5, 1.0, ...)" in problem
    over = Over(("loss.temperature=0.1,0.2",))
    with pytest.raises(PlanError, match="so that no run would have this value"):
        asked(tmp_path, values=("loss.temperature=0.3",), over=over)


@pytest.mark.parametrize(
    ("ablations", "value"),
    [
        (("temperature", "head"), "loss.temperature=0.3"),  # a cell of the other has it
        (("batch-size",), "schedule.batch_size=64"),  # which cells multiply
        (("few-augmentations",), "loss.temperature=0.3"),
        (("few-augmentations",), "augment.branches=one"),  # as the cells have it
    ],
)
def test_a_value_that_a_run_has_is_not(
    ablations: tuple[str, ...], value: str, tmp_path: Path
) -> None:
    assert asked(tmp_path, *ablations, values=(value,)) == 0
