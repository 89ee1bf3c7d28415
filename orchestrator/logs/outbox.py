"""What a place is owed of one sweep: kept until the place has taken it, in order and once.

A place may be down, slow, or refuse. Whoever drives the sweep only leaves word here, which takes
microseconds; a carrier (`carrier.py`) hands it over in a thread of its own. Nothing has to be kept
on the disk for that: records are in the storage before a place is told of them, and a place writes
from a record what it lacks. So a rerun finds by itself what a killed driver still owed.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from orchestrator.logs.sweep_log import Place, Status
from orchestrator.plan import Plan
from orchestrator.plan.kept import KeptPlan
from orchestrator.run_record import Metrics, RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder

__all__ = ["Outbox", "Part"]

# Epochs kept in memory, of all cells together: about 1 kB each. Those above are in the records.
EPOCHS_KEPT = 50_000
SWEEP = "the sweep"  # the name of the part that is no cell
Ending = Literal["ended", "taken_over"]


@dataclass
class _Owed:
    """What a place is owed of one cell; an ending without its record has it in the storage."""

    is_started: bool = False
    epochs: list[Metrics] = field(default_factory=list)
    ending: Ending | None = None
    record: RunRecord | None = None

    @property
    def kept(self) -> int:
        """How many epochs it has in memory."""
        return len(self.epochs) + (0 if self.record is None else len(self.record.history))


@dataclass(frozen=True)
class Part:
    """Something to hand over: the sweep's beginning or end, or what there is of a cell."""

    outbox: "Outbox"
    name: str
    hand_over: Callable[[], None]


class Outbox:
    """A place that one sweep is written into without waiting for it: a `SweepLog`.

    `failure` is why it has not taken all; None once it has. `refusal` is what it raised where it
    refused the sweep itself.
    """

    def __init__(
        self, place: Place, plan: Plan, storage: Storage, changed: threading.Condition
    ) -> None:
        """Collect for `place`; `changed` guards what is collected, and wakes who hands it over."""
        self.label, self.sweep = place.label, f"{plan.name}/{plan.sweep_id}"
        self.failure: str | None = None
        self.refusal: Exception | None = None
        self._place, self._storage, self._changed = place, storage, changed
        self._beginning: KeptPlan | None = None
        self._has_begun = False
        self._cells: dict[str, _Owed] = {}
        self._end: tuple[Status, Mapping[str, str | bytes]] | None = None
        self._has_ended = False
        self._refused: set[str] = set()
        self._kept = 0

    def begin(self, kept: KeptPlan) -> None:
        """Leave word that the sweep begins."""
        with self._changed:
            self._beginning = kept
            self._changed.notify_all()

    def has(self, fingerprint: str) -> bool:
        """Tell whether the cell is one of this sweep's."""
        return self._place.has(fingerprint)

    def started(self, fingerprint: str) -> None:
        """Leave word that a cell has started."""
        with self._changed:
            self._of(fingerprint).is_started = True
            self._changed.notify_all()

    def epoch(self, fingerprint: str, metrics: Metrics) -> None:
        """Leave an epoch's metrics, unless too many wait: the record has them, too."""
        with self._changed:
            if self._kept >= EPOCHS_KEPT:
                return
            self._of(fingerprint).epochs.append(dict(metrics))
            self._kept += 1
            self._changed.notify_all()

    def ended(self, fingerprint: str, record: RunRecord) -> None:
        """Leave word how a cell has ended."""
        self._ends(fingerprint, "ended", record)

    def taken_over(self, fingerprint: str, record: RunRecord) -> None:
        """Leave word of a cell that ended before."""
        self._ends(fingerprint, "taken_over", record)

    def finish(self, status: Status, files: Mapping[str, str | bytes]) -> None:
        """Leave word that the sweep ends; what is said first holds."""
        with self._changed:
            if self._end is None:
                self._end = status, dict(files)
            self._changed.notify_all()

    @property
    def has_begun(self) -> bool:
        """Whether the place knows of the sweep."""
        return self._has_begun

    @property
    def is_done(self) -> bool:
        """Whether the place has taken the sweep to its end, all that it does not refuse."""
        return self._has_ended

    @property
    def owed(self) -> tuple[int, bool]:
        """How many runs the place has not taken whole, and whether the sweep's own is one more."""
        own = (self._beginning is not None and not self._has_begun) or (
            self._end is not None and not self._has_ended
        )
        return len(self._cells), own

    def next_part(self) -> Part | None:
        """Return what is to be handed over next; cells come round in turn, the end comes last."""
        if not self._has_begun:
            kept = self._beginning
            if kept is None or SWEEP in self._refused:
                return None
            return Part(self, SWEEP, lambda: self._place.begin(kept))
        for fingerprint in self._cells:
            if fingerprint not in self._refused:
                return Part(self, fingerprint, partial(self._hand_over, fingerprint))
        if self._end is not None and not self._has_ended and SWEEP not in self._refused:
            status, files = self._end
            return Part(self, SWEEP, lambda: self._place.finish(status, files))
        return None

    def taken(self, part: Part) -> None:
        """Note that a part was handed over."""
        if part.name != SWEEP:
            owed = self._cells.get(part.name)
            if owed is not None and owed == _Owed():
                del self._cells[part.name]
            self._refused.discard(part.name)
        elif self._has_begun:
            self._has_ended = True
        else:
            self._has_begun = True
        if self._has_ended and not self._cells:
            self.failure = None

    def failed(self, part: Part, reason: str, refusal: Exception | None) -> None:
        """Note that a part was not taken: it comes again, after the others or, refused, last."""
        self.failure = reason
        if refusal is not None:
            self._refused.add(part.name)
            if not self._has_begun:
                self.refusal = refusal
        if part.name in self._cells:
            self._cells[part.name] = self._cells.pop(part.name)

    def try_refused_again(self) -> None:
        """Let what was refused come once more."""
        self._refused.clear()

    def _of(self, fingerprint: str) -> _Owed:
        return self._cells.setdefault(fingerprint, _Owed())

    def _ends(self, fingerprint: str, ending: Ending, record: RunRecord) -> None:
        with self._changed:
            owed = self._of(fingerprint)
            self._kept -= owed.kept
            owed.ending, owed.epochs = ending, []  # they are in the record
            fits = self._kept + len(record.history) <= EPOCHS_KEPT
            owed.record = record if fits else None
            self._kept += owed.kept
            self._changed.notify_all()

    def _hand_over(self, fingerprint: str) -> None:
        """Tell the place what there is of a cell, and forget what it has taken."""
        with self._changed:
            owed = self._cells[fingerprint]
            is_started, epochs = owed.is_started, tuple(owed.epochs)
            ending, given = owed.ending, owed.record
        if ending is None:
            self._tell(fingerprint, is_started, epochs)
        else:
            record = given or RunFolder(self._storage, fingerprint).record()
            if record is not None and ending == "ended":
                self._place.ended(fingerprint, record)
            elif record is not None:
                self._place.taken_over(fingerprint, record)
        with self._changed:
            self._kept -= owed.kept
            owed.is_started = owed.is_started and not is_started
            if owed.ending == ending and owed.record is given:
                owed.epochs = owed.epochs[len(epochs) :]
                owed.ending = owed.record = None
            self._kept += owed.kept

    def _tell(self, fingerprint: str, is_started: bool, epochs: Sequence[Metrics]) -> None:
        if is_started:
            self._place.started(fingerprint)
        for metrics in epochs:
            self._place.epoch(fingerprint, metrics)
