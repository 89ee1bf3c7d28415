"""What figures are drawn from: a summary of each cell, and the training curves of its runs."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search_spaces.claims import Place

__all__ = ["UNCOUNTED", "History", "Summary", "listed"]

UNCOUNTED = "none counts"

History = Sequence[Mapping[str, float]]  # of one run, a mapping for each time that it logged


@dataclass(frozen=True)
class Summary:
    """What is known about one cell: a value a finished seed that counts, and how many lack one.

    `uncounted` runs finished but do not count, by the ablation's `counts_if`. `against` holds, for
    each value, that of the other metric that points are drawn against. `seeds` are those of the
    values; none where they are not known. `measured` has each seed's value of the metrics that
    claims name, by metric, and `lost` the seeds that ended without a value, with the word why.
    """

    at: Place
    values: tuple[float, ...]
    failed: int
    missing: int
    paper: float | None
    uncounted: int = 0
    against: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    measured: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    lost: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (*self.values, *self.against)):
            raise ValueError(
                f"cell {self.at!r}: {self.values!r} and {self.against!r} are not all finite"
            )
        if len(self.against) not in (0, self.n):
            raise ValueError(f"cell {self.at!r}: has {len(self.against)} values against {self.n}")
        if len(self.seeds) not in (0, self.n):
            raise ValueError(f"cell {self.at!r}: has {len(self.seeds)} seeds of {self.n} values")

    @property
    def n(self) -> int:
        """Finished seeds that count."""
        return len(self.values)

    @property
    def mean(self) -> float | None:
        """Mean over finished seeds, None without any."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over finished seeds, None with fewer than two."""
        return statistics.stdev(self.values) if self.n > 1 else None

    @property
    def ended_without(self) -> int:
        """Runs that ended without a value that counts."""
        return self.failed + self.uncounted

    @property
    def lacking(self) -> Mapping[str, int]:
        """How many runs gave no value, by the word why: as lost ones say, else by their kind."""
        found = Counter(self.lost.values())
        if not found:
            found = Counter({"uncounted": self.uncounted, "failed": self.failed})
        return found + Counter(missing=self.missing)

    @property
    def gap(self) -> str | None:
        """Why the cell has no value, in a word or two; None when it has one."""
        if self.n:
            return None
        return UNCOUNTED if self.uncounted else "failed" if self.failed else "missing"


def listed(names: Sequence[str], most: int) -> str:
    """Return the first names, so many at most, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
