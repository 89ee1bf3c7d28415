"""The whole view of running sweeps: the figure, what runs, what failed, the machine, the end.

Made of lines, cut to the terminal as it is at that moment, so that resizing needs nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from orchestrator.live.figure import (
    Marks,
    figure_lines,
    left_out_line,
    marks_for,
    reference_value,
)
from orchestrator.live.lines import standing_of, summary
from orchestrator.storage.progress import CellProgress, MachineUse, SweepProgress

__all__ = ["SweepView", "view_lines"]

FAILURES = 3  # lines
BESIDE = 62  # columns for what runs, beside the figure
NAME = 24  # columns of a name, at least
BEST = 5


class SweepView:
    """Sweeps as they are now, for rich: whoever prints it again sees how far they are then."""

    def __init__(self, sweeps: Sequence[SweepProgress], now: datetime | None = None) -> None:
        self._sweeps, self._now = sweeps, now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = console.size.height if console.is_terminal else options.height or 24
        lines = view_lines(
            self._sweeps,
            width=options.max_width,
            height=height - 1,  # the cursor's own
            now=self._now or datetime.now(UTC),
            marks=marks_for(options.encoding),
        )
        for line in lines:
            line.no_wrap, line.overflow = True, "crop"
            if not options.encoding.lower().startswith("utf"):
                line.plain = _as_far_as(options.encoding, line.plain)
            yield line


def view_lines(
    sweeps: Sequence[SweepProgress], *, width: int, height: int, now: datetime, marks: Marks
) -> list[Text]:
    """Draw sweeps in at most so many columns and lines: the one that is at work in full."""
    if not sweeps:
        return []
    shown = next((one for one in sweeps if _is_at_work(one)), sweeps[0])
    others = [Text(summary(one, now), style="dim") for one in sweeps if one is not shown]
    head = [Text(line, style="bold") for line in _wrapped(summary(shown, now), width)]
    foot = [*_failures(shown.cells.values(), marks), *_machine(shown.machine)]
    others = others[: max(height - len(head) - len(foot) - 6, 0)]

    room = max(height - len(head) - len(foot) - len(others), 0)
    running = [cell for cell in shown.cells.values() if cell.state == "running"]
    if width >= 2 * BESIDE and shown.axes:
        left = [*figure_lines(shown, width - BESIDE - 2, room - 1, marks), *_legend(shown)]
        right = _running(running, BESIDE, room)
        middle = _beside(left, right, width - BESIDE)
    else:
        rows = min(len(_packs(running)) + 1, max(room // 3, 4)) if running else 0
        figure = figure_lines(shown, width, max(room - rows - 1, 1), marks)
        above = [*figure, *_legend(shown)] if figure else _best(shown, room - rows)
        middle = [*above, *_running(running, width, room - len(above))]
    return [_cut(line, width) for line in (*head, *middle[:room], *others, *foot)][:height]


def _is_at_work(progress: SweepProgress) -> bool:
    counts = progress.counts()
    return bool(counts["running"] or counts["waiting"])


def _wrapped(text: str, width: int) -> list[str]:
    """A sentence of parts in at most two lines, broken between parts."""
    if cell_len(text) <= width:
        return [text]
    first, rest = "", ""
    for part in text.split(", "):
        if not rest and cell_len(first) + cell_len(part) + 2 < width:
            first += (", " if first else "") + part
        else:
            rest += (", " if rest else "  ") + part
    return [first, rest]


def _legend(progress: SweepProgress) -> list[Text]:
    """What the numbers are, and the untrained encoder's beside them."""
    unit = f" in {progress.unit}" if progress.unit else ""
    said = f"{progress.metric.replace('_', ' ')}{unit}"
    if (reference := reference_value(progress)) is not None:
        said += f"; untrained {reference:.{progress.digits}f}"
    return [Text(said, style="dim")]


def _best(progress: SweepProgress, room: int) -> list[Text]:
    """Of a sweep without a figure the best runs so far."""
    found = [cell for cell in progress.cells.values() if cell.result is not None]
    found.sort(key=lambda cell: -(cell.result or 0.0))
    return [
        Text(f"{cell.result:.{progress.digits}f}  {cell.name}")
        for cell in found[: max(min(BEST, room), 0)]
    ]


def _packs(cells: Iterable[CellProgress]) -> list[CellProgress]:
    """Return the runs that run; of those that share a process the first."""
    found: dict[str, CellProgress] = {}
    for cell in cells:
        found.setdefault(cell.pack or cell.name, cell)
    return list(found.values())


def _running(cells: Sequence[CellProgress], width: int, room: int) -> list[Text]:
    """A table of what runs; nothing where nothing does."""
    rows = _packs(cells)
    if not rows or room < 2:
        return []
    shown = rows if len(rows) < room else rows[: room - 2]
    columns = (9, 8, 10, 8)
    name = max(min(width - sum(columns) - len(columns), max(NAME, width // 2)), 8)
    table = [_row("cell", ("epoch", "loss", "images/s", "left"), name, columns, "dim")]
    for cell in shown:
        table.append(_row(cell.pack or cell.name, standing_of(cell), name, columns))
    if len(shown) < len(rows):
        table.append(left_out_line(len(rows) - len(shown), "run now"))
    return table


def _row(
    name: str, values: Sequence[str], width: int, columns: Sequence[int], style: str = ""
) -> Text:
    if cell_len(name) > width:
        name = name[: width - 1] + "…"
    numbers = " ".join(value.rjust(column) for value, column in zip(values, columns, strict=True))
    return Text(f"{set_cell_size(name, width)} {numbers}", style=style)


def _failures(cells: Iterable[CellProgress], marks: Marks) -> list[Text]:
    failed = [cell for cell in cells if cell.state == "failed"]
    shown = failed[-FAILURES:]
    lines = [
        Text(f"{marks.failed} {cell.name}: {cell.message or 'failed'}", style="red")
        for cell in shown
    ]
    if len(shown) < len(failed):
        lines[0] = left_out_line(len(failed) - len(shown) + 1, "failed")
    return lines


def _machine(use: MachineUse | None) -> list[Text]:
    if use is None or (use.cpu is None and use.memory is None and not use.gpus):
        return []
    parts = []
    if use.cpu is not None:
        parts.append(f"CPU {100 * use.cpu:.0f} %")
    if use.memory is not None and use.memory_total is not None:
        parts.append(f"memory {use.memory:.1f} of {use.memory_total:.0f} GB")
    for number, (share, memory) in enumerate(zip(use.gpus, use.gpu_memory, strict=False)):
        parts.append(f"GPU {number} {100 * share:.0f} %, {memory:.1f} GB")
    return [Text(" · ".join(parts), style="dim")]


def _beside(left: Sequence[Text], right: Sequence[Text], width: int) -> list[Text]:
    """Two columns of lines; the left one is `width` columns wide."""
    lines = []
    for number in range(max(len(left), len(right))):
        line = left[number].copy() if number < len(left) else Text()
        if number < len(right):
            line.append(" " * max(width - line.cell_len, 0))
            line.append_text(right[number])
        lines.append(line)
    return lines


def _as_far_as(encoding: str, text: str) -> str:
    """Return a text of the same length with what a terminal of this encoding can show."""
    return (
        text.translate({ord("·"): "|", ord("…"): "~"}).encode(encoding, "replace").decode(encoding)
    )


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line
