"""What a question would train: a bar of runs for each cell, and how long the missing ones take."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.plan import Plan
from orchestrator.plan.estimate import Estimate
from orchestrator.report.figures.letters import cut, spell
from orchestrator.report.figures.style import COLORS, GREY, RC_PARAMETERS, SMALLEST, wrapped

__all__ = ["PlannedRow", "draw_planned", "planned_rows"]

MOST_ROWS = 60
LABEL = 44  # letters
_UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0))
_STATES = (
    ("finished", "finished before", COLORS[2]),
    ("shared", "shared: counted in the cell above that has it", GREY),
    ("to_run", "to run", COLORS[0]),
)


@dataclass(frozen=True)
class PlannedRow:
    """A cell, its runs by what becomes of them, and the seconds that those to run will take."""

    name: str
    finished: int
    shared: int
    to_run: int
    seconds: float


def planned_rows(
    plans: Sequence[Plan], done: AbstractSet[str], seconds: Mapping[str, float]
) -> list[PlannedRow]:
    """Return a row for each cell of the plans in their order, with its runs over all seeds."""
    by_cell: dict[tuple[str, str], list[str]] = {}
    for plan in plans:
        for cell in plan.cells:
            question = plan.name if len(plans) > 1 else ""
            name = cell.name.rpartition(" · seed")[0] or cell.name
            by_cell.setdefault((question, name), []).append(cell.fingerprint)

    rows, seen = list[PlannedRow](), set[str]()
    for (question, name), fingerprints in by_cell.items():
        states = [
            "shared" if one in seen else "finished" if one in done else "to_run"
            for one in fingerprints
        ]
        seen |= {*fingerprints}
        missing = [
            seconds.get(one, 0.0)
            for one, state in zip(fingerprints, states, strict=True)
            if state == "to_run"
        ]
        named = f"{question}: {name}" if question else name
        finished, shared, to_run = (states.count(state) for state, *_ in _STATES)
        rows.append(PlannedRow(named, finished, shared, to_run, sum(missing)))
    return rows


def draw_planned(
    plans: Sequence[Plan], done: AbstractSet[str], cost: Estimate, note: str = ""
) -> Figure:
    """Draw the cells of plans with their runs; `note` stands below, such as the cost in words."""
    rows = planned_rows(plans, done, cost.cell_seconds)
    shown = rows[:MOST_ROWS]
    with matplotlib.rc_context(RC_PARAMETERS):
        figure = Figure(figsize=(7.5, 1.5 + 0.21 * len(shown)), layout="constrained")
        axes = figure.add_subplot()
        _draw_rows(axes, shown)
        axes.set_xlabel("runs of a cell, and the expected time of those to run")
        axes.grid(axis="x", color="#e5e5e5", linewidth=0.6)
        axes.set_axisbelow(True)
        if len(axes.get_legend_handles_labels()[0]) > 1:
            axes.legend(
                loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=SMALLEST
            )
        if len(plans) == 1 and plans[0].ablation:
            places = plans[0].ablation.layout(plans[0].scale).axes
            axes.set_ylabel(" · ".join(axis.name for axis in places))
        titles = {plan.name: plan.ablation.question if plan.ablation else "" for plan in plans}
        figure.suptitle(
            wrapped([", ".join(titles), *titles.values()][: 2 if len(titles) == 1 else 1],
                    figure, points=10),
            fontsize=10,
        )  # fmt: skip
        more = f"and {len(rows) - len(shown)} more cells" if len(rows) > len(shown) else ""
        text = wrapped([more, *_facts(plans, done), note], figure, points=SMALLEST)
        figure.supxlabel(text, fontsize=SMALLEST, ha="left", x=0.01)
        spell(figure)
    return figure


def _draw_rows(axes: Axes, rows: Sequence[PlannedRow]) -> None:
    left = [0] * len(rows)
    for state, label, color in _STATES:
        counts = [getattr(row, state) for row in rows]
        if any(counts):
            axes.barh(range(len(rows)), counts, left=left, color=color, label=label, height=0.72)
            left = [start + count for start, count in zip(left, counts, strict=True)]
    for place, row in enumerate(rows):
        if row.to_run:
            axes.text(left[place], place, f" {_time(row.seconds)}", va="center", fontsize=SMALLEST)
    axes.set_yticks(range(len(rows)), [cut(row.name, LABEL) for row in rows], fontsize=SMALLEST)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max(left, default=1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _time(seconds: float) -> str:
    unit, length = next((each for each in _UNITS if seconds >= 2 * each[1]), _UNITS[-1])
    return f"{seconds / length:.0f} {unit}"


def _facts(plans: Sequence[Plan], done: AbstractSet[str]) -> Iterator[str]:
    asked = [cell.fingerprint for plan in plans for cell in plan.cells]
    distinct = {*asked}
    seeds = sorted({seed for plan in plans for seed in plan.seeds})
    yield (
        f"{len(asked)} runs asked for, {len(distinct)} distinct, {len(distinct & done)} finished "
        f"before; {len(seeds)} seed{'s' if len(seeds) != 1 else ''} "
        f"({', '.join(map(str, seeds[:8]))}{', …' if len(seeds) > 8 else ''})."
    )
