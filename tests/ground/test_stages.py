"""Milliseconds, and one process: what is said while a command takes its time."""

import subprocess
import sys

import pytest

from orchestrator.commands.consoles import plain_console
from orchestrator.stages import over, stage, told


def test_each_stage_has_a_line_on_stderr_where_there_is_no_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with told("checking the request"):
        stage("planning")
        stage("planning")
        over()
        stage("starting Ray")
    stage("nobody asked")
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == ["checking the request", "planning", "starting Ray"]


def test_a_terminal_has_one_line_that_goes_with_the_first_word_of_the_answer(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with told("checking the request"):
        stage("planning")
        plain_console().print("an answer")
    out, err = capfd.readouterr()
    assert out == "an answer\n"
    wipe = "\r\x1b[2K"
    assert err == f"{wipe}checking the request ...{wipe}planning ...{wipe}"


def test_the_first_line_comes_before_heavy_imports() -> None:
    code = """
import sys
from orchestrator.cli import main

class Seen:
    def write(self, text):
        heavy = {"torch", "ray", "mlflow", "scipy", "pydantic"}
        print(repr(text), sorted(heavy & sys.modules.keys()))
        sys.stdout.flush()
        sys.stderr = sys.__stderr__
    def flush(self): pass
    def isatty(self): return False

sys.stderr = Seen()
sys.argv = ["simclr-orch", "ablate", "no-such-ablation"]
main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.stdout.splitlines()[0] == r"'checking the request\n' []"
    assert ended.returncode == 2
