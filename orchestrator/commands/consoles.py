"""Consoles that print text as it is.

What is printed are names of people's files, classes and runs: rich would take `[train]` in one for
a style and drop it, `:dog:` for an emoji, and a bracket that closes nothing for an error.
"""

from typing import IO

from rich.console import Console

__all__ = ["plain_console"]


def plain_console(
    *, stderr: bool = False, file: IO[str] | None = None, width: int | None = None
) -> Console:
    """Return a console that reads no markup and no emoji in what it prints.

    It prints to a terminal or what stands for it; to a `file`, wherever that is read, plain lines.
    """
    if file is None:
        return Console(stderr=stderr, width=width, markup=False, emoji=False)
    return Console(
        file=file,
        width=width,
        force_terminal=False,
        force_jupyter=False,
        markup=False,
        emoji=False,
    )
