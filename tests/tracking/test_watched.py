"""A command that ends with whoever started it, with real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.tracking import watched

# Starts what it is given, as the dashboard starts MLflow's server, and waits for ever.
STARTER = """
import signal, subprocess, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup, around the tests, has ignored
process = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
print(process.pid, flush=True)
time.sleep(3600)
"""
# Has a child, says both numbers, and takes no notice of being asked to end where told so.
COMMAND = """
import os, signal, subprocess, sys, time
from pathlib import Path
if sys.argv[2] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
numbers = Path(sys.argv[1] + ".partial")
numbers.write_text(f"{os.getpid()} {child.pid}")
numbers.rename(sys.argv[1])
time.sleep(3600)
"""


def runs(number: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(number, 0)
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    return False


def started(script: str, *words: str) -> list[str]:
    return [sys.executable, "-P", watched.__file__, sys.executable, "-c", script, *words]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_nothing_outlives_a_starter_that_is_killed(
    number: signal.Signals, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    said = tmp_path / "numbers"
    words = [sys.executable, "-c", STARTER, *started(COMMAND, str(said), "obedient")]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        guard = int(starter.stdout.readline())
        wait_for(said.exists)
        below = [guard, *map(int, said.read_text().split())]
        assert all(map(runs, below))
        starter.send_signal(number)
    wait_for(lambda: not any(map(runs, below)))


def test_what_takes_no_notice_is_ended_for_good_after_a_while(
    tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    said = tmp_path / "numbers"
    words = started(COMMAND, str(said), "stubborn")
    guard = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)
    wait_for(said.exists)
    below = [*map(int, said.read_text().split())]
    assert guard.stdin is not None
    guard.stdin.close()
    assert guard.wait(120) == -signal.SIGKILL
    wait_for(lambda: not any(map(runs, below)))


def test_a_command_that_ends_is_told_by_its_exit_code() -> None:
    words = started("raise SystemExit(3)")
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as guard:
        assert guard.wait(120) == 3
