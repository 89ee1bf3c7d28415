"""Milliseconds a case: what a shell is told when Tab is pressed, and what that imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "ray", "mlflow", "sklearn", "scipy", "pandas", "matplotlib")
CODE = (
    "import atexit, sys\n"
    f"heavy = {HEAVY!r}\n"
    "atexit.register(lambda: print('heavy:', *({*heavy} & {*sys.modules}), file=sys.stderr))\n"
    "sys.argv = ['simclr-orch']\n"
    "from orchestrator.cli import main\n"
    "main()\n"
)


def completed(words: str, folder: Path, *, shell: str = "bash") -> tuple[list[str], str]:
    """What Typer's protocol for a shell offers after these words, and what was imported."""
    asked = f"simclr-orch {words}"
    environment = {
        **os.environ,
        "_SIMCLR_ORCH_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": asked,
        "COMP_CWORD": str(len(asked.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": asked,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    ended = subprocess.run(
        [sys.executable, "-c", CODE],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.stdout.split(), ended.stderr.partition("heavy:")[2].strip()


@pytest.mark.parametrize(
    ("words", "offered", "not_offered"),
    [
        ("ablate temp", {"temperature"}, {"head"}),
        ("ablate temperature --preset dig", {"digits", "digit-patches"}, {"shapes"}),
        ("presets cifar", {"cifar10", "cifar10-small"}, {"shapes"}),
        ("spaces color", {"color-strength"}, {"head"}),
        ("ablate head --set loss.te", {"loss.temperature="}, {"loss.name="}),
        ("report ", {"temperature", "tune"}, {"head"}),
        ("verdicts temp", {"temperature"}, {"tune"}),
        ("repo", {"report"}, {"runs"}),
    ],
)
def test_a_shell_completes_names_without_what_trains(
    words: str, offered: set[str], not_offered: set[str], tmp_path: Path
) -> None:
    for name in ("temperature", "tune"):
        (tmp_path / "simclr-orch-results" / "sweeps" / name).mkdir(parents=True)
    names, heavy = completed(words, tmp_path)
    assert offered <= set(names)
    assert not set(names) & not_offered
    assert heavy == ""


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_complete_the_same(shell: str, tmp_path: Path) -> None:
    names, _ = completed("ablate temp", tmp_path, shell=shell)
    assert any("temperature" in name for name in names)


def test_nothing_is_completed_where_there_is_no_storage(tmp_path: Path) -> None:
    assert completed("report ", tmp_path)[0] == []


def test_the_completion_can_be_shown_for_a_shell(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "_SIMCLR_ORCH_COMPLETE": "source_bash"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "_SIMCLR_ORCH_COMPLETE=complete_bash" in ended.stdout
