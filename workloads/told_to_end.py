"""Signals by which a batch system tells a process that it is about to end it."""

import signal
from collections.abc import Callable
from types import FrameType

__all__ = ["TOLD_TO_END", "when_told_to_end"]

# the exit code where something is left: EX_TEMPFAIL of sysexits.h, try again later
TOLD_TO_END = 75

# the second as Slurm sends it before the end, `--signal=USR1@60`
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


def when_told_to_end(told: Callable[[], object]) -> None:
    """Have `told` called whenever this process is told to end, which it then has to do itself.

    More than once, as batch systems do it. For the main thread.
    """

    def hear(_number: int, _frame: FrameType | None) -> None:
        told()

    for number in _SIGNALS:
        signal.signal(number, hear)
