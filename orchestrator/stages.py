"""Says what a command is doing that takes seconds, from the moment at which it was typed.

Whoever begins something slow names it: `stage("starting Ray")`. Nothing is said unless the command
line asked for it (`told`), and nothing on stdout, which is a document's. On a terminal the stages
share a line, which goes away with the first word of the answer; elsewhere each is a line.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["over", "stage", "told"]

_LINE = "\r\x1b[2K"  # back to its begin, and wiped


class _Shown:
    """What is said on stderr."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last = ""

    def say(self, text: str) -> None:
        if text == self._last:
            return
        self._last = text
        if self._is_terminal:
            sys.stderr.write(f"{_LINE}{text} ...")
        else:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def wipe(self) -> None:
        if self._last and self._is_terminal:
            sys.stderr.write(_LINE)
            sys.stderr.flush()
        self._last = ""


_shown: ContextVar[_Shown | None] = ContextVar("shown", default=None)


def stage(text: str) -> None:
    """Say what begins now and may take seconds."""
    if (shown := _shown.get()) is not None:
        shown.say(text)


def over() -> None:
    """End what was being said, before an answer is printed."""
    if (shown := _shown.get()) is not None:
        shown.wipe()


@contextmanager
def told(text: str) -> Iterator[None]:
    """Say stages while this is held, `text` first."""
    token = _shown.set(_Shown())
    try:
        stage(text)
        yield
    finally:
        over()
        _shown.reset(token)
