"""The table of `runs`: which columns there are unless asked, and how their values are written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from orchestrator.storage.rows import OWN_FIELDS, RunRow
from workloads.catalog import workload_named
from workloads.quantity import Quantity, quantity_by_name
from workloads.spec import SpecError

__all__ = ["Quantities", "print_table", "varying"]

WIDEST = 24  # of a column that is not asked for, on a terminal
# What is always there where nobody looks at widths, and of these what a terminal shows where it
# differs: the specification says more of a run than its name.
FIRST = ("fingerprint", "name", "status", "workload", "ablation")
ON_TERMINAL = ("fingerprint", "status", "workload", "ablation")
LAST = ("started", "duration")
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


def print_table(
    rows: Sequence[RunRow], console: Console, columns: Sequence[str] | None, quantities: Quantities
) -> None:
    """Print a line for each row: on a terminal within its width, elsewhere as wide as it is.

    Unless named, columns are what tells the rows apart, and the results that workloads show first.
    """
    if not console.is_terminal:
        _print_plain(rows, console, columns or _columns(rows, FIRST, quantities), quantities)
        return
    left_out: list[str] = []
    same = ""
    if columns is None:
        wanted = _columns(rows, ON_TERMINAL, quantities)
        columns = [wanted[0], *(name for name in wanted[1:] if _shows(rows, name))]
        same = ", ".join(
            f"{name} {quantities.text(name, rows[0].value(name))}"
            for name in ("status", "ablation")
            if name not in columns and rows[0].value(name)
        )
        columns, left_out = _fitting(rows, columns, console.width, quantities)
    _print_rich(rows, console, columns, quantities)
    count = f"{len(rows)} run{'s' if len(rows) > 1 else ''}"
    console.print(": ".join(filter(None, (count, same))), highlight=False)
    if left_out:
        console.print(
            f"also different, for --columns: {', '.join(left_out)}", highlight=False, style="dim"
        )


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


def _columns(rows: Sequence[RunRow], first: Sequence[str], quantities: Quantities) -> list[str]:
    there = {name for row in rows for name in row.results}
    metrics = [name for name in quantities.headline if name in there]
    if not metrics:  # of a workload that is not installed, or of evaluations beside the usual
        metrics = sorted(there)[:2]
    return [*first, *varying(rows), "seed", *metrics, *LAST]


def _shows(rows: Sequence[RunRow], name: str) -> bool:
    """Tell whether a column of a row's own says something: values that differ, or when it began."""
    values = {str(value) for row in rows if (value := row.value(name)) is not None}
    return name not in OWN_FIELDS or len(values) > (name not in LAST)


def _fitting(
    rows: Sequence[RunRow], columns: Sequence[str], width: int, quantities: Quantities
) -> tuple[list[str], list[str]]:
    """Leave out what is least wanted until the rest fits; returns both."""
    widths = {
        name: min(WIDEST, max(map(len, (*_header(name, quantities), *cells))))
        for name, cells in zip(columns, _cells(rows, columns, quantities), strict=True)
    }
    metrics = [name for name in columns if name in quantities.headline]
    first = (columns[0], *metrics[:1], "status", "ablation")
    fields = [
        name for name in columns if name not in OWN_FIELDS and name not in quantities.headline
    ]
    wanted = [*first, *fields, "seed", "started", *metrics, *columns]
    kept, room = set[str](), width
    for name in dict.fromkeys(wanted):
        if name in widths and widths[name] + 2 <= room + 2 * (not kept):
            kept.add(name)
            room -= widths[name] + 2
    return (
        [name for name in columns if name in kept],
        [name for name in columns if name not in kept and name != "duration"],
    )


def _cells(
    rows: Sequence[RunRow], columns: Sequence[str], quantities: Quantities
) -> list[list[str]]:
    return [[quantities.text(name, row.value(name)) for row in rows] for name in columns]


def _header(name: str, quantities: Quantities) -> list[str]:
    """Return the lines of a heading: a dotted field has one for each part, a metric its unit."""
    parts = [f"{part}." for part in name.split(".")]
    parts[-1] = parts[-1][:-1]
    unit = quantities.unit(name)
    return [*parts, unit] if unit else parts


def _print_rich(
    rows: Sequence[RunRow], console: Console, columns: Sequence[str], quantities: Quantities
) -> None:
    cells = _cells(rows, columns, quantities)
    table = Table(
        *(
            Column(
                "\n".join(_header(name, quantities)),
                justify="right" if _is_of_numbers(rows, name) else "left",
                no_wrap=name == "fingerprint",
                overflow="fold",
            )
            for name in columns
        ),
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for line in zip(*cells, strict=True):
        table.add_row(*line)
    console.print(table)


def _print_plain(
    rows: Sequence[RunRow], console: Console, columns: Sequence[str], quantities: Quantities
) -> None:
    """Print aligned columns, each line on one line, with `-` where there is no value."""
    heads = [", ".join(filter(None, (name, quantities.unit(name)))) for name in columns]
    lines = [heads, *zip(*_cells(rows, columns, quantities), strict=True)]
    lines = [[cell.replace("\n", " ") or "-" for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        console.print(text.rstrip(), highlight=False, soft_wrap=True)


def _is_of_numbers(rows: Sequence[RunRow], name: str) -> bool:
    values = [value for row in rows if (value := row.value(name)) is not None]
    return bool(values) and all(isinstance(value, int | float) for value in values)
