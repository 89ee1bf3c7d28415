"""Milliseconds: the commands that are suggested are complete, and can be typed as they stand."""

import os
import shlex
import stat
import sys
from pathlib import Path

import pytest

from orchestrator.commands.next_steps import after_sweep, next_lines, program, with_seeds
from orchestrator.storage import Storage


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIMCLR_ORCH_STORAGE", raising=False)


def test_the_usual_storage_is_not_named_and_another_one_is() -> None:
    usual = after_sweep("losses", Storage("simclr-orch-results"))
    assert not any("--storage" in step.command for step in usual)
    other = after_sweep("losses", Storage("my results"))
    assert all(shlex.split(step.command)[-2:] == ["--storage", "my results"] for step in other)
    far = after_sweep("losses", Storage("/somewhere/else"))
    assert all(step.command.endswith("--storage /somewhere/else") for step in far)


def test_the_report_of_a_part_is_asked_by_its_sweep() -> None:
    steps = after_sweep("losses", Storage("x"), part="0123456789ab")
    assert steps[0].command.startswith("simclr-orch report losses --sweep 0123456789ab --long")


def test_a_storage_of_the_environment_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_ORCH_STORAGE", "/somewhere/else")
    steps = after_sweep("losses", Storage("/somewhere/else"))
    assert not any("--storage" in step.command for step in steps)


def test_a_sweep_of_too_few_seeds_is_continued_with_more() -> None:
    command = "simclr-orch ablate losses --set 'data.root=a b' --seeds 1"
    steps = after_sweep("losses", Storage("x"), command=command, too_few_seeds=True)
    assert steps[0].command == "simclr-orch ablate losses --set 'data.root=a b' --seeds 3"
    assert len(steps) == 3
    assert with_seeds("simclr-orch ablate losses --seeds=2", 5).endswith("ablate losses --seeds 5")


def test_a_program_that_is_not_on_the_path_is_called_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / ".venv/bin/simclr-orch"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "argv", [str(script), "ablate"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == os.path.join(".venv", "bin", "simclr-orch")
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "simclr-orch"


def test_nothing_is_said_where_nothing_follows() -> None:
    assert next_lines([]) == []
