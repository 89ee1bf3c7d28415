"""Consoles that print text as it is.

What is printed are names of people's files, classes and runs: rich would take `[train]` in one for
a style and drop it, `:dog:` for an emoji, and a bracket that closes nothing for an error.
"""

from typing import IO

from rich.console import Console, ConsoleRenderable, RenderHook

from orchestrator.stages import over

__all__ = ["plain_console", "print_line"]


class _AfterStages(RenderHook):
    """Wipes what is said of stages, where something is printed for good."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        over()
        return renderables


def plain_console(
    *, stderr: bool = False, file: IO[str] | None = None, width: int | None = None
) -> Console:
    """Return a console that reads no markup and no emoji in what it prints.

    It prints to a terminal or what stands for it; to a `file`, wherever that is read, plain lines.
    """
    if file is None:
        console = Console(stderr=stderr, width=width, markup=False, emoji=False)
        console.push_render_hook(_AfterStages())
        return console
    return Console(
        file=file,
        width=width,
        force_terminal=False,
        force_jupyter=False,
        markup=False,
        emoji=False,
    )


def print_line(console: Console, text: str, style: str | None = None) -> None:
    """Print a text as it is: no colour of its own, no markup, and the terminal breaks it."""
    console.print(text, style=style, highlight=False, soft_wrap=True, markup=False)
