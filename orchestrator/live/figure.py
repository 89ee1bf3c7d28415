"""The figure of a sweep in a terminal: the cells of its axes, which fill with colours and numbers.

Numbers stand in the cells, so that nothing is told by colour alone. A cell of several seeds has the
mean of those that have finished.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from orchestrator.storage.progress import CellProgress, SweepProgress

__all__ = ["Marks", "figure_lines", "left_out_line", "marks_for", "reference_value"]

# cividis, of matplotlib, at equal steps: it grows lighter with the value for every kind of eye
CIVIDIS = (
    *((0, 34, 78), (18, 53, 112), (59, 73, 108), (87, 93, 109), (112, 113, 115)),
    *((138, 134, 120), (165, 156, 116), (195, 179, 105), (225, 204, 85), (254, 232, 56)),
)
GAP = 1
NARROWEST, WIDEST = 5, 16  # columns of a cell

Place = tuple[str, ...]


@dataclass(frozen=True)
class Marks:
    """The signs for cells without a number yet, as far as the terminal can show them."""

    waiting: str
    running: str
    failed: str
    stopped: str


def marks_for(encoding: str) -> Marks:
    """Return signs that a terminal of this encoding shows."""
    if encoding.lower().startswith("utf"):
        return Marks("·", "▸", "✗", "■")
    return Marks(".", ">", "x", "-")


@dataclass(frozen=True)
class _Square:
    """What one cell of the figure shows."""

    text: str
    value: float | None = None
    style: str = ""


def figure_lines(progress: SweepProgress, width: int, height: int, marks: Marks) -> list[Text]:
    """Draw the sweep in at most so many columns and lines; nothing for one without axes.

    Rows that do not fit are left out, those first in which nothing goes on, and counted in a line.
    """
    if not progress.axes:
        return []
    squares = _squares(progress, marks)
    labels = [axis.labels for axis in progress.axes]
    if len(labels) == 1:
        return _along_one_axis(labels[0], squares, width, height)
    panels = [labels[2]] if len(labels) > 2 else []
    blocks = []
    for panel in panels[0] if panels else ("",):
        at = (panel,) if panels else ()
        rows = [
            (row, [squares.get((row, column, *at)) for column in labels[1]]) for row in labels[0]
        ]
        blocks.append((panel, rows))
    return _fitting(_grid(labels[1], blocks, progress, width), height)


def reference_value(progress: SweepProgress) -> float | None:
    """Return the mean of the untrained encoder, as far as it has been evaluated."""
    found = [
        cell.result
        for cell in progress.cells.values()
        if cell.role == "reference" and cell.result is not None
    ]
    return statistics.fmean(found) if found else None


def left_out_line(number: int, what: str) -> Text:
    """Say how many lines of something are not shown."""
    return Text(f"and {number} more {what}", style="dim")


def _squares(progress: SweepProgress, marks: Marks) -> dict[Place, _Square]:
    runs: dict[Place, list[CellProgress]] = {}
    for cell in progress.cells.values():
        for place in cell.places:
            if len(place) == len(progress.axes) and cell.role != "reference":
                runs.setdefault(place, []).append(cell)
    return {place: _square(cells, progress.digits, marks) for place, cells in runs.items()}


def _square(cells: Sequence[CellProgress], digits: int, marks: Marks) -> _Square:
    """Of the runs of a cell, those of candidates among them, what they come to."""
    own = [cell for cell in cells if cell.role != "candidate"]
    values = [cell.result for cell in own if cell.state == "finished" and cell.result is not None]
    running = [cell for cell in cells if cell.state == "running"]
    if values and not any(map(math.isnan, values)):
        mean = statistics.fmean(values)
        return _Square(f"{mean:.{digits}f}" + (marks.running if running else ""), mean)
    if running:
        shares = [cell.epoch / cell.epochs for cell in running if cell.epochs]
        share = f"{100 * statistics.fmean(shares):.0f}%" if shares else ""
        return _Square(f"{marks.running}{share}", style="bold")
    states = {cell.state for cell in cells}
    if "failed" in states:
        return _Square(marks.failed, style="bold red")
    if "stopped" in states:
        return _Square(marks.stopped, style="yellow")
    return _Square(marks.waiting, style="dim")


def _range(squares: Iterable[_Square | None]) -> tuple[float, float]:
    values = [one.value for one in squares if one is not None and one.value is not None]
    return (min(values), max(values)) if values else (0.0, 0.0)


def _coloured(square: _Square | None, width: int, ends: tuple[float, float]) -> Text:
    """A cell as a block of its colour, its text in the middle."""
    if square is None:
        return Text(" " * width)
    text = square.text if cell_len(square.text) <= width else square.text[:width]
    before = (width - cell_len(text)) // 2
    block = set_cell_size(" " * before + text, width)
    return Text(block, style=square.style if square.value is None else _style(square.value, ends))


def _style(value: float, ends: tuple[float, float]) -> str:
    low, high = ends
    share = (value - low) / (high - low) if high > low else 0.5
    position = min(max(share, 0.0), 1.0) * (len(CIVIDIS) - 1)
    left = min(int(position), len(CIVIDIS) - 2)
    part = position - left
    colour = [
        round(one + part * (other - one))
        for one, other in zip(CIVIDIS[left], CIVIDIS[left + 1], strict=True)
    ]
    light = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] > 120
    ink = "0,0,0" if light else "255,255,255"
    return f"rgb({ink}) on rgb({','.join(map(str, colour))})"


@dataclass(frozen=True)
class _Line:
    """A line of a figure; `rank` says what stays where not all fit: the highest."""

    text: Text
    rank: int = 9


def _grid(
    columns: Sequence[str],
    blocks: Sequence[tuple[str, Sequence[tuple[str, Sequence[_Square | None]]]]],
    progress: SweepProgress,
    width: int,
) -> list[_Line]:
    """The rows of each panel below the labels of the columns."""
    ends = _range(square for _, rows in blocks for _, row in rows for square in row)
    longest = max(cell_len(row) for _, rows in blocks for row, _ in rows)
    head = min(longest, max(width // 4, 6))
    room = (width - head) // len(columns) - GAP
    wide = max(min(room, max(NARROWEST, *map(cell_len, columns)), WIDEST), 1)
    fitting = max(min(len(columns), (width - head) // (wide + GAP)), 1)
    lines = []
    for panel, rows in blocks:
        if panel:
            name = progress.axes[2].name
            lines.append(_Line(Text(f"{name}: {panel}", style="italic")))
        labels = [set_cell_size(_short(label, wide), wide) for label in columns[:fitting]]
        lines.append(_Line(Text(" " * (head + GAP) + " ".join(labels), style="dim")))
        for label, row in rows:
            line = Text(set_cell_size(_short(label, head), head), style="")
            for square in row[:fitting]:
                line.append(" " * GAP)
                line.append_text(_coloured(square, wide, ends))
            lines.append(_Line(line, rank=_rank(row)))
    return lines


def _rank(row: Sequence[_Square | None]) -> int:
    """Rows with something that runs stay first, then those with results."""
    shown = [square for square in row if square is not None]
    if any(square.value is None and square.style == "bold" for square in shown):
        return 3
    return 2 if any(square.value is not None for square in shown) else 1


def _fitting(lines: Sequence[_Line], height: int) -> list[Text]:
    if len(lines) <= height:
        return [line.text for line in lines]
    kept = sorted(range(len(lines)), key=lambda place: (-lines[place].rank, place))
    shown = sorted(kept[: max(height - 1, 0)])
    left = len(lines) - len(shown)
    return [*(lines[place].text for place in shown), left_out_line(left, "rows")][:height]


def _along_one_axis(
    labels: Sequence[str],
    squares: Mapping[Place, _Square],
    width: int,
    height: int,
) -> list[Text]:
    """The labels above their cells, in as many rows as are needed; long labels beside them."""
    ends = _range(squares.values())
    longest = max(map(cell_len, labels))
    if longest > WIDEST:
        head = min(longest, width - WIDEST - GAP)
        rows = [
            _Line(
                Text(set_cell_size(_short(label, head), head) + " ")
                + _coloured(squares.get((label,)), NARROWEST + 2, ends),
                _rank([squares.get((label,))]),
            )
            for label in labels
        ]
        return _fitting(rows, height)
    wide = max(longest, NARROWEST)
    at_once = max((width + GAP) // (wide + GAP), 1)
    lines = []
    for first in range(0, len(labels), at_once):
        part = labels[first : first + at_once]
        shown = [squares.get((label,)) for label in part]
        heads = Text(" ".join(set_cell_size(label, wide) for label in part), style="dim")
        cells = Text(" " * GAP).join(_coloured(square, wide, ends) for square in shown)
        lines += [_Line(heads, _rank(shown)), _Line(cells, _rank(shown))]
    return _fitting(lines, height)


def _short(label: str, width: int) -> str:
    return label if cell_len(label) <= width else label[: max(width - 1, 1)] + "…"
