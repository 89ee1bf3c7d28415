"""The table of `runs` on a terminal: one line a run, with what is special of it."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from orchestrator.commands.run_quantities import Quantities, varying
from orchestrator.storage.rows import RunRow

__all__ = ["print_lines"]

WIDEST = 40  # of what differs, where results lack the room
COMMON = 0.75  # of the runs: what so many have is not special of one
GAP = 2
AGES = ((86400, "d"), (3600, "h"), (60, "min"))


def print_lines(
    rows: Sequence[RunRow], console: Console, quantities: Quantities, now: datetime | None = None
) -> None:
    """Print a line for each row: which run, how far, what differs as `field = value`, result, age.

    What all rows have in common is said once below, as is what found no room.
    """
    now = now or datetime.now(UTC)
    there = {name for row in rows for name in row.results}
    metrics = [name for name in quantities.headline if name in there] or sorted(there)[:2]
    columns = {
        "run": [row.fingerprint[:12] for row in rows],
        "status": [_status(row) for row in rows],
        "ablation": [", ".join(row.ablations) for row in rows],
        "workload": [row.workload for row in rows],
        "differs": [],
        "seed": [quantities.text("seed", row.seed) for row in rows],
        **{name: [quantities.text(name, row.value(name)) for row in rows] for name in metrics},
        "begun": [_age(row, now) for row in rows],
    }
    alike = [
        name for name in ("status", "ablation", "seed", "workload") if len(set(columns[name])) == 1
    ]
    same = [
        f"{name} {columns[name][0]}" for name in alike if name != "workload" and columns[name][0]
    ]
    fields = varying(rows)
    named = [row.name.startswith("untrained") for row in rows]
    is_wanted = fields or any(named)
    kept = [name for name in columns if name not in alike and (name != "differs" or is_wanted)]
    least = [*metrics[1:], "workload", "ablation", "seed", "begun"]
    firsts, _ = _differing(rows, fields, quantities, 0)
    wanted = GAP + min(WIDEST, max(map(len, firsts)))
    while _width(columns, kept, quantities) + wanted > console.width and least:
        gone = least.pop(0)
        kept = [name for name in kept if name != gone]
    room = console.width - _width(columns, kept, quantities) - GAP
    columns["differs"], left_out = _differing(rows, fields, quantities, room)
    columns["differs"] = [
        one if len(one) <= room else f"{one[: max(room - 1, 0)]}…" for one in columns["differs"]
    ]

    numbers = {*metrics, "seed", "begun"}
    texts = [_aligned([_head(one, quantities), *columns[one]], one in numbers) for one in kept]
    lines = ["".join(cells).rstrip() for cells in zip(*texts, strict=True)]
    # as one text: a table of rich takes seconds for ten thousand runs
    console.print(Text("\n".join(lines)), highlight=False, soft_wrap=True)
    count = f"{len(rows)} run{'s' if len(rows) > 1 else ''}"
    console.print(": ".join(filter(None, (count, ", ".join(same)))), highlight=False, markup=False)
    if left_out:
        told = f"also different, for --columns: {', '.join(left_out)}"
        console.print(told, highlight=False, markup=False, style="dim")


def _aligned(cells: Sequence[str], to_the_right: bool) -> list[str]:
    """Cells of a column in equal widths, with the gap after them."""
    cells = [cell.replace("\n", " ") for cell in cells]
    width = max(map(len, cells))
    gap = " " * GAP
    return [(cell.rjust(width) if to_the_right else cell.ljust(width)) + gap for cell in cells]


def _width(columns: dict[str, list[str]], kept: Sequence[str], quantities: Quantities) -> int:
    """The width of all columns but that of what differs."""
    return sum(
        max(map(len, (_head(name, quantities), *columns[name]))) + GAP
        for name in kept
        if name != "differs"
    )


def _head(name: str, quantities: Quantities) -> str:
    return f"{name} {quantities.unit(name)}".strip()


def _status(row: RunRow) -> str:
    if row.epoch is None or row.status == "finished":
        return row.status
    return f"{row.status} {row.epoch}/{row.epochs}" if row.epochs else f"{row.status} {row.epoch}"


def _age(row: RunRow, now: datetime) -> str:
    """How long ago a run began, or ended where that is all that is known."""
    try:
        then = datetime.fromisoformat(row.started or row.ended or "")
    except ValueError:
        return ""
    seconds = (now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()
    return next(
        (f"{seconds / size:.0f} {unit} ago" for size, unit in AGES if seconds >= size), "just now"
    )


def _differing(
    rows: Sequence[RunRow], fields: Sequence[str], quantities: Quantities, room: int
) -> tuple[list[str], list[str]]:
    """Return `field = value` of what is special of each row, and the fields that had no room."""
    texts = {name: [quantities.text(name, row.spec.get(name)) for row in rows] for name in fields}
    common = {}
    for name, values in texts.items():
        value, count = Counter(values).most_common(1)[0]
        common[name] = value if count > COMMON * len(rows) else None
    shown, left_out = list[str](), dict[str, None]()
    for place, row in enumerate(rows):
        if row.name.startswith("untrained"):
            shown.append("untrained")
            continue
        line = ""
        for name in fields:
            value = texts[name][place]
            if name not in row.spec or value == common[name]:
                continue
            more = f"{line}; " if line else ""
            more += f"{name.rpartition('.')[2]} = {value}"
            if len(more) > room and line:
                left_out[name] = None
            else:
                line = more
        shown.append(line)
    return shown, list(left_out)
