"""What a sweep shows while it runs: a live table on a terminal, plain lines elsewhere.

It always goes to stderr.
"""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

__all__ = ["SweepProgress"]

SHOWN = 16  # running cells listed at most
LINE_EVERY = 60.0  # seconds between lines on a cell that runs, where there is no terminal


class SweepProgress:
    """The picture of a sweep: the state of each running cell, and how many have ended."""

    def __init__(self, console: Console, title: str, total: int, taken_over: int) -> None:
        self._console = console
        self._title = title
        self._running: dict[str, tuple[str, int, Mapping[str, float], float]] = {}
        self._said: dict[str, float] = {}
        self._failed = 0
        self._ended = taken_over
        self._total = total

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._bar.add_task(title, total=total, completed=taken_over)
        self._live = Live(
            get_renderable=self._view, console=console, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        elif self._ended:
            self.line(f"{self._title}: {self._ended} of {self._total} cells were finished before")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live.is_started:
            self._live.stop()

    def line(self, text: str) -> None:
        """Print a line that stays, above the table on a terminal."""
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def started(self, fingerprint: str, name: str, epochs: int) -> None:
        """Show that a cell has begun."""
        self._running[fingerprint] = (name, epochs, {}, time.monotonic())
        self._said[fingerprint] = time.monotonic()

    def epoch(self, fingerprint: str, metrics: Mapping[str, float]) -> None:
        """Show that a cell has finished an epoch.

        Without a terminal that is said of each cell once a minute.
        """
        if fingerprint not in self._running:
            return
        name, epochs, _, since = self._running[fingerprint]
        self._running[fingerprint] = (name, epochs, metrics, since)
        if (
            not self._console.is_terminal
            and time.monotonic() - self._said[fingerprint] >= LINE_EVERY
        ):
            self._said[fingerprint] = time.monotonic()
            self.line(f"{name}: {_standing(epochs, metrics)}")

    def left(self, fingerprint: str) -> None:
        """Drop several cells that ran as one and run no longer; each has ended by itself."""
        self._running.pop(fingerprint, None)

    def ended(self, fingerprint: str, name: str, outcome: str, *, failed: bool) -> None:
        """Show that a cell has ended; `outcome` is its result or its error."""
        self._running.pop(fingerprint, None)
        self._ended += 1
        self._failed += failed
        self._bar.update(self._task, completed=self._ended)
        if failed or not self._console.is_terminal:
            self.line(f"[{self._ended}/{self._total}] {name}: {outcome}")

    def _view(self) -> Group:
        table = Table(box=None, pad_edge=False, show_header=bool(self._running))
        for column in ("cell", "epoch", "loss", "images/s", "seconds"):
            table.add_column(column, justify="left" if column == "cell" else "right")
        for name, epochs, metrics, since in list(self._running.values())[:SHOWN]:
            table.add_row(
                name,
                f"{metrics.get('epoch', 0):.0f}/{epochs}",
                f"{metrics['loss']:.3f}" if "loss" in metrics else "",
                f"{metrics['images_per_second']:,.0f}" if "images_per_second" in metrics else "",
                f"{time.monotonic() - since:.0f}",
            )
        if self._failed:
            table.caption = f"{self._failed} failed"
        return Group(self._bar, table)


def _standing(epochs: int, metrics: Mapping[str, float]) -> str:
    """Say where a cell stands: `epoch 46 of 150, loss 5.457, 16,179 images/s`."""
    parts = [f"epoch {metrics.get('epoch', 0):.0f} of {epochs}"]
    if "loss" in metrics:
        parts.append(f"loss {metrics['loss']:.3f}")
    if "images_per_second" in metrics:
        parts.append(f"{metrics['images_per_second']:,.0f} images/s")
    return ", ".join(parts)
