"""A sweep whose own part has another source than when it began is refused, before it starts."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.check import check, local_shape
from orchestrator.commands.next_round import next_round
from orchestrator.commands.plan_tree import plan_tree
from orchestrator.commands.request import Request
from orchestrator.errors import PlanError
from orchestrator.storage.sweeps import keep_plan, kept_plan

LOSS = """
from torch import Tensor

def spread(z0: Tensor, z1: Tensor) -> Tensor:
    return (z0 - z1).square().mean()
"""


@pytest.mark.parametrize("name", ["a_loss_of_this_test:spread", "nt-xent"])
def test_changed_source_is_told_and_nothing_is_mixed(
    name: str,
    tiny: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "a_loss_of_this_test.py").write_text(LOSS)
    fields = tiny(schedule__epochs=1) | {"loss.name": name}
    flags = {"storage": str(tmp_path / "storage"), "address": None, "tracking_uri": None}
    assignments = tuple(f"{field}={value}" for field, value in fields.items())
    request = Request(("head-norm",), preset="shapes", assignments=assignments, flags=flags)
    checked = check(request)
    (plan,) = checked.plans
    keep_plan(checked.storage, plan, plan_tree(checked, plan, "simclr-orch ablate ..."))
    assert next_round(checked, local_shape()).left

    kept = kept_plan(checked.storage, plan)
    assert kept is not None
    trained = next(cell for cell in kept["cells"] if cell["role"] == "cell")
    trained["fingerprint"] = "0" * 20  # as of other code
    keep_plan(checked.storage, plan, kept)
    if name == "nt-xent":  # of ours: a new version may ask for other runs
        assert next_round(checked, local_shape()).left
        return
    with pytest.raises(PlanError) as caught:
        next_round(checked, local_shape())
    (problem,) = caught.value.problems
    assert problem.startswith("head-norm: loss.code: the source is now ")
    assert "--storage" in problem
