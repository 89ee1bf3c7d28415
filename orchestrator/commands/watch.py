"""What `watch` does: show a sweep that runs elsewhere as its own terminal does, until it ends."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live

from orchestrator.commands.consoles import print_line
from orchestrator.commands.result import Finished
from orchestrator.commands.running import death_of, is_driven, progress_of, watched
from orchestrator.live.lines import changes, summary
from orchestrator.live.live_sweep import is_drawn_on
from orchestrator.live.view import SweepView
from orchestrator.storage import Storage
from orchestrator.storage.progress import SweepProgress

__all__ = ["watch"]

# seconds between looks: with the driver's second it is less than two after an epoch
LOCAL, REMOTE = 0.5, 1.0
LINE_EVERY = 60.0


def watch(
    name: str | None,
    storage: Storage,
    console: Console,
    *,
    sweep: str | None = None,
    once: bool = False,
    sleep: Callable[[float], object] = time.sleep,
) -> Finished:
    """Show the sweep of that name, the one that runs or the latest, until it has ended.

    `once` shows it as it is now. Exit code 1 for a sweep that did not end well: it failed, was
    stopped, or nobody drives it any more. Raises PlanError where there is none.
    """
    progress = watched(name, storage, sweep)
    if not once and is_driven(progress, storage):
        pause = LOCAL if storage.is_local else REMOTE
        if is_drawn_on(console):
            progress = _drawn(progress, storage, console, lambda: sleep(pause))
        else:
            progress = _in_lines(progress, storage, console, lambda: sleep(pause))
    console.print(SweepView([progress]))
    return _finished(progress, storage, console, once=once)


def _drawn(
    progress: SweepProgress, storage: Storage, console: Console, pause: Callable[[], object]
) -> SweepProgress:
    """Draw it again and again, until nobody drives it."""
    with Live(
        get_renderable=lambda: SweepView([progress]),
        console=console,
        refresh_per_second=2,
        transient=True,
    ):
        while is_driven(progress, storage):
            pause()
            progress = progress_of(progress, storage)
    return progress


def _in_lines(
    progress: SweepProgress, storage: Storage, console: Console, pause: Callable[[], object]
) -> SweepProgress:
    """Print a line for each cell that ends, and one a minute on the whole."""
    said = -LINE_EVERY
    while is_driven(progress, storage):
        if time.monotonic() - said >= LINE_EVERY:
            said = time.monotonic()
            print_line(console, summary(progress, datetime.now(UTC)))
        pause()
        before, progress = progress, progress_of(progress, storage)
        for line in changes(before, progress):
            print_line(console, line)
    return progress


def _finished(
    progress: SweepProgress, storage: Storage, console: Console, *, once: bool
) -> Finished:
    driven = is_driven(progress, storage)
    state = "running" if driven else "lost" if progress.state == "running" else progress.state
    if state == "lost":
        print_line(console, death_of(progress))
    elif state in ("failed", "stopped"):
        print_line(console, f"{progress.name}: {state}; continue with: {progress.command}")
    elif state == "finished":
        print_line(console, f"{progress.name}: finished")
    document = progress.model_dump(mode="json") | {"state": state}
    return Finished(0 if once or state == "finished" else 1, document)
