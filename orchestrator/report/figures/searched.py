"""Pictures of a search: its history, a slice for each field, parallel coordinates, importance.

How far a setting came is told by marker and colour. n is the number of settings, each on one seed.
"""

import math
from collections.abc import Callable, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from orchestrator.plan.space import Choices, Range
from orchestrator.plan.study import Trial
from orchestrator.report.figures.letters import spell
from orchestrator.report.figures.places import height, marks, place, value_text
from orchestrator.report.figures.style import (
    COLORS,
    DARK_GREY,
    RC_PARAMETERS,
    add_grid,
    style_of,
    wrapped,
)
from orchestrator.report.searched import Searched

__all__ = ["pictures_of"]

SCORE_LABEL = "validation score, %"
ROW = 3  # panels of slices beside each other
# Of the range of an axis that is logarithmic: below these, powers of ten alone are too few marks.
ONE_DECADE, MANY_DECADES = 10, 100


def pictures_of(found: Searched) -> dict[str, Figure]:
    """Draw what there is to draw, by the stem of its file."""
    scored = [trial for trial in found.search.study.trials if trial.scores]
    if not scored:
        return {}
    drawn: dict[str, Callable[[Searched, Sequence[Trial]], Figure]] = {
        "history": _history,
        "slices": _slices,
        "parallel": _parallel,
    }
    if found.importance:
        drawn["importance"] = _importance
    with mpl.rc_context(RC_PARAMETERS):
        figures = {stem: draw(found, scored) for stem, draw in drawn.items()}
        for figure in figures.values():
            spell(figure)
    return figures


def _history(found: Searched, scored: Sequence[Trial]) -> Figure:
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes: Axes = figure.subplots()
    _points(axes, found, scored, [trial.number + 1 for trial in scored], rung=None)
    last = found.search.study.last
    whole = [(trial.number + 1, trial.scores[-1]) for trial in scored if len(trial.scores) > last]
    if whole:
        best = [max(score for _, score in whole[: end + 1]) for end in range(len(whole))]
        axes.step(
            [number for number, _ in whole] + [len(found.search.study.trials)],
            best + best[-1:],
            where="post",
            color=DARK_GREY,
            linestyle=":",
            label="best with the whole budget",
        )
    add_grid(axes)
    axes.set(xlabel="setting, in the order in which they were asked", ylabel=SCORE_LABEL)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure, axes, found)
    _title(figure, found, "each setting's score where it stopped", scored)
    return figure


