"""What a sweep shows and leaves while it runs: a live view on a terminal, plain lines elsewhere.

It always goes to stderr. Beside it a file in the storage says the same to whoever looks.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from orchestrator.errors import StorageError
from orchestrator.live.lines import left_line, standing
from orchestrator.live.machine import MachineWatch
from orchestrator.live.pulse import Pulse
from orchestrator.live.tally import Tally
from orchestrator.live.view import SweepView
from orchestrator.plan import Plan
from orchestrator.run_record import Metrics, RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.progress import SweepProgress
from orchestrator.storage.stop_requests import (
    ALL,
    is_asked_to_stop,
    stop_folder,
    stops_asked,
)
from workloads.plural import counted

__all__ = ["LiveSweep", "is_drawn_on"]

# cells of which each has a line on a terminal when it has ended; the figure shows more
LISTED = 100
LINE_EVERY = 60.0  # seconds between lines on a cell that runs, where there is no terminal


class LiveSweep:
    """The picture of the sweeps of one round, for those at the terminal and for those elsewhere."""

    def __init__(
        self,
        console: Console,
        plans: Sequence[Plan],
        storage: Storage,
        *,
        command: str = "",
        concurrent: int = 1,
        expected: Mapping[str, float] | None = None,
        started: datetime | None = None,
        lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self._console, self._lost = console, lost
        self._lock = threading.Lock()
        self._tally = Tally(
            plans, command=command, concurrent=concurrent, expected=expected, started=started
        )
        self._machine = MachineWatch()
        self._pulse = Pulse(storage, self.now, beat=self._beat, warn=self.line)
        self._title = ", ".join(plan.name for plan in plans)
        self._names = {name: cell.name for plan in plans for name, cell in plan.jobs.items()}
        self._said: dict[str, float] = {}
        self._storage = storage
        self._stop_folders = [stop_folder(f"{plan.name}/{plan.sweep_id}") for plan in plans]
        self._asked: frozenset[str] = frozenset()
        self._beats, self._beats_a_look = 0, 1 if storage.is_local else 2
        self._titles: dict[str, tuple[str, int]] = {}
        self._ended = 0
        self._drawn = is_drawn_on(console)
        self._live = Live(
            get_renderable=lambda: SweepView(self.now()),
            console=console,
            refresh_per_second=2,
            transient=True,
        )
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._pulse)
        if self._drawn:
            self._open.enter_context(self._live)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def now(self) -> list[SweepProgress]:
        """Return how far each sweep is."""
        with self._lock:
            return self._tally.progress()

    def line(self, text: str) -> None:
        """Print a line that stays, above the view on a terminal."""
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def taken_over(self, records: Mapping[str, RunRecord]) -> None:
        """Show the cells that had finished before, by fingerprint, and say how many they are."""
        with self._lock:
            for fingerprint, record in records.items():
                self._tally.taken_over(fingerprint, record)
        self._ended += len(records)
        if records:
            total = len(self._names)
            self.line(
                f"{self._title}: {len(records)} of {counted(total, 'cell')} "
                f"{'was' if total == 1 else 'were'} finished before"
            )

    def started(self, name: str, title: str, epochs: int, fingerprints: Iterable[str]) -> None:
        """Show that a cell has begun, or a pack of several, by its name."""
        with self._lock:
            self._tally.began(name, title, epochs, fingerprints)
        self._titles[name] = (title, epochs)
        self._said[name] = time.monotonic()
        self._pulse.changed()

    def epoch(self, name: str, metrics: Metrics) -> None:
        """Show that a cell has finished an epoch.

        Without a terminal that is said of each cell once a minute.
        """
        with self._lock:
            self._tally.epoch(name, metrics)
        self._pulse.changed()
        if name not in self._titles or self._drawn:
            return
        if time.monotonic() - self._said[name] >= LINE_EVERY:
            self._said[name] = time.monotonic()
            title, epochs = self._titles[name]
            left = left_line(*self._first_now())
            self.line(f"{title}: {standing(epochs, metrics)}" + (f"; {left}" if left else ""))

    def left(self, name: str, *, stopped: bool = False) -> None:
        """Drop several cells that ran as one and run no longer; each has ended by itself."""
        with self._lock:
            self._tally.left(name, stopped=stopped)
        self._titles.pop(name, None)
        self._pulse.changed()

    def ended(self, fingerprint: str, record: RunRecord, outcome: str) -> None:
        """Show that a cell has ended; `outcome` is its result or its error, in a line."""
        with self._lock:
            self._tally.ended(fingerprint, record)
        self._titles.pop(fingerprint, None)
        self._ended += 1
        self._pulse.changed()
        total = len(self._names)
        if record.has_failed or not self._drawn or total <= LISTED:
            left = left_line(*self._first_now()) if not self._drawn else ""
            said = f"[{self._ended}/{total}] {self._names[fingerprint]}: {outcome}"
            self.line(said + (f"; {left}" if left else ""))

    def stopped(self, fingerprint: str, record: RunRecord | None) -> None:
        """Show that a cell was stopped on request; without a record it has kept nothing yet."""
        with self._lock:
            self._tally.stopped(fingerprint, record)
        self._titles.pop(fingerprint, None)
        self._pulse.changed()
        after = f" after epoch {record.epoch:.0f}" if record and record.epoch is not None else ""
        self.line(f"{self._names[fingerprint]}: stopped on request{after}")

    def waits(self, fingerprint: str) -> None:
        """Show that a cell has not begun, after all: another process runs it."""
        with self._lock:
            self._tally.waits(fingerprint)
        self._titles.pop(fingerprint, None)
        self._pulse.changed()

    @property
    def is_lost(self) -> bool:
        """True once another process has taken over the sweep."""
        return self._lost()

    def is_asked_to_stop(self, fingerprints: Iterable[str]) -> bool:
        """Tell whether all of these cells are asked to stop."""
        return all(is_asked_to_stop(name, self._asked) for name in fingerprints)

    @property
    def all_asked_to_stop(self) -> bool:
        """True where the whole sweep is asked to stop."""
        return ALL in self._asked

    @property
    def any_asked_to_stop(self) -> bool:
        """True where some cells or all are asked to stop."""
        return bool(self._asked)

    def _first_now(self) -> tuple[SweepProgress, datetime]:
        """Return how far the first sweep is, with which all end, and the time of that."""
        progress = self.now()[0]
        return progress, progress.updated

    def _beat(self) -> None:
        self._beats += 1
        if self._beats % self._beats_a_look == 0:
            with suppress(StorageError):  # the next look may see it
                self._asked = stops_asked(self._storage, self._stop_folders)
        use = self._machine.use()
        with self._lock:
            self._tally.machine = use


def is_drawn_on(console: Console) -> bool:
    """Tell whether a view that is drawn again and again can be shown on a console."""
    return console.is_terminal and not console.is_dumb_terminal
