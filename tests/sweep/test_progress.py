"""Milliseconds: what a sweep says where there is no terminal."""

import io

import pytest
from rich.console import Console

from orchestrator.sweep import progress
from orchestrator.sweep.progress import SweepProgress

EPOCH = {"epoch": 46.0, "loss": 5.4571, "images_per_second": 16179.2}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that the progress sees."""
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def test_a_long_cell_says_once_a_minute_where_it_is(clock: Clock) -> None:
    written = io.StringIO()
    with SweepProgress(Console(file=written), "temperature", 2, 0) as shown:
        shown.started("aaaa", "yes, 0.1 · seed 0", 150)
        for seconds in (30, 61, 90, 122):
            clock.now = 1000.0 + seconds
            shown.epoch("aaaa", EPOCH | {"epoch": float(seconds)})
        shown.ended("aaaa", "yes, 0.1 · seed 0", "linear top1 75.6 in 122 s", failed=False)
        shown.epoch("aaaa", EPOCH)
    assert written.getvalue().splitlines() == [
        "yes, 0.1 · seed 0: epoch 61 of 150, loss 5.457, 16,179 images/s",
        "yes, 0.1 · seed 0: epoch 122 of 150, loss 5.457, 16,179 images/s",
        "[1/2] yes, 0.1 · seed 0: linear top1 75.6 in 122 s",
    ]


def test_a_short_cell_says_only_how_it_ended() -> None:
    written = io.StringIO()
    with SweepProgress(Console(file=written), "temperature", 1, 0) as shown:
        shown.started("aaaa", "yes, 0.1 · seed 0", 7)
        shown.epoch("aaaa", EPOCH)
        shown.ended("aaaa", "yes, 0.1 · seed 0", "linear top1 36.4 in 3 s", failed=False)
    assert written.getvalue().splitlines() == ["[1/1] yes, 0.1 · seed 0: linear top1 36.4 in 3 s"]
