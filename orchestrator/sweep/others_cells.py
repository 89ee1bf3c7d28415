"""Cells that another sweep trains: waited for, and taken over as it leaves them."""

import time
from collections.abc import Collection, Mapping

from orchestrator.live.live_sweep import LiveSweep
from orchestrator.storage import Storage
from orchestrator.storage.leases import Observer, run_lease
from orchestrator.storage.marks import is_marked
from orchestrator.storage.runs import RunFolder

__all__ = ["OthersCells"]

SECONDS_BETWEEN_LOOKS = 1.0


class OthersCells:
    """Waits for cells that other processes have, and remembers which of those are dead."""

    def __init__(self, storage: Storage, progress: LiveSweep) -> None:
        self._storage, self._progress = storage, progress
        self._observer = Observer(storage)
        self._said: set[str] = set()

    @property
    def dead(self) -> tuple[str, ...]:
        """The owners that were seen to be dead, for the workers, which would have to wait."""
        return tuple(sorted(self._observer.dead))

    def wait(self, held: Mapping[str, str]) -> bool:
        """Wait until one of the cells has finished or is free; False where all is to stop.

        `held` are by fingerprint, with who has them.
        """
        self._say(held)
        while not (self._progress.all_asked_to_stop or self._progress.is_lost):
            if self._one_is_free(held):
                return True
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return False

    def _one_is_free(self, held: Collection[str]) -> bool:
        # every one is looked at each time, as what is dead is told from several looks
        free = [self._is_free(name) for name in held]
        return any(free)

    def _is_free(self, fingerprint: str) -> bool:
        record = RunFolder(self._storage, fingerprint).record()
        if record is not None and record.has_finished:
            return True
        if self._observer.holder(run_lease(fingerprint)) is not None:
            return False
        return not is_marked(self._storage, fingerprint)

    def _say(self, held: Mapping[str, str]) -> None:
        for owner in sorted(set(held.values()) - self._said):
            self._said.add(owner)
            count = sum(each == owner for each in held.values())
            cells = "a cell is" if count == 1 else f"{count} cells are"
            self._progress.line(f"{cells} being run by another command, and waited for: {owner}")
