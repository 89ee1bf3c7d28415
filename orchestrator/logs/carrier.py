"""Hands what a place is owed over to it, in a thread of its own: no place slows or ends a sweep.

What a place does not take now, because it is down, locked or full, it is given again after a pause
that grows to a minute. What it refuses, it is given once more in the end; the rest goes on.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from orchestrator.errors import StorageError, TrackingError, UnreachableError
from orchestrator.logs.outbox import Outbox, Part
from orchestrator.logs.sweep_log import Place
from orchestrator.plan import Plan
from orchestrator.storage import Storage

__all__ = ["Carrier"]

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between tries
BEGIN_PATIENCE = 5.0  # seconds in which a place may refuse a sweep before it starts
# seconds at the end: a failure after so many without anything taken is the last one, after fewer
# where it is known to be down; and longer than the last ones no answer is waited for
END_PATIENCE, KNOWN_PATIENCE, SILENCE = 10.0, 3.0, 45.0
SAID_AFTER = 3.0  # seconds of handing over at the end, after which it is said
# seconds without a word of a further failure: one write may fail for ever among others that do not
QUIET = 60.0


class Carrier:
    """The way to one place, for all sweeps of a command; not to be used from several threads."""

    def __init__(self, label: str, warn: Callable[[str], None]) -> None:
        """Carry to what people call `label`; `warn` prints a line."""
        self.label, self._warn = label, warn
        self._changed = threading.Condition()
        self._outboxes: list[Outbox] = []
        self._thread: threading.Thread | None = None
        self._pause, self._not_before = FIRST_PAUSE, 0.0
        self._taken_at = self._failed_at = 0.0
        self._is_down = self._is_ending = self._is_closed = self._is_beginning = False
        self._said_at, self._is_said = float("-inf"), False

    def outbox(self, place: Place, plan: Plan, storage: Storage) -> Outbox:
        """Return what stands for a place while a sweep runs."""
        made = Outbox(place, plan, storage, self._changed)
        with self._changed:
            self._outboxes.append(made)
        if self._thread is None:
            name = f"to {self.label}"
            self._thread = threading.Thread(target=self._carry, name=name, daemon=True)
            self._thread.start()
        return made

    def wait_for_begin(self, outbox: Outbox) -> None:
        """Give a place some seconds to take the beginning of a sweep.

        One that is down or slow takes it later. Raises TrackingError where MLflow refuses it.
        """
        if self._is_down:
            return
        with self._changed:
            self._is_beginning = True
            self._changed.wait_for(lambda: outbox.has_begun or outbox.failure, BEGIN_PATIENCE)
            self._is_beginning = False
            if isinstance(outbox.refusal, TrackingError) and not outbox.has_begun:
                raise outbox.refusal

    def settle(self, *, limit: float | None = None) -> None:
        """Hand over what is left; returns once it is, or once the place takes nothing any more.

        A slow place is waited for, at most `limit` seconds where there is one.
        """
        begun = time.monotonic()
        is_told = False
        with self._changed:
            patience = KNOWN_PATIENCE if self._is_down else END_PATIENCE
            self._is_ending, self._not_before, self._taken_at = True, 0.0, begun
            for outbox in self._outboxes:
                outbox.try_refused_again()
            self._changed.notify_all()
            while self._next() is not None:
                now = time.monotonic()
                is_over = limit is not None and now - begun > limit
                is_given_up = self._failed_at - self._taken_at > patience
                if is_over or is_given_up or now - self._taken_at > SILENCE:
                    break
                if now - begun > SAID_AFTER and not is_told:
                    is_told = True
                    self._warn(f"handing {self.owed or 'the rest'} over to {self.label} ...")
                self._changed.wait(0.5)
            self._is_ending = False
            self._note_failures()

    def close(self) -> None:
        """Hand over nothing more: what is left, a rerun writes."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(0.2)

    @property
    def failure(self) -> str | None:
        """Why the place has not taken all; None once it has."""
        return next((one.failure for one in self._outboxes if one.failure), None)

    @property
    def owed(self) -> str:
        """What the place is owed, in words; empty where that is nothing."""
        counts = [outbox.owed for outbox in self._outboxes]
        runs, sweeps = sum(cells for cells, _ in counts), sum(own for _, own in counts)
        words = [f"{runs} run{'s' * (runs != 1)}"] if runs else []
        words += [f"{sweeps} sweep{'s' * (sweeps != 1)}"] if sweeps else []
        return " and ".join(words)

    def _note_failures(self) -> None:
        for outbox in self._outboxes:
            if any(outbox.owed) and outbox.failure is None:
                outbox.failure = f"{self.label} takes longer than can be waited for"

    def _carry(self) -> None:
        while True:
            with self._changed:
                while (part := self._due()) is None:
                    if self._is_closed:
                        return
                    left = self._not_before - time.monotonic()
                    self._changed.wait(left if left > 0 else None)
                if self._is_closed:
                    return
            try:
                part.hand_over()
            except Exception as error:  # noqa: BLE001 - libraries of others raise whatever they like
                self._failed(part, error)
            else:
                self._taken(part)

    def _due(self) -> Part | None:
        return None if time.monotonic() < self._not_before else self._next()

    def _next(self) -> Part | None:
        """Return the next part of the first sweep that has one; of one sweep, rounds in order."""
        waiting = set[str]()
        for outbox in self._outboxes:
            if outbox.sweep not in waiting and (part := outbox.next_part()) is not None:
                return part
            if not outbox.is_done:
                waiting.add(outbox.sweep)
        return None

    def _taken(self, part: Part) -> None:
        with self._changed:
            part.outbox.taken(part)
            self._taken_at, self._pause = time.monotonic(), FIRST_PAUSE
            is_again, self._is_down, self._is_said = self._is_said, False, False
            self._outboxes = [one for one in self._outboxes if not one.is_done or one.failure]
            self._changed.notify_all()
        if is_again:
            self._say(f"{self.label} can be written again: what it is owed is handed over")

    def _failed(self, part: Part, error: Exception) -> None:
        passes = isinstance(error, UnreachableError | StorageError | OSError)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        with self._changed:
            is_new = not self._is_down if passes else part.outbox.failure is None
            part.outbox.failed(part, reason, None if passes else error)
            self._failed_at = time.monotonic()
            if passes:
                self._is_down = True
                is_new = is_new and self._failed_at - self._said_at > QUIET
                if is_new:
                    self._said_at, self._is_said = self._failed_at, True
                longest = FIRST_PAUSE if self._is_ending else LONGEST_PAUSE
                self._not_before = self._failed_at + min(self._pause, longest)
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
                # another sweep's part comes next
                self._outboxes.sort(key=lambda one: one.sweep == part.outbox.sweep)
            else:
                is_new = is_new and not (self._is_beginning and isinstance(error, TrackingError))
            self._changed.notify_all()
        if is_new:
            later = "it is handed over later" if passes else "rerun the command to record the rest"
            self._say(f"{self.label} cannot be written: {reason}. The sweep goes on; {later}.")

    def _say(self, text: str) -> None:
        """Print a line from the thread, which a closed terminal does not end."""
        with suppress(OSError, SystemExit):  # rich exits where a pipe is closed
            self._warn(text)
