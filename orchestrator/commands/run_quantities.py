"""What results of runs are called and how values are written, and which fields differ."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.storage.rows import RunRow
from workloads.catalog import workload_named
from workloads.quantity import Quantity, quantity_by_name
from workloads.spec import SpecError

__all__ = ["Quantities", "varying"]

UNITS = {"started": "UTC", "ended": "UTC", "duration": "s"}


@dataclass(frozen=True)
class Quantities:
    """What workloads of some runs call their metrics, and which ones they show first."""

    by_name: Mapping[str, Quantity]
    headline: tuple[str, ...]

    @classmethod
    def of(cls, rows: Iterable[RunRow]) -> "Quantities":
        """Ask the workloads of the rows; one that is not installed has nothing to say.

        What no workload knows, such as a metric of one's own, is what its name says.
        """
        by_name, headline = dict[str, Quantity](), dict[str, None]()
        rows = list(rows)
        for name in dict.fromkeys(row.workload for row in rows):
            try:
                workload = workload_named(name)
            except SpecError:
                continue
            by_name |= {
                metric: quantity
                for metric, quantity in workload.quantities.items()
                if metric not in by_name
            }
            headline |= dict.fromkeys(workload.headline)
        for metric in {metric for row in rows for metric in row.results} - by_name.keys():
            by_name[metric] = quantity_by_name(metric)
        return cls(by_name, tuple(headline))

    @property
    def lower_is_better(self) -> frozenset[str]:
        """The metrics of which the smallest value is the best."""
        return frozenset(name for name, one in self.by_name.items() if one.better == "lower")

    def unit(self, column: str) -> str:
        """Return the unit of a column's values; empty where they have none."""
        quantity = self.by_name.get(column)
        return UNITS.get(column, "") if quantity is None else quantity.unit

    def text(self, column: str, value: Any) -> str:
        """Write a value for people."""
        match value:
            case None:
                return ""
            case bool():
                return str(value).lower()
            case list() | tuple():
                return ", ".join(self.text("", one) for one in value)
            case int() | float() if column in self.by_name:
                return self.by_name[column].text(value)
            case float():
                return f"{value:.1f}" if column == "duration" else f"{value:.6g}"
        if column in ("fingerprint", "trained_by"):
            return str(value)[:12]
        return str(value)[:16].replace("T", " ") if column in ("started", "ended") else str(value)


def varying(rows: Sequence[RunRow]) -> list[str]:
    """List the fields of specifications with different values, in the order of definition.

    Runs that have no such field, as those of another workload, do not make it different.
    """
    values: dict[str, object] = {}
    found: dict[str, None] = {}
    for row in rows:
        for name, value in row.spec.items():
            if name != "seed" and values.setdefault(name, value) != value:
                found[name] = None
    return [name for name in values if name in found]