def _slices(found: Searched, scored: Sequence[Trial]) -> Figure:
    space = found.search.space
    columns = min(ROW, len(space))
    rows = math.ceil(len(space) / columns)
    figure = Figure(figsize=(1 + 2.9 * columns, 1 + 2.7 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    panels = [axes for row in grid for axes in row]
    for axes, (name, values) in zip(panels, space.items(), strict=False):
        places = [place(values, trial.setting[name]) for trial in scored]
        _points(axes, found, scored, places, rung=0)
        _scale(axes, values)
        axes.set_xlabel(name)
        add_grid(axes)
    for row in grid:
        row[0].set_ylabel(f"{SCORE_LABEL}\nafter {_after(found, 0)}")
    for axes in panels[len(space) :]:
        axes.set_axis_off()
    _legend(figure, panels[0], found)
    _title(figure, found, "scores at the first rung, which all settings have", scored)
    return figure


def _parallel(found: Searched, scored: Sequence[Trial]) -> Figure:
    space = found.search.space
    figure = Figure(figsize=(2.4 + 1.9 * len(space), 4.2), layout="constrained")
    axes: Axes = figure.subplots()
    scores = [trial.scores[0] for trial in scored]
    norm = Normalize(min(scores), max(scores))
    colors = mpl.colormaps["cividis_r"]  # the good ones dark
    at = range(len(space))
    for trial in sorted(scored, key=lambda trial: trial.scores[0]):
        heights = [height(values, trial.setting[name]) for name, values in space.items()]
        axes.plot(at, heights, color=colors(norm(trial.scores[0])), linewidth=1.2, marker="o", ms=3)
    best = found.best
    if best is not None:
        heights = [height(values, best.setting[name]) for name, values in space.items()]
        axes.plot(at, heights, color="black", linewidth=2.2, linestyle="--", label="chosen setting")
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    for position, values in zip(at, space.values(), strict=True):
        axes.axvline(position, color=DARK_GREY, linewidth=0.8, zorder=0)
        for value in marks(values):
            axes.annotate(
                value_text(value),
                (position, height(values, value)),
                xytext=(4, 0),
                textcoords="offset points",
                fontsize=8,
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.7},
            )
    axes.set_xticks(list(at), list(space), fontsize=8)
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xlim(-0.15, len(space) - 0.6)
    label = f"{SCORE_LABEL}, after {_after(found, 0)}"
    figure.colorbar(ScalarMappable(norm, colors), ax=axes, label=label)
    _title(figure, found, "each line is a setting", scored)
    return figure


def _importance(found: Searched, scored: Sequence[Trial]) -> Figure:
    fields = list(found.importance)[::-1]
    shares = [100 * found.importance[field] for field in fields]
    figure = Figure(figsize=(6.4, 1.4 + 0.45 * len(fields)), layout="constrained")
    axes: Axes = figure.subplots()
    bars = axes.barh(fields, shares, color=COLORS[0])
    axes.bar_label(bars, fmt="%.0f %%", padding=3, fontsize=8)
    axes.set(xlabel="share of the scores' spread, % (fANOVA)", xlim=(0, 110))
    add_grid(axes, "x")
    _title(figure, found, f"importance for the score after {_after(found, 0)}", scored)
    return figure


def _points(
    axes: Axes,
    found: Searched,
    scored: Sequence[Trial],
    places: Sequence[float],
    *,
    rung: int | None,
) -> None:
    """Draw trials as points, by how far they came, at the score of a rung or of their last."""
    for reached in range(len(found.search.study.rungs)):
        here = [
            (at, trial.scores[-1 if rung is None else rung])
            for at, trial in zip(places, scored, strict=True)
            if len(trial.scores) == reached + 1
        ]
        style = style_of(reached) | {"linestyle": "none", "markersize": 6.5}
        if here:
            axes.plot(*zip(*here, strict=True), label=_after(found, reached), **style)


def _after(found: Searched, rung: int) -> str:
    epochs = found.search.study.rungs[rung]
    return f"{epochs} epoch{'' if epochs == 1 else 's'}"


def _legend(figure: Figure, axes: Axes, found: Searched) -> None:
    if len(found.search.study.rungs) > 1:
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=min(4, len(labels)),
            frameon=False,
            fontsize=8,
            title="trained for",
            title_fontsize=8,
        )


def _title(figure: Figure, found: Searched, what: str, scored: Sequence[Trial]) -> None:
    lines = [
        f"Search {found.plan['sweep']} ({found.search.rules.sampler}): {what}",
        f"{found.plan['data']['title']}, n = {len(scored)} settings, one seed each",
    ]
    figure.suptitle(wrapped(lines, figure, points=10), fontsize=10)


def _scale(axes: Axes, values: Choices | Range) -> None:
    if isinstance(values, Choices):
        names = [value_text(value) for value in values.values]
        turned = 30 if max(map(len, names)) > 6 else 0
        axes.set_xticks(range(len(names)), names, rotation=turned)
        axes.set_xlim(-0.5, len(names) - 0.5)
    elif values.linear:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=values.whole))
    else:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        if (span := values.high / values.low) < MANY_DECADES:
            few = MaxNLocator(4) if span < ONE_DECADE else LogLocator(subs=(1, 2, 5))
            axes.xaxis.set_major_locator(few)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
