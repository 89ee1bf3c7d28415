"""What the runs behind a report have cost: hours of processors, and from when to when they ran."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.run_record import RunRecord

__all__ = ["Cost", "cost_of"]


@dataclass(frozen=True)
class Cost:
    """What runs have taken, those of earlier sweeps that are taken over as well.

    `hours` are those of runs, one after the other, `core_hours` of their threads and `gpu_hours` of
    their GPUs. `began` and `ended` are of the first and of the last run, with all pauses.
    `unknown` runs have not kept how long they took.
    """

    runs: int
    hours: float
    core_hours: float
    gpu_hours: float
    began: str | None
    ended: str | None
    unknown: int


def cost_of(records: Iterable[RunRecord | None]) -> Cost | None:
    """Add up what runs have taken; None where none has ended."""
    ended = [record for record in records if record is not None]
    if not ended:
        return None
    hours = core_hours = gpu_hours = 0.0
    unknown = 0
    times: list[tuple[datetime, datetime]] = []
    for record in ended:
        seconds = record.total_seconds or record.seconds
        if seconds is None:
            unknown += 1
            continue
        hours += seconds / 3600
        if (machine := record.machine) is not None:
            core_hours += machine["workers"] * machine["threads"] * seconds / 3600
            gpu_hours += machine["workers"] * seconds / 3600 if machine["gpu"] else 0.0
        if record.ended is not None:
            end = datetime.fromisoformat(record.ended)
            times.append((end - timedelta(seconds=seconds), end))
    return Cost(
        runs=len(ended),
        hours=hours,
        core_hours=core_hours,
        gpu_hours=gpu_hours,
        began=min(begin for begin, _ in times).isoformat("T", "seconds") if times else None,
        ended=max(end for _, end in times).isoformat("T", "seconds") if times else None,
        unknown=unknown,
    )
