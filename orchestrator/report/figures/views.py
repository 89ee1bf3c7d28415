"""What a policy does to images: pairs of views, and each operation alone, pixel by pixel."""

from collections.abc import Iterator, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.report.figures.letters import filled
from orchestrator.report.figures.style import DARK_GREY, GREY, RC_PARAMETERS, SMALLEST, wrapped
from workloads.shown import ExampleViews, OperationAlone, Pixels

__all__ = ["draw_views", "operation_text", "without_effect"]

TILE = 0.72  # inches, of an image
GAP = 0.3  # of a tile, between groups of columns
LINE = 0.145  # inches, of a line of text
BOTTOM = 0.62  # inches, for the caption
MOST_LINES = 9  # of an operation's parameters
LETTERS = 25  # of a line over two tiles

_Column = tuple[float, str, Pixels]  # left edge in tiles, title, images [N, S, S, 3]


def draw_views(shown: ExampleViews) -> Figure:
    """Draw a row for each image: the original, pairs of views, each operation by itself.

    Pixels are those that a network gets, enlarged without smoothing.
    """
    groups = [*_groups(shown)]
    width = (groups[-1][2][-1][0] + 1) * TILE + 0.2
    top = LINE * (2.6 + max(len(lines) for _, lines, _ in groups))
    height = len(shown.originals) * TILE * 1.04 + top + BOTTOM
    with matplotlib.rc_context(RC_PARAMETERS):
        figure = Figure(figsize=(width, height), layout=None)
        for left, lines, columns in groups:
            _draw_heading(figure, left, lines, top, width, height)
            for at, title, images in columns:
                for row, image in enumerate(images):
                    axes = _tile(figure, at, row, top, width, height)
                    axes.imshow(image, interpolation="nearest", aspect="equal")
                    if row == 0:
                        axes.set_title(title, fontsize=SMALLEST, pad=3)
        figure.text(
            0.1 / width,
            0.1 / height,
            wrapped([_caption(shown)], figure, points=SMALLEST),
            fontsize=SMALLEST,
            color=DARK_GREY,
            va="bottom",
        )
    return figure


def operation_text(alone: OperationAlone) -> tuple[str, list[str]]:
    """Say what one operation is: its name, and its parameters."""
    by_chance = alone.probability is not None and alone.probability < 1
    given = f", p = {alone.probability:g}" if by_chance else ""
    parameters = [f"{name} {_short(value)}" for name, value in alone.parameters.items()]
    return f"{alone.name.rpartition(':')[2]}{given}", parameters


def without_effect(shown: ExampleViews) -> list[str]:
    """Name the operations that change no pixel of these images, at this size."""
    return [
        alone.name
        for alone in shown.alone
        if shown.originals.shape[1:] == alone.views.shape[2:]
        and bool((alone.views == shown.originals[:, None]).all())
    ]


def _draw_heading(
    figure: Figure, left: float, lines: Sequence[str], top: float, width: float, height: float
) -> None:
    """Lines that end just above the titles of the columns, the first one bold."""
    for place, line in enumerate(lines):
        above = top - LINE * (1.6 + len(lines) - 1 - place)
        figure.text(
            (0.1 + left * TILE) / width,
            1 - above / height,
            line,
            fontsize=SMALLEST,
            fontweight="normal" if place else "bold",
        )


def _groups(shown: ExampleViews) -> Iterator[tuple[float, list[str], list[_Column]]]:
    side = shown.originals.shape[1]
    yield 0.0, ["image", f"{side} px"], [(0.0, "", shown.originals)]
    left = 1 + GAP
    for number, pair in enumerate(shown.pairs, 1):
        of_pair = [
            (left + place, branch, pair[:, place]) for place, branch in enumerate(shown.branches)
        ]
        title = f"pair {number}" if len(shown.branches) > 1 else f"draw {number}"
        yield left, [title, f"{pair.shape[2]} px"], of_pair
        left += len(shown.branches) + GAP

    nothing = without_effect(shown)
    for alone in shown.alone:
        name, parameters = operation_text(alone)
        effect = ["changes no pixel here!"] if alone.name in nothing else []
        draws = alone.views.shape[1]
        of_one = [(left + draw, "", alone.views[:, draw]) for draw in range(draws)]
        yield left, [name, *effect, *_lines(parameters)], of_one
        left += draws + GAP


def _lines(parameters: Sequence[str]) -> list[str]:
    """Parameters on lines of a width, each on one of them where it fits."""
    lines = list[str]()
    for place, parameter in enumerate(parameters):
        text = parameter if place + 1 == len(parameters) else f"{parameter},"
        if lines and len(lines[-1]) + 1 + len(text) <= LETTERS:
            lines[-1] += f" {text}"
        else:
            lines += [text] if len(text) <= LETTERS else filled(text, LETTERS).splitlines()
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], "and more"]


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_short, value))
    return str(value)


def _tile(figure: Figure, left: float, row: int, top: float, width: float, height: float) -> Axes:
    bottom = height - top - (row + 1) * TILE * 1.04
    axes = figure.add_axes(
        ((0.1 + left * TILE) / width, bottom / height, TILE * 0.97 / width, TILE / height)
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():  # a view may be all white
        spine.set(visible=True, color=GREY, linewidth=0.5)
    return axes


def _caption(shown: ExampleViews) -> str:
    alone = "On the right each operation by itself on the whole image"
    if any(one.probability not in (None, 1) for one in shown.alone):
        alone += ", where it acts (p: on which share of the images)"
    return (
        f"{shown.data}, {len(shown.originals)} training images, seed {shown.seed}. Policy: "
        f"{shown.policy}. {alone}. Pixels as the network gets them, enlarged without smoothing."
    )
