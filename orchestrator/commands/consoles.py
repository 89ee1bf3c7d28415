"""Consoles that print text as it is.

What is printed are names of people's files, classes and runs: rich would take `[train]` in one for
a style and drop it, `:dog:` for an emoji, and a bracket that closes nothing for an error. And a
terminal would obey the control characters in a name that a stranger has chosen: they are spelled
out.
"""

import re
from typing import IO

from rich.console import (
    Console,
    ConsoleOptions,
    ConsoleRenderable,
    RenderHook,
    RenderResult,
)
from rich.segment import Segment

from orchestrator.stages import over

__all__ = ["plain_console", "print_line", "spelled_out"]

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # but for tabs and ends of lines


def spelled_out(text: str) -> str:
    """Return a text in which no terminal finds a command: ESC as `\\x1b`, and the like."""
    return CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


class _SpelledOut:
    """What renders as something does, with the control characters in its texts spelled out."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._renderable, options):
            if segment.control is None and CONTROL.search(segment.text):
                yield Segment(spelled_out(segment.text), segment.style)
            else:
                yield segment


class _Plain(RenderHook):
    """Spells control characters out in all that is printed."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_SpelledOut(renderable) for renderable in renderables]


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
    else:
        console = Console(
            file=file,
            width=width,
            force_terminal=False,
            force_jupyter=False,
            markup=False,
            emoji=False,
        )
    console.push_render_hook(_Plain())
    return console


def print_line(console: Console, text: str, style: str | None = None) -> None:
    """Print a text as it is: no colour of its own, no markup, and the terminal breaks it."""
    console.print(text, style=style, highlight=False, soft_wrap=True, markup=False)
