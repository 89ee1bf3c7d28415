"""The runs of a worker that it alone trains; the others are left to who has them.

A run is owned by a lease in the storage, and in a folder also by the mark that
`python -m workloads run` leaves and heeds.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

from orchestrator.cell.job import CellJob
from orchestrator.errors import StorageError
from orchestrator.storage import Storage
from orchestrator.storage.files import PARTIAL
from orchestrator.storage.leases import Claim, Lease, Observer, run_lease
from workloads.runs.folder import RUNS
from workloads.runs.in_use import InUse

__all__ = ["Owned", "owned"]

PLAN_RUNNER = "`python -m workloads run`"


@dataclass(frozen=True)
class Owned:
    """Which runs this process has, with their claims; and who has the others, for people."""

    jobs: Sequence[CellJob]
    held: Mapping[str, str]


@contextmanager
def owned(jobs: Sequence[CellJob]) -> Iterator[Owned]:
    """Have all runs that nobody else has, until this is left. Raises StorageError."""
    storage = Storage(jobs[0].storage)
    observer = Observer(storage, dead=jobs[0].dead)
    with ExitStack() as stack:
        lease = stack.enter_context(Lease(storage, group=jobs[0].group))
        marks = None
        if storage.is_local:
            marks = InUse(storage.local_path())
            stack.callback(marks.close)
        mine, held = list[CellJob](), dict[str, str]()
        for job in jobs:
            name = run_lease(job.fingerprint)
            taken = lease.take(name, observer)
            if not isinstance(taken, Claim):
                held[job.fingerprint] = str(taken)
            elif marks is not None and not marks.take(job.fingerprint):
                lease.give_back(name)
                held[job.fingerprint] = PLAN_RUNNER
            else:
                mine.append(replace(job, claim=taken))
                _tidy(storage, job.fingerprint)
        try:
            yield Owned(mine, held)
        finally:
            with suppress(StorageError):  # what cannot be given back expires
                for job in mine:
                    lease.give_back(run_lease(job.fingerprint))


def _tidy(storage: Storage, fingerprint: str) -> None:
    """Delete what a writer of the run has begun that was killed; there is no other one now."""
    if storage.is_local:
        for path in storage.local_path(RUNS, fingerprint).glob(f".*{PARTIAL}"):
            path.unlink(missing_ok=True)
