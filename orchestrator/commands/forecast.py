"""What a pilot says beforehand: how many seeds, and how long, each open claim will probably take.

A pilot is what the storage has of a sweep already. From two seeds a cell on, mean and spread say
how many would decide a comparison with a probability of 0.8, were both as the pilot has them. A few
seeds say that roughly: of three, the spread alone may be off by a factor of two.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.commands.cost import duration
from orchestrator.commands.looks import judged_so_far, keep_taken
from orchestrator.plan.kept import KeptPlan
from orchestrator.run_record import Records
from orchestrator.storage import Storage
from orchestrator.verdicts.sentences import pivot
from search_spaces import Ablation
from search_spaces.claims import UNTRAINED, Place

__all__ = ["Expected", "Forecast", "forecast"]


@dataclass(frozen=True)
class Expected:
    """An open claim, the seeds that it has and those that it probably takes, and for how long.

    `seeds` and `seconds` (with as many cells at once as are planned) are None where the pilot
    cannot say; then `note` has why.
    """

    claim: str
    has: int
    seeds: int | None
    seconds: float | None
    note: str

    def line(self) -> str:
        """Return the forecast of this claim for people."""
        statement = self.claim.rstrip(".")
        if self.seeds is None:
            return f"{statement}: cannot be said: {self.note}"
        more = "" if self.seconds is None else f", about {duration(self.seconds)} more"
        return f"{statement}: {self.seeds} seeds in all ({self.has} now){more}"


@dataclass(frozen=True)
class Forecast:
    """The open claims of a sweep, and the time for all of them that can be foretold.

    That counts a cell once, however many claims ask for more of its seeds. `warning` says that the
    look at the claims could not be kept.
    """

    open: tuple[Expected, ...] = ()
    seconds: float | None = None
    warning: str | None = None

    def lines(self) -> list[str]:
        """Return the forecast for people: a line a claim, and one for all; none without a pilot."""
        if not self.open:
            return []
        lines = [] if self.warning is None else [self.warning]
        lines.append(
            "forecast from the runs there are (probability 0.8, if mean and spread stay theirs):"
        )
        lines += [f"  {one.line()}" for one in self.open]
        foretold = [one.seeds for one in self.open if one.seeds is not None]
        if len(foretold) > 1 and self.seconds is not None:
            lines.append(
                f"  all of these: --seeds {max(foretold)}, about {duration(self.seconds)} more"
            )
        return lines

    def tree(self) -> dict[str, Any]:
        """Return the forecast as plain values."""
        return {"open": [vars(one) for one in self.open], "seconds": self.seconds}


def forecast(
    storage: Storage, ablation: Ablation | None, kept: KeptPlan | None, concurrent: int
) -> Forecast:
    """Forecast each claim that the runs of a kept sweep leave open.

    `concurrent` cells run at once. Nothing is foretold without a pilot: no plan of the sweep, or no
    claim with two seeds. Where there are enough to judge by, this is a look at the claims, and is
    kept as one.
    """
    if ablation is None or kept is None:
        return Forecast()
    verdicts, records = judged_so_far(storage, ablation, kept)
    undecided = [one for one in verdicts if one.verdict == "undecided"]
    if not any(one.seeds > 1 for one in undecided):
        return Forecast()

    warning = keep_taken(storage, ablation, kept, verdicts)
    of_cells = _seconds_of_cells(kept, records)
    wanted: dict[Place, int] = {}
    expected = []
    for one in undecided:
        more, took = one.more_seeds, None
        if more is not None:
            places = {term.at for judged in one.judged for term in judged.comparison.terms}
            wanted |= {at: max(more, wanted.get(at, 0)) for at in places}
            took = _time(dict.fromkeys(places, more), of_cells, concurrent)
        note = pivot(one.judged).note
        seeds = None if more is None else one.seeds + more
        expected.append(Expected(one.claim.statement, one.seeds, seeds, took, note))
    seconds = _time(wanted, of_cells, concurrent) if wanted else None
    return Forecast(tuple(expected), seconds, warning)


def _seconds_of_cells(kept: KeptPlan, records: Records) -> Mapping[Place, float]:
    """The mean seconds of a run of each cell, all that was tried for it included."""
    spent: dict[Place, dict[int, float]] = {}
    for cell in kept["cells"]:
        record = records.get(cell["fingerprint"])
        if record is not None and record.total_seconds:
            seeds = spent.setdefault(tuple(cell["at"]), {})
            seeds[cell["seed"]] = seeds.get(cell["seed"], 0.0) + record.total_seconds
    return {at: statistics.fmean(of_seed.values()) for at, of_seed in spent.items()}


def _time(
    more: Mapping[Place, int], seconds: Mapping[Place, float], concurrent: int
) -> float | None:
    """The time of so many more runs of each cell; None where a cell was never timed."""
    trained = {at: seeds for at, seeds in more.items() if at != UNTRAINED or at in seconds}
    if not all(at in seconds for at in trained):
        return None
    return sum(seeds * seconds[at] for at, seeds in trained.items()) / max(concurrent, 1)
