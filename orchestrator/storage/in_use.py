"""Which runs and sweeps of a storage somebody is doing now, on this machine or another."""

import math
import time
from collections.abc import Mapping

from orchestrator.storage.files import Storage
from orchestrator.storage.leases import LEASES, holder_of, run_lease
from orchestrator.storage.marks import is_marked
from orchestrator.storage.progress import read_progress
from orchestrator.storage.rows import RunRow
from orchestrator.storage.sweeps import is_running

__all__ = ["InUseNow"]

REMEMBERED = 5.0  # seconds for which an answer about a sweep is good, or a list of leases


class InUseNow:
    """Tells of a run, by its fingerprint, or of a sweep, by its folder, whether it is being done.

    `NAME/ID` is a sweep's folder, and ID alone does, too. A sweep's lease tells, and the progress
    that its driver keeps up; a run is in use with any of its sweeps, where somebody has its lease,
    though no sweep of it may be known, and where a process of a plan file marks it. Raises
    StorageError where the storage cannot be read.
    """

    def __init__(self, storage: Storage, rows: Mapping[str, RunRow]) -> None:
        self._storage, self._rows = storage, rows
        self._told: dict[str, tuple[float, bool]] = {}
        self._listed, self._leases = -math.inf, frozenset[str]()

    def __call__(self, name: str) -> bool:
        """Tell whether it is being done."""
        if "/" not in name and self._is_leased(name):
            return True
        row = self._rows.get(name)
        if row is not None:
            return (
                row.status == "running"
                or any(map(self, row.sweeps))
                or is_marked(self._storage, name)
            )
        sweeps = [name] if "/" in name else self._sweeps_of(name)
        return any(map(self._is_driven, sweeps))

    def _sweeps_of(self, sweep: str) -> list[str]:
        return [
            f"{name}/{sweep}"
            for name in self._storage.list("sweeps")
            if self._storage.exists(f"sweeps/{name}/{sweep}")
        ]

    def _is_driven(self, sweep: str) -> bool:
        asked, driven = self._told.get(sweep, (0.0, False))
        if time.monotonic() - asked > REMEMBERED or not asked:
            progress = read_progress(self._storage, sweep)
            driven = is_running(self._storage, sweep) or bool(progress and progress.is_alive())
            self._told[sweep] = time.monotonic(), driven
        return driven

    def _is_leased(self, fingerprint: str) -> bool:
        """Tell whether somebody has a run; of most there is no lease, as one listing says."""
        if time.monotonic() - self._listed > REMEMBERED:
            self._leases = frozenset(self._storage.list(f"{LEASES}/runs"))
            self._listed = time.monotonic()
        if fingerprint not in self._leases:
            return False
        return holder_of(self._storage, run_lease(fingerprint)) is not None
