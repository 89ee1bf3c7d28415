"""How far a long command is: a bar on a terminal, else a line now and then; always on stderr."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from orchestrator.commands.consoles import plain_console

__all__ = ["steps"]

LINES = 20  # without a terminal


@contextmanager
def steps(done: str, total: int, what: str = "files") -> Iterator[Callable[[int], None]]:
    """Yield what is to be called with how many of `total` have been `done`, as in "written"."""
    console, count = plain_console(stderr=True), 0
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(done, total=total)

    def step(more: int) -> None:
        nonlocal count
        before, count = count, count + more
        bar.advance(task, more)
        due = count * LINES // total > before * LINES // total or count == total
        if more and not console.is_terminal and due:
            console.print(f"{done} {count:,} of {total:,} {what}", highlight=False)

    with bar:
        yield step
