"""Milliseconds: a process that is asked to end notes it, wherever it happens to be."""

import os
import signal
from collections.abc import Iterator

import pytest

from orchestrator.ending import ASKING, noted_endings


class Finalized:
    """Is asked to end while it is finalized, where an exception would be printed and dropped."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self._number)
        for _ in range(1000):  # the handler runs between two of these
            pass


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Whatever others have set of handlers stays."""
    before = {number: signal.getsignal(number) for number in ASKING}
    for number in ASKING:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ASKING)
def test_a_request_that_comes_in_a_finalizer_is_noted(number: signal.Signals) -> None:
    with noted_endings() as ending:
        assert not ending.wait(0)
        Finalized(number)
        assert ending.wait(60)
        assert ending.wait(60), "it stays so"
    assert signal.getsignal(number) is signal.SIG_DFL


def test_who_asks_twice_does_not_wait() -> None:
    with noted_endings():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_what_a_shell_has_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with noted_endings() as ending:
        signal.raise_signal(signal.SIGHUP)
        assert not ending.wait(0)
        signal.raise_signal(signal.SIGTERM)
        assert ending.wait(60)
