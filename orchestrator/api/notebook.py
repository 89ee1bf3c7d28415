"""Where progress is told: in the output of a notebook's cell that is replaced, else on stderr."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO, TextIOBase
from typing import Any

from rich.console import Console

from orchestrator.commands.consoles import plain_console

__all__ = ["progress_console", "quiet_console", "without_hints"]

SHOWN = 12  # lines, of all that were told


class _Shown(TextIOBase):
    """A text file whose last lines are one output of the cell that runs."""

    def __init__(self, handle: Any) -> None:
        super().__init__()
        self._handle = handle
        self._text = ""

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Add to the text and show its end."""
        lines = (self._text + text).splitlines(keepends=True)
        self._text = "".join(lines[-SHOWN:])
        self._handle.update({"text/plain": self._text.rstrip("\n")}, raw=True)
        return len(text)


def progress_console(*, wanted: bool) -> Console:
    """Return what progress is printed on; of a console that was not wanted nothing is seen."""
    if not wanted:
        return quiet_console()
    if not _in_notebook():
        return plain_console(stderr=True)
    from IPython.display import display

    handle = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
    # to rich it is a plain file: of its own tables in notebooks each would stay
    return plain_console(file=_Shown(handle), width=100)  # type: ignore[arg-type]


@contextmanager
def without_hints() -> Iterator[None]:
    """Keep back what Ray and tqdm recommend to install for notebooks, and we do not use."""
    log = logging.getLogger("ray.widgets.util")
    level = log.level
    log.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        try:
            yield
        finally:
            log.setLevel(level)


def quiet_console() -> Console:
    """Return a console that prints nothing."""
    return plain_console(file=StringIO())


def _in_notebook() -> bool:
    """Tell a kernel, whose outputs can be replaced, from an interpreter on a terminal."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")
