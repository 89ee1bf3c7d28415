"""Consoles that print text as it is.

What is printed are names of people's files, classes and runs: rich would take `[train]` in one for
a style and drop it, `:dog:` for an emoji, and a bracket that closes nothing for an error.
"""

from rich.console import Console

__all__ = ["plain_console"]


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console that reads no markup and no emoji in what it prints."""
    return Console(stderr=stderr, markup=False, emoji=False)
