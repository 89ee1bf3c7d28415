"""To be asked to end, without an exception out of nowhere.

KeyboardInterrupt is raised wherever the process happens to be. In a finalizer or a callback it is
printed and dropped, and the process goes on for ever.
"""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Ending", "noted_endings"]

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending:
    """Whether this process was asked to end."""

    def __init__(self, pipe: int) -> None:
        """Read it from a pipe, which gets a byte when it is."""
        self._pipe = pipe

    def wait(self, seconds: float) -> bool:
        """Wait until it is asked, so long at most; tells whether it is."""
        ready, _, _ = select.select([self._pipe], [], [], seconds)
        return bool(ready)


@contextmanager
def noted_endings() -> Iterator[Ending]:
    """Note SIGINT, SIGTERM and SIGHUP for the time of a `with` block, in the main thread.

    What is ignored stays so: a shell does that for SIGINT in its background, `nohup` for SIGHUP. A
    second signal raises KeyboardInterrupt.
    """
    reading, writing = os.pipe()
    count = 0

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        os.write(writing, b".")
        if count > 1:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in ASKING}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, note)
        yield Ending(reading)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)
