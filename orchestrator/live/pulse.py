"""A thread that keeps the file of a sweep's progress up while the driver does other things."""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from orchestrator.errors import StorageError
from orchestrator.storage import Storage
from orchestrator.storage.progress import (
    SweepProgress,
    SweepState,
    keep_progress,
    read_progress,
)
from orchestrator.storage.stop_requests import forget_stops

__all__ = ["Pulse", "keep_end"]

SECONDS_BETWEEN_WRITES = 1.0  # at most so often, where something has changed
SECONDS_OF_SILENCE = 5.0  # and so often where nothing has: readers see that somebody is there


class Pulse:
    """Writes what `progress` returns, in a thread of its own, until it is left.

    Each time it also calls `beat`, which may take a moment. A storage that cannot be written is
    said once: the file is for those who look, and no sweep ends for want of it.
    """

    def __init__(
        self,
        storage: Storage,
        progress: Callable[[], Sequence[SweepProgress]],
        *,
        beat: Callable[[], object],
        warn: Callable[[str], None],
    ) -> None:
        self._storage, self._progress, self._beat, self._warn = storage, progress, beat, warn
        self._changed, self._over = threading.Event(), threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._write()

    def changed(self) -> None:
        """Have it written soon."""
        self._changed.set()

    def _run(self) -> None:
        written = time.monotonic()
        while not self._over.wait(SECONDS_BETWEEN_WRITES):
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - else the sweep seems dead to who watches
                self._say(error)
            if self._changed.is_set() or time.monotonic() - written >= SECONDS_OF_SILENCE:
                self._changed.clear()
                self._write()
                written = time.monotonic()

    def _write(self) -> None:
        try:
            for progress in self._progress():
                keep_progress(self._storage, progress)
        except Exception as error:  # noqa: BLE001 - a storage that fails, or what cannot be said
            self._say(error)

    def _say(self, error: Exception) -> None:
        """Say once why others may not see the sweep; it is tried again."""
        if not self._failed:
            self._failed = True
            self._warn(f"nobody can watch this sweep: {error}")


def keep_end(storage: Storage, sweep: str, state: SweepState) -> None:
    """Write into the progress of a sweep how its driver leaves it, and forget requests to stop it.

    A storage that fails is nothing to say here: readers see that nobody writes any more.
    """
    try:
        progress = read_progress(storage, sweep)
        if progress is not None:
            left = progress.model_dump() | {"state": state, "expected_end": None}
            keep_progress(storage, SweepProgress.model_validate(left))
        forget_stops(storage, sweep)
    except StorageError:
        return
