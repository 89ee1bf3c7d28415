"""A plan whose runs have a part of somebody's own: other code than was planned is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workloads.__main__ import main
from workloads.runs.plan_file import PlanFile
from workloads.simclr.own_parts import pinned_parts
from workloads.simclr.presets import preset

CODE = "def loss(z0, z1, *, times: float = 1.0):\n    return times * (z0 - z1).square().mean()\n"
MODULE = "loss_of_a_plan"


def test_changed_code_is_refused_by_name_and_nothing_is_begun(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plan_of: Callable[..., PlanFile],
    tiny: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / f"{MODULE}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    fields = tiny(schedule__epochs=1, schedule__warmup_epochs=0)
    spec = preset("shapes").with_values(fields | {"loss.name": f"{MODULE}:loss"})
    other = pinned_parts(spec).with_values({"loss.code": "0" * 20})
    plan_of(other).write(tmp_path / "plan.json")
    output = tmp_path / "out"
    words = ["--output", str(output), "--device", "cpu", "--threads", "1"]
    assert main(["run", str(tmp_path / "plan.json"), *words]) == 2
    said = capsys.readouterr()
    assert f"loss.name='{MODULE}:loss'" in said.err + said.out
    assert "was planned with 00000000000000000000" in said.err + said.out
    assert not list(output.glob("runs/*"))
