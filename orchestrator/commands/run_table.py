"""The table of `runs`: which columns there are unless asked, and how their values are written."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

from orchestrator.commands.run_lines import print_lines
from orchestrator.commands.run_quantities import Quantities, varying
from orchestrator.storage.rows import RunRow

__all__ = ["print_table"]

# What is always there where nobody looks at widths.
FIRST = ("fingerprint", "name", "status", "workload", "ablation")
LAST = ("started", "duration")


def print_table(
    rows: Sequence[RunRow], console: Console, columns: Sequence[str] | None, quantities: Quantities
) -> None:
    """Print a line for each row: on a terminal within its width, elsewhere as wide as it is.

    Unless named, columns are what tells the rows apart, and the results that workloads show first.
    """
    if not console.is_terminal:
        _print_plain(rows, console, columns or _columns(rows, FIRST, quantities), quantities)
    elif columns is None:
        print_lines(rows, console, quantities)
    else:
        _print_rich(rows, console, columns, quantities)


def _columns(rows: Sequence[RunRow], first: Sequence[str], quantities: Quantities) -> list[str]:
    there = {name for row in rows for name in row.results}
    metrics = [name for name in quantities.headline if name in there]
    if not metrics:  # of a workload that is not installed, or of evaluations beside the usual
        metrics = sorted(there)[:2]
    return [*first, *varying(rows), "seed", *metrics, *LAST]


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
